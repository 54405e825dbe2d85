// The corridor: every stage that a packet passes, in order. Read this file to know the router.
//
//   from the network     defragment → track → prerouting → dnat → route
//                          ├─▶ ttl → forward → postrouting → snat → leaving → confirm → show → fit → resolve → transmit
//                          └─▶ input → confirm → show → deliver                           (for us)
//   from the host side   defragment → track → output → postrouting → snat → leaving → confirm → show → fit → transmit
//   errors made here     track → output → dnat → route → postrouting → snat → leaving → show → fit → resolve → transmit
//
// Order as netfilter's: destinations are translated before the route is chosen, sources after the
// filter; confirm is late, because only then is the reply tuple final. Packets of established
// connections take the short cut (shortcut.hpp) past all of it.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "daemon/packet/packet.hpp"

namespace masqgate::path {

class Shard;

struct Stage {
  std::string_view name;
  Verdict (*run)(Shard& shard, Packet& packet);
};

enum class List : std::uint8_t { forward, input, output, made_here };
inline constexpr std::size_t kLists = 4;
inline constexpr std::size_t kMostStages = 17;

std::string_view name(List list);
std::span<const Stage> stages_of(List list);

// Walks the packet through the list from this stage on. When the verdict is stolen the packet has
// been moved away; packet.list and packet.stage tell its new owner where it stood.
Verdict walk(Shard& shard, Packet& packet, List list, std::size_t from = 0);

}  // namespace masqgate::path
