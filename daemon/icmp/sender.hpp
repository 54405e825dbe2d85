// Whom an answer may go to (RFC 1812 4.3.2.7 and 5.3.7, RFC 4443 2.4 e.6).

#pragma once

#include "daemon/net/ip_address.hpp"

namespace masqgate::icmp {

// Whether an address can be that of exactly one sender: neither "this network", loopback, a group,
// nor class E with the limited broadcast.
constexpr bool is_single_sender(net::IpAddress a) noexcept {
  if (a.is_unspecified() || a.is_loopback() || a.is_multicast()) return false;
  return !a.is_v4() || (a.v4_number() >> 24 != 0 && a.v4_number() >> 28 != 0xf);
}

}  // namespace masqgate::icmp
