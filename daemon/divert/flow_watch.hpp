// Which flows a listener has been given packets of, so that it can be told when they end.
//
//   bucket of the flow:  | flow 7, listener 2 | flow 7, listener 5 | flow 9, listener 2 | …
//
// Bounded: a flow has places in its bucket only, and where all of them are taken, the one that was
// not used for longest is forgotten, and its listener told so. Nothing is allocated before somebody
// asks.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "daemon/divert/held.hpp"

namespace masqgate::divert {

// A connection, as those are told who have seen packets of it.
struct FlowFacts {
  std::uint64_t flow = 0;  // as in its packets
  Tuple original;
  Tuple reply;
  std::array<std::uint64_t, 2> packets{};  // by direction
  std::array<std::uint64_t, 2> bytes{};
  bool confirmed = false;  // it has passed all rules, and will be told when it ends
};

class FlowWatch {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kPlaces = 16384;

  struct Entry {
    FlowFacts facts;  // as they were last known
    Time used{};      // a packet of it was given
    std::uint32_t serial = 0;
    Member member = kNoMember;  // none: free
  };

  void prepare() { places_.resize(kPlaces); }
  // The listener's entry of this flow, or null.
  Entry* find(std::uint64_t flow, Member member, std::uint32_t serial) {
    for (Entry& entry : bucket(flow))
      if (entry.member == member && entry.serial == serial && entry.facts.flow == flow)
        return &entry;
    return nullptr;
  }
  // After prepare(). Returns what had to be forgotten for it.
  std::optional<Entry> add(const Entry& entry) {
    Entry* oldest = nullptr;
    for (Entry& place : bucket(entry.facts.flow)) {
      if (place.member == kNoMember) {
        place = entry;
        return std::nullopt;
      }
      if (oldest == nullptr || place.used < oldest->used) oldest = &place;
    }
    const Entry forgotten = *oldest;
    *oldest = entry;
    return forgotten;
  }
  // The places in which a flow may stand.
  std::span<Entry> bucket(std::uint64_t flow) {
    if (places_.empty()) return {};
    const std::uint64_t mixed = (flow * 0x9e3779b97f4a7c15) >> 32;
    return std::span{places_}.subspan(mixed % (kPlaces / kWays) * kWays, kWays);
  }
  // All places, some in each call.
  std::span<Entry> next_slice(std::size_t most) {
    if (places_.empty()) return {};
    if (swept_ >= places_.size()) swept_ = 0;
    const std::size_t from = std::exchange(swept_, std::min(swept_ + most, places_.size()));
    return std::span{places_}.subspan(from, swept_ - from);
  }

 private:
  std::vector<Entry> places_;
  std::size_t swept_ = 0;
};

}  // namespace masqgate::divert
