// Questions about the headers of a packet: ICMP type, TCP flags and MSS, fragments, TOS and DSCP,
// length, TTL, link-layer sender (history 7.1).
//
// Lengths, TTL, TOS and senders may differ from packet to packet of a connection; who is asked for
// them takes no short cut.

#pragma once

#include <cstdint>
#include <vector>

#include "daemon/firewall/hooks.hpp"
#include "daemon/firewall/steady.hpp"
#include "daemon/net/mac_address.hpp"

namespace masqgate::firewall {

// A closed range of numbers.
struct Range {
  std::uint16_t least = 0;
  std::uint16_t most = 0;
  constexpr bool contains(std::uint16_t number) const { return least <= number && number <= most; }
};

// Types and codes of ICMP or ICMPv6, whichever the rule's protocol says; an ICMP message only.
struct IcmpTypeMatch {
  static constexpr bool per_packet = false;  // ICMP takes no short cut
  struct Kind {
    std::uint8_t type = 0;
    std::uint8_t least_code = 0;
    std::uint8_t most_code = 255;
  };
  std::vector<Kind> kinds;
  bool negated = false;
  bool matches(const Packet& packet) const noexcept;
};

// Flags of TCP under a mask; a later fragment has none.
struct TcpFlagsMatch {
  static constexpr bool per_packet = true;
  std::uint8_t value = 0;
  std::uint8_t mask = 0;
  bool negated = false;
  bool may_differ(const Packet& packet) const noexcept {
    return (mask & ~kUnsteadyFlags) != 0 || !is_plain_segment(packet);
  }
  bool matches(const Packet& p) const noexcept {
    return p.tuple.protocol == net::Protocol::tcp && p.fragment_offset == 0 &&
           ((p.tcp_flags.bits & mask) == value) != negated;
  }
};

// Second and further fragments.
struct FragmentMatch {
  static constexpr bool per_packet = false;  // fragments take no short cut
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return (p.fragment_offset != 0) != negated; }
};

// The link-layer sender of what came from a network with link layer.
struct MacMatch {
  static constexpr bool per_packet = true;
  static constexpr HookSet kHooks{Hook::prerouting, Hook::input, Hook::forward};
  net::MacAddress address;
  bool negated = false;
  bool matches(const Packet& packet) const noexcept;
};

// Bits of the type of service or traffic class; DSCP is its upper six.
struct TosMatch {
  static constexpr bool per_packet = true;
  std::uint8_t value = 0;
  std::uint8_t mask = 0xff;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return ((p.tos & mask) == value) != negated; }
};

struct DscpMatch {
  static constexpr bool per_packet = true;
  std::uint8_t value = 0;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return (p.tos >> 2 == value) != negated; }
};

// Of the whole IP packet, as it came from the device: a GSO packet is longer than its segments.
struct LengthMatch {
  static constexpr bool per_packet = true;
  Range range;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return range.contains(static_cast<std::uint16_t>(p.frame.ip().size())) != negated;
  }
};

struct TtlMatch {
  static constexpr bool per_packet = true;
  Range range;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return range.contains(p.hop_limit) != negated; }
};

// The MSS that a SYN offers; a SYN without one matches only where negated.
struct TcpMssMatch {
  static constexpr bool per_packet = true;
  Range range;
  bool negated = false;
  bool may_differ(const Packet& packet) const noexcept { return !is_plain_segment(packet); }
  bool matches(const Packet& packet) const noexcept;
};

// What no sound sender sends, by the list of history 7.1: broken options, checksums and flags.
struct UncleanMatch {
  static constexpr bool per_packet = true;
  bool negated = false;
  bool matches(const Packet& packet) const noexcept;
};

}  // namespace masqgate::firewall
