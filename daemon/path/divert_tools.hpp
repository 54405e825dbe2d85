// What the parts of diverting share: numbers of hooks, and the destination that a packet came with.

#pragma once

#include <algorithm>
#include <array>

#include "daemon/divert/terms.hpp"
#include "daemon/firewall/hooks.hpp"
#include "daemon/nat/translate.hpp"
#include "daemon/path/stage_tools.hpp"

namespace masqgate::path {

// As format.hpp counts hooks.
inline constexpr std::array<std::uint8_t, 5> kHookNumbers{4, 1, 2, 3, 5};

inline firewall::Hook hook_of(std::uint8_t number) {
  return static_cast<firewall::Hook>(std::ranges::find(kHookNumbers, number) -
                                     kHookNumbers.begin());
}

inline std::uint8_t number_of(firewall::Hook hook) {
  return kHookNumbers[firewall::number(hook)];
}

// How a packet came in.
inline void come_alike(const Packet& from, Packet& to) {
  to.ingress = from.ingress;
  to.from = from.from;
  to.link_group = from.link_group;
  to.has_link = from.has_link;
  to.made_here = from.made_here;
  to.hops = from.hops;
  to.divert_origin = from.divert_origin;
  to.not_diverted = from.not_diverted;
}

// The destination that the packet came with.
inline void show_as_it_came(Packet& packet, divert::Facts& facts) {
  if (packet.connection == nullptr) return;
  const Tuple& came = packet.connection->tuple(packet.direction);
  Tuple to = packet.tuple;
  to.destination_address = came.destination_address;
  if (!stages::is_error(packet)) to.destination_port = came.destination_port;
  if (to == packet.tuple) return;
  facts.inside = packet.tuple.destination();
  nat::rewrite(packet, to);
}

// And back again.
inline void show_inside_again(Packet& packet, const divert::Facts& facts) {
  if (!facts.inside) return;
  Tuple to = packet.tuple;
  to.destination_address = facts.inside->address;
  to.destination_port = facts.inside->port;
  nat::rewrite(packet, to);
}

}  // namespace masqgate::path
