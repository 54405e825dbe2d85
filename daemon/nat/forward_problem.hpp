// Why a table of forwards refuses a change: the error numbers that the kernel's modules gave.

#pragma once

#include <cerrno>

#include "daemon/net/endpoint.hpp"

namespace masqgate::nat {

enum class ForwardProblem {
  none = 0,
  invalid = EINVAL,   // no such value can be forwarded
  not_found = ESRCH,  // nothing fits
  full = ENOMEM,      // the table holds as many as it may
};

// An address or port of zero in a request fits every one.
constexpr net::IpAddress kAnyAddress = net::IpAddress::v4(0);
constexpr net::Endpoint kAnyEndpoint{kAnyAddress, 0};

constexpr bool fits(net::IpAddress wanted, net::IpAddress there) {
  return wanted.is_unspecified() || wanted == there;
}
constexpr bool fits(net::Endpoint wanted, net::Endpoint there) {
  return fits(wanted.address, there.address) && (wanted.port == 0 || wanted.port == there.port);
}

}  // namespace masqgate::nat
