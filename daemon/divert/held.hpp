// The packets that are out of the corridor: in slots with generations, on lists, with deadlines.
//
//   id = generation << 32 | slot        found in one step, stale ones are told apart
//
// A slot is on one list at most: of a listener's queue, of what a listener was given, or of those
// whose listener is gone. Beside that it may stand in a line (flow_lines.hpp). Nothing is allocated
// after the start.

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "daemon/base/timer_wheel.hpp"
#include "daemon/divert/release.hpp"
#include "daemon/divert/terms.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::divert {

using Slot = std::uint32_t;
inline constexpr Slot kNoSlot = 0xffffffff;
using Member = std::uint16_t;  // number of a listener
inline constexpr Member kNoMember = 0xffff;
inline constexpr std::int32_t kAllPriorities = std::numeric_limits<std::int32_t>::max();

struct Held {
  // answered: it waits for those in front of it in its line (flow_lines.hpp).
  enum class State : std::uint8_t { free, queued, given, orphan, answered };

  Packet packet;
  Terms terms;
  Place place;
  Facts facts;
  Time since{};  // diverted
  Time given{};  // to its present listener
  std::uint32_t generation = 1;
  Slot next = kNoSlot;
  Slot previous = kNoSlot;
  std::int32_t below = kAllPriorities;  // only listeners of less priority
  Member member = kNoMember;
  std::uint8_t port = 0;  // index of the port's state
  State state = State::free;
  bool redelivered = false;
  bool in_line = false;
  std::uint64_t line = 0;  // key of its line
  Slot ahead = kNoSlot;    // in it
  Slot behind = kNoSlot;
  Onward onward;  // of an answered one
};

class HeldPackets {
 public:
  struct List {
    Slot first = kNoSlot;
    Slot last = kNoSlot;
    std::size_t count = 0;
    std::size_t bytes = 0;  // of IP packets
    bool empty() const { return count == 0; }
  };

  HeldPackets(std::size_t most, Time now);

  // Moves the packet into a slot; kNoSlot if all are taken, and then the packet stays.
  Slot take(Packet& packet);
  // The slot is free for others; its packet has been moved away or goes with it.
  void free(Slot slot);
  Held& at(Slot slot) { return slots_[slot]; }
  std::uint64_t id(Slot slot) const { return std::uint64_t{slots_[slot].generation} << 32 | slot; }
  // kNoSlot if that packet is not held any more.
  Slot find(std::uint64_t id) const;

  void append(List& list, Slot slot);
  void remove(List& list, Slot slot);

  void set_deadline(Slot slot, Time when) { wheel_.schedule(slot, when); }
  void cancel_deadline(Slot slot) { wheel_.cancel(slot); }
  Time deadline(Slot slot) const { return wheel_.deadline(slot); }
  template <typename Fire>
  void expire(Time now, std::size_t budget, Fire&& fire) {
    wheel_.advance(now, budget, fire);
  }

  std::size_t size() const { return used_; }
  std::size_t capacity() const { return slots_.size(); }

 private:
  std::vector<Held> slots_;
  std::vector<Slot> free_;
  TimerWheel wheel_;
  std::size_t used_ = 0;
};

}  // namespace masqgate::divert
