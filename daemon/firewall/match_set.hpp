// Questions whether a named set has an address, a port or a link-layer sender of the packet.
//
// A rule names the set; Ruleset's reader puts it in. Unlike a network, a set may have addresses of
// both families: what it has not, it has not, whatever the family. Elements that have ended are not
// there; when one does, the shard makes all short cuts void.

#pragma once

#include <memory>
#include <string>

#include "daemon/firewall/hooks.hpp"
#include "daemon/firewall/memory.hpp"
#include "daemon/firewall/set.hpp"
#include "daemon/packet/packet.hpp"
#include "daemon/wire/ethernet.hpp"

namespace masqgate::firewall {

struct SetReference {
  std::string name;
  bool negated = false;
  std::shared_ptr<const NamedSet> set{};  // of the right kind, once the rules are read
};

struct SourceSetMatch : SetReference {
  static constexpr bool per_packet = false;
  static constexpr SetKind kKind = SetKind::addresses;
  bool matches(const Packet& p, const Memory& memory) const noexcept {
    return set->contains(p.tuple.source_address, memory.now) != negated;
  }
};

struct DestinationSetMatch : SetReference {
  static constexpr bool per_packet = false;
  static constexpr SetKind kKind = SetKind::addresses;
  bool matches(const Packet& p, const Memory& memory) const noexcept {
    return set->contains(p.tuple.destination_address, memory.now) != negated;
  }
};

// Only TCP and UDP have ports, and later fragments show none.
struct SourcePortSetMatch : SetReference {
  static constexpr bool per_packet = false;
  static constexpr SetKind kKind = SetKind::ports;
  bool matches(const Packet& p, const Memory& memory) const noexcept {
    return p.tuple.has_ports() && p.fragment_offset == 0 &&
           set->contains(p.tuple.source_port, memory.now) != negated;
  }
};

struct DestinationPortSetMatch : SetReference {
  static constexpr bool per_packet = false;
  static constexpr SetKind kKind = SetKind::ports;
  bool matches(const Packet& p, const Memory& memory) const noexcept {
    return p.tuple.has_ports() && p.fragment_offset == 0 &&
           set->contains(p.tuple.destination_port, memory.now) != negated;
  }
};

struct MacSetMatch : SetReference {
  static constexpr bool per_packet = true;
  static constexpr SetKind kKind = SetKind::macs;
  static constexpr HookSet kHooks{Hook::prerouting, Hook::input, Hook::forward};
  bool matches(const Packet& p, const Memory& memory) const noexcept {
    if (p.from != Side::network || p.made_here || !p.has_link) return false;
    return set->contains(wire::Ethernet::parse(p.frame.link())->source(), memory.now) != negated;
  }
};

}  // namespace masqgate::firewall
