// What programs have had to do with a packet (daemon/divert): whether one has had it in its hands, how
// often, and whether one has made it. FreeBSD's ipfw asks the same with "diverted".
//
// A connection does not show it, and other packets of it may have been elsewhere.

#pragma once

#include <vector>

#include "daemon/firewall/match_header.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

struct DivertedMatch {
  static constexpr bool per_packet = true;
  bool negated = false;
  static bool may_differ(const Packet& p) noexcept { return p.hops != 0; }
  bool matches(const Packet& p) const noexcept { return (p.hops != 0) != negated; }
};

// How often it was diverted or injected.
struct HopsMatch {
  static constexpr bool per_packet = true;
  Range range;
  bool negated = false;
  static bool may_differ(const Packet& p) noexcept { return p.hops != 0; }
  bool matches(const Packet& p) const noexcept { return range.contains(p.hops) != negated; }
};

struct InjectedMatch {
  static constexpr bool per_packet = true;
  std::vector<net::PortRange> ranges;  // of programs; none: all
  bool negated = false;
  static bool may_differ(const Packet& p) noexcept { return p.hops != 0; }
  bool matches(const Packet& p) const noexcept {
    if (ranges.empty()) return (p.divert_origin != 0) != negated;
    if (p.divert_origin == 0) return false;
    for (const net::PortRange& range : ranges)
      if (range.contains(p.divert_origin)) return !negated;
    return negated;
  }
};

}  // namespace masqgate::firewall
