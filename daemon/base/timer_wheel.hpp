// A hashed hierarchical timer wheel (Varghese and Lauck) over records that have a number.
//
//   level 0: 64 slots of one tick; level 1: 64 slots of 64 ticks; … level 3 reaches 13 days.
//
// Scheduling, cancelling and firing cost O(1); a tick is 2^26 ns, about 67 ms. Deadlines are
// rounded up: nothing fires early. Records far ahead move down a level each time the wheel below
// has turned.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "daemon/base/clock.hpp"

namespace masqgate {

class TimerWheel {
 public:
  static constexpr Duration kTick{1 << 26};

  // Records are 0 … capacity-1.
  TimerWheel(std::size_t capacity, Time now);

  void schedule(std::uint32_t record, Time deadline);  // moves it if it was scheduled already
  void cancel(std::uint32_t record);                   // nothing happens if it was not scheduled
  bool is_scheduled(std::uint32_t record) const { return nodes_[record].next != record; }
  // When it would fire; only for a scheduled one.
  Time deadline(std::uint32_t record) const { return time_of(nodes_[record].tick); }

  // Turns the wheel up to now and calls fire(record) for each record that is due, at most budget
  // times; what is left fires at the next call. A record is off the wheel when fire is called.
  template <typename Fire>
  std::size_t advance(Time now, std::size_t budget, Fire&& fire) {
    turn_to(tick_of(now));
    std::size_t fired = 0;
    for (; fired < budget && nodes_[due_].next != due_; ++fired) {
      const std::uint32_t record = nodes_[due_].next;
      unlink(record);
      fire(record);
    }
    return fired;
  }

 private:
  static constexpr unsigned kLevels = 4, kSlotBits = 6, kSlots = 1 << kSlotBits;
  using Tick = std::uint32_t;  // lasts nine years from boot
  struct Node {
    std::uint32_t next;
    std::uint32_t previous;
    Tick tick = 0;
  };

  Tick tick_of(Time time) const;
  Time time_of(Tick tick) const { return Time{kTick * static_cast<std::int64_t>(tick)}; }
  std::uint32_t head(unsigned level, Tick tick) const;
  void place(std::uint32_t record);
  void append(std::uint32_t list, std::uint32_t record);
  void unlink(std::uint32_t record);
  void turn_to(Tick tick);
  template <typename Each>
  void empty_list(std::uint32_t list, Each&& each);

  std::vector<Node> nodes_;  // records, then the heads of the lists
  std::uint32_t first_head_;
  std::uint32_t due_;
  Tick now_;
};

}  // namespace masqgate
