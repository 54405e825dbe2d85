// Ports, transport protocols, and the pair of address and port.

#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/net/ip_address.hpp"

namespace masqgate::net {

using Port = std::uint16_t;  // host byte order

// IANA protocol numbers; any other number is a valid Protocol too.
enum class Protocol : std::uint8_t {
  hop_by_hop = 0,
  icmp = 1,
  igmp = 2,
  tcp = 6,
  udp = 17,
  routing = 43,
  fragment = 44,
  gre = 47,
  esp = 50,
  ah = 51,
  icmpv6 = 58,
  none = 59,
  destination_options = 60,
  sctp = 132,
};

constexpr std::uint8_t number(Protocol protocol) {
  return static_cast<std::uint8_t>(protocol);
}
std::string text(Protocol protocol);                            // "tcp", or the number
std::optional<Protocol> parse_protocol(std::string_view text);  // name or number 0..255

struct Endpoint {
  IpAddress address;
  Port port = 0;
  constexpr auto operator<=>(const Endpoint&) const = default;
  std::string text() const;  // 192.0.2.1:80, [2001:db8::1]:80
};

// Both ends belong to the range.
struct PortRange {
  Port first = 0;
  Port last = 65535;
  constexpr bool contains(Port port) const { return first <= port && port <= last; }
  constexpr auto operator<=>(const PortRange&) const = default;
  static std::optional<PortRange> parse(std::string_view text);  // "80", "8000-8080"
  std::string text() const;
};

}  // namespace masqgate::net
