// ICMP errors about packets that masqgate cannot forward: RFC 792, RFC 1812 4.3, RFC 4443.
//
// Whoever drops the packet asks may_answer() and the RateLimiter, then builds the error into a
// frame of its own and lets it walk out like any packet. An error quotes the packet as it arrived,
// the hop limit that was taken given back; translations are undone by whoever made them.

#pragma once

#include <cstdint>

#include "daemon/packet/packet.hpp"

namespace masqgate::icmp {

struct Message {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t rest = 0;  // the header's second word

  bool operator==(const Message&) const = default;
};

enum class Unreachable : std::uint8_t { no_route, host, port, prohibited };

Message time_exceeded(net::Family family) noexcept;
Message reassembly_timeout(net::Family family) noexcept;
Message unreachable(net::Family family, Unreachable why) noexcept;
// mtu: of the next link, bytes of IP packet (RFC 1191, RFC 8201).
Message too_big(net::Family family, unsigned mtu) noexcept;
bool is_too_big(net::Family family, const Message& message) noexcept;

// Whether a packet may be answered with this error (RFC 1812 4.3.2.7, RFC 4443 2.4 e): never an
// ICMP error or redirect, a later fragment, what was sent to many or by nobody. That a destination
// is a directed broadcast only routes know: the caller's business.
bool may_answer(const Packet& about, const Message& message) noexcept;

// Writes a whole IP packet, checksums included, into out: from source to the sender of about,
// quoting as much of it as fits 576 bytes for IPv4, 1280 for IPv6. False if out has no storage or
// source is not of the packet's family.
bool build_error(Frame& out, const Packet& about, const Message& message,
                 net::IpAddress source) noexcept;

}  // namespace masqgate::icmp
