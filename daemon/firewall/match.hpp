// What a rule can ask of a packet: a closed language, one small struct per question.
//
// To add a match: a struct with matches() and per_packet, its name in the variant, its words in
// firewall_json.cpp. Each also says
//  - per_packet: whether the answer may differ between two packets of one direction of an
//    established connection. If so, connections that were asked take no short cut. A match that can
//    say it better has may_differ().
//  - kHooks, where the question makes no sense everywhere: the chains that may ask it.
//
// A match that does not apply to a packet (a port of an ICMP message, an IPv4 network of an IPv6
// packet) is false, negated or not, as in iptables and nftables.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/conntrack/connection.hpp"
#include "daemon/firewall/hooks.hpp"
#include "daemon/firewall/mark_bits.hpp"
#include "daemon/firewall/match_counting.hpp"
#include "daemon/firewall/match_divert.hpp"
#include "daemon/firewall/match_header.hpp"
#include "daemon/firewall/match_owner.hpp"
#include "daemon/firewall/match_set.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/net/prefix.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

using StateSet = SetOf<ConnState>;

struct StateMatch {
  static constexpr bool per_packet = false;
  StateSet states;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return states.contains(p.state) != negated; }
};

// A set of ports, named by a pattern: "wan", or "wan+" for all whose name begins so.
struct PortSet {
  std::string pattern;
  std::uint64_t bits = 0;
  bool contains(PortIndex port) const noexcept {
    return port < kMostPorts && (bits >> port & 1) != 0;
  }
};
static_assert(kMostPorts <= 64);

// The port whose network a packet came from. What the router itself says came from none.
struct IngressMatch {
  static constexpr bool per_packet = false;
  static constexpr HookSet kHooks{Hook::prerouting, Hook::input, Hook::forward, Hook::postrouting,
                                  Hook::leaving};
  PortSet ports;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return (p.from == Side::network && ports.contains(p.ingress)) != negated;
  }
};

struct EgressMatch {
  static constexpr bool per_packet = false;
  static constexpr HookSet kHooks{Hook::forward, Hook::output, Hook::postrouting, Hook::leaving};
  PortSet ports;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return ports.contains(p.egress) != negated; }
};

struct ProtocolMatch {
  static constexpr bool per_packet = false;
  net::Protocol protocol{};
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return (p.tuple.protocol == protocol) != negated; }
};

// An address asked for its network; of the other family: false in any case.
inline bool is_within(const net::Prefix& prefix, net::IpAddress address, bool negated) noexcept {
  return address.is_v4() == prefix.address().is_v4() && prefix.contains(address) != negated;
}

struct SourceMatch {
  static constexpr bool per_packet = false;
  net::Prefix prefix;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return is_within(prefix, p.tuple.source_address, negated);
  }
};

struct DestinationMatch {
  static constexpr bool per_packet = false;
  net::Prefix prefix;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return is_within(prefix, p.tuple.destination_address, negated);
  }
};

// Only TCP and UDP have ports, and of a fragmented packet only the first piece shows them.
inline bool shows_ports(const Packet& p) noexcept {
  return p.tuple.has_ports() && p.fragment_offset == 0;
}

using PortRanges = std::vector<net::PortRange>;
inline bool any_contains(const PortRanges& ranges, net::Port port) noexcept {
  return std::ranges::any_of(ranges, [&](const net::PortRange& r) { return r.contains(port); });
}

struct SourcePortMatch {
  static constexpr bool per_packet = false;
  PortRanges ranges;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return shows_ports(p) && any_contains(ranges, p.tuple.source_port) != negated;
  }
};

struct DestinationPortMatch {
  static constexpr bool per_packet = false;
  PortRanges ranges;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return shows_ports(p) && any_contains(ranges, p.tuple.destination_port) != negated;
  }
};

// Either of the two ports.
struct AnyPortMatch {
  static constexpr bool per_packet = false;
  PortRanges ranges;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return shows_ports(p) && (any_contains(ranges, p.tuple.source_port) ||
                              any_contains(ranges, p.tuple.destination_port)) != negated;
  }
};

// Marks are those of the moment: rules before this one may have changed them.
struct MarkMatch {
  static constexpr bool per_packet = false;
  MarkBits bits;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return bits.are_in(p.mark) != negated; }
};

// A packet without a connection has the mark 0.
struct ConnMarkMatch {
  static constexpr bool per_packet = false;
  MarkBits bits;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return bits.are_in(p.connection == nullptr ? 0 : p.connection->mark) != negated;
  }
};

// Whether translation gave the packet its destination: it answers a masqueraded one, or was sent to
// an outside endpoint of somebody inside; or is an error about either. Linux 2.2 asked no forward
// chain about these (history 2.6, 3.1).
struct DemasqueradedMatch {
  static constexpr bool per_packet = false;
  static constexpr HookSet kHooks{Hook::forward, Hook::postrouting, Hook::leaving};
  bool negated = false;
  static bool holds(const Packet& p) noexcept {
    if (p.connection == nullptr) return false;
    const Tuple before = p.connection->tuple(p.direction);
    const Tuple after = p.connection->translated(p.direction);
    if (p.state == ConnState::related && p.quoted) return before != after;
    return before.destination() != after.destination();
  }
  bool matches(const Packet& p) const noexcept { return holds(p) != negated; }
};

// Whether a helper of this set announced the packet's connection: its master's helper, as with
// iptables' -m helper.
struct HelperMatch {
  static constexpr bool per_packet = false;
  std::uint32_t helpers = 0;  // bits by the places in kHelperNames
  bool negated = false;
  bool holds(const Packet& p) const noexcept {
    if (p.connection == nullptr) return false;
    const auto helper = p.connection->announcer();
    return helper && (helpers >> *helper & 1) != 0;
  }
  bool matches(const Packet& p) const noexcept { return holds(p) != negated; }
};
static_assert(conntrack::kHelperNames.size() <= 32);

// Cheap questions first, those that count last: rules ask in this order, whatever the order in
// their document.
using Match =
    std::variant<StateMatch, IngressMatch, EgressMatch, ProtocolMatch, MarkMatch, ConnMarkMatch,
                 DemasqueradedMatch, HelperMatch, DivertedMatch, HopsMatch, InjectedMatch,
                 SourceMatch, DestinationMatch, SourcePortMatch, DestinationPortMatch, AnyPortMatch,
                 SourceSetMatch, DestinationSetMatch, SourcePortSetMatch, DestinationPortSetMatch,
                 FragmentMatch, IcmpTypeMatch, TimeMatch, TcpFlagsMatch, TcpMssMatch, MacMatch,
                 MacSetMatch, TosMatch, DscpMatch, LengthMatch, TtlMatch, UncleanMatch, OwnerMatch,
                 ConnectionsMatch, PortScanMatch, SourceLimitMatch, LimitMatch, QuotaMatch>;

// Asks, and notes where the next packet of the connection may be answered otherwise: then none
// takes the short cut. A question that is not reached, because one before it says no, does not
// count: the same one will say no to the next packet.
template <typename M>
bool ask(const M& match, Packet& packet, Memory& memory) noexcept {
  if constexpr (requires { match.may_differ(packet); }) {
    if (match.may_differ(packet)) packet.not_remembered = true;
  } else if constexpr (M::per_packet) {
    packet.not_remembered = true;
  }
  if constexpr (requires { match.matches(packet, memory); })
    return match.matches(packet, memory);
  else
    return match.matches(packet);
}

inline bool matches(const std::vector<Match>& all, Packet& packet, Memory& memory) noexcept {
  return std::ranges::all_of(all, [&](const Match& one) {
    return std::visit([&](const auto& match) noexcept { return ask(match, packet, memory); }, one);
  });
}

// Whether a chain that this hook reaches may ask this, or do this.
template <typename Variant>
bool makes_sense_in(const Variant& one, Hook hook) noexcept {
  return std::visit(
      [&]<typename M>(const M&) {
        if constexpr (requires { M::kHooks; })
          return M::kHooks.contains(hook);
        else
          return true;
      },
      one);
}

}  // namespace masqgate::firewall
