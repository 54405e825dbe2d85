// How much of the table and of the outside ports somebody may have (requirements 2.5, K-18 to K-20).

#pragma once

#include "daemon/conntrack/half_open.hpp"
#include "daemon/nat/hosts.hpp"

namespace masqgate::path {

struct Limits {
  // What a host inside is told whose connection cannot begin (RFC 5508 REQ-8, RFC 6888 REQ-11).
  enum class Answer : std::uint8_t { host, prohibited, silent };

  nat::HostLimits hosts;
  conntrack::HalfOpen::Limits half_open;
  std::uint32_t reserve = 0;  // connections that only the router itself may have
  Answer answer = Answer::host;
};

}  // namespace masqgate::path
