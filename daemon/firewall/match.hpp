// What a rule can ask of a packet: a closed language, one small struct per question.
//
// To add a match: a struct with matches() and per_packet, its name in the variant, its words in
// firewall_json.cpp. Each also says
//  - per_packet: whether the answer may differ between two packets of one direction of an
//    established connection. If so, connections judged by it take no short cut.
//  - kHooks, where the question makes no sense everywhere: the chains that may ask it.
//
// A match that does not apply to a packet (a port of an ICMP message, an IPv4 network of an IPv6
// packet) is false, negated or not, as in iptables and nftables.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/conntrack/connection.hpp"
#include "daemon/firewall/mark_bits.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/net/prefix.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

// Where the corridor asks, in the order of the corridor (ARCHITECTURE.md 2).
enum class Hook : std::uint8_t { prerouting, input, forward, output, postrouting };
inline constexpr std::array<std::string_view, 5> kHookNames{"prerouting", "input", "forward",
                                                            "output", "postrouting"};

constexpr std::size_t number(Hook hook) {
  return static_cast<std::size_t>(hook);
}

// A set of hooks or of states, as bits.
template <typename Enum>
struct SetOf {
  std::uint8_t bits = 0;
  constexpr SetOf() = default;
  constexpr SetOf(std::initializer_list<Enum> all) {
    for (const Enum one : all) add(one);
  }
  constexpr void add(Enum one) {
    bits = static_cast<std::uint8_t>(bits | 1u << static_cast<unsigned>(one));
  }
  constexpr bool contains(Enum one) const { return (bits >> static_cast<unsigned>(one) & 1u) != 0; }
  constexpr bool operator==(const SetOf&) const = default;
};
using HookSet = SetOf<Hook>;
using StateSet = SetOf<ConnState>;

struct StateMatch {
  static constexpr bool per_packet = false;
  StateSet states;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return states.contains(p.state) != negated; }
};

// The port whose network a packet came from. What the router itself says came from none.
struct IngressMatch {
  static constexpr bool per_packet = false;
  static constexpr HookSet kHooks{Hook::prerouting, Hook::input, Hook::forward, Hook::postrouting};
  PortIndex port = kNoPort;
  bool negated = false;
  bool matches(const Packet& p) const noexcept {
    return (p.from == Side::network && p.ingress == port) != negated;
  }
};

struct EgressMatch {
  static constexpr bool per_packet = false;
  static constexpr HookSet kHooks{Hook::forward, Hook::output, Hook::postrouting};
  PortIndex port = kNoPort;
  bool negated = false;
  bool matches(const Packet& p) const noexcept { return (p.egress == port) != negated; }
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

// Cheap questions first: rules ask in this order, whatever the order in their document.
using Match =
    std::variant<StateMatch, IngressMatch, EgressMatch, ProtocolMatch, MarkMatch, ConnMarkMatch,
                 SourceMatch, DestinationMatch, SourcePortMatch, DestinationPortMatch>;

inline bool matches(const std::vector<Match>& all, const Packet& packet) noexcept {
  return std::ranges::all_of(all, [&](const Match& one) {
    return std::visit([&](const auto& match) noexcept { return match.matches(packet); }, one);
  });
}

inline bool is_per_packet(const Match& one) noexcept {
  return std::visit([](const auto& match) { return match.per_packet; }, one);
}

// Whether a chain that this hook reaches may ask this.
inline bool makes_sense_in(const Match& one, Hook hook) noexcept {
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
