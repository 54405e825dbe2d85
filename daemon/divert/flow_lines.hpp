// The packets of a flow that stand in a line, where their listener wants them released in the order
// in which they came (kBindOrdered).
//
//   first ◀── answered ◀── answered ◀── waits      the first one is never answered: then it goes, and
//     └ has a deadline                             so do those behind it up to the next that waits
//
// A line is known by its key; the index knows the last packet of each. Joining and leaving look at
// the neighbours only, however many packets are held.

#pragma once

#include <cstdint>

#include "daemon/base/hash_index.hpp"
#include "daemon/divert/held.hpp"

namespace masqgate::divert {

class FlowLines {
 public:
  explicit FlowLines(HeldPackets& held) : held_{held}, last_{held.capacity()} {}

  bool empty() const { return last_.size() == 0; }
  bool has(std::uint64_t key) const { return last_of(key) != kNoSlot; }

  // Behind the last one of that key. The packet must be in no line.
  void join(Slot slot, std::uint64_t key) {
    Held& held = held_.at(slot);
    const Slot last = last_of(key);
    held.line = key;
    held.in_line = true;
    held.ahead = last;
    held.behind = kNoSlot;
    if (last != kNoSlot) {
      held_.at(last).behind = slot;
      last_.erase(hash(key), last);
    }
    last_.insert(hash(key), slot);
  }

  bool is_first(Slot slot) const { return held_.at(slot).ahead == kNoSlot; }
  bool is_last(Slot slot) const { return held_.at(slot).behind == kNoSlot; }

  // The one that is first because this one has left; kNoSlot if there is none.
  Slot leave(Slot slot) {
    Held& held = held_.at(slot);
    const Slot ahead = held.ahead, behind = held.behind;
    if (behind == kNoSlot) {
      last_.erase(hash(held.line), slot);
      if (ahead != kNoSlot) last_.insert(hash(held.line), ahead);
    } else {
      held_.at(behind).ahead = ahead;
    }
    if (ahead != kNoSlot) held_.at(ahead).behind = behind;
    held.in_line = false;
    held.ahead = held.behind = kNoSlot;
    return ahead == kNoSlot ? behind : kNoSlot;
  }

 private:
  static std::uint32_t hash(std::uint64_t key) { return static_cast<std::uint32_t>(key >> 32); }
  Slot last_of(std::uint64_t key) const {
    return last_.find(hash(key), [&](Slot slot) { return held_.at(slot).line == key; })
        .value_or(kNoSlot);
  }

  HeldPackets& held_;
  HashIndex last_;
};

}  // namespace masqgate::divert
