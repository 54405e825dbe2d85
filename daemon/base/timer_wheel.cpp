#include "daemon/base/timer_wheel.hpp"

#include <algorithm>

namespace masqgate {

TimerWheel::TimerWheel(std::size_t capacity, Time now)
    : nodes_(capacity + kLevels * kSlots + 1),
      first_head_{static_cast<std::uint32_t>(capacity)},
      due_{static_cast<std::uint32_t>(nodes_.size() - 1)},
      now_{tick_of(now)} {
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) nodes_[i] = {i, i, 0};
}

TimerWheel::Tick TimerWheel::tick_of(Time time) const {
  return static_cast<Tick>(std::max<std::int64_t>(0, time.time_since_epoch() / kTick));
}

std::uint32_t TimerWheel::head(unsigned level, Tick tick) const {
  const auto slot = static_cast<std::uint32_t>((tick >> (kSlotBits * level)) & (kSlots - 1));
  return first_head_ + level * kSlots + slot;
}

void TimerWheel::append(std::uint32_t list, std::uint32_t record) {
  nodes_[record].next = list;
  nodes_[record].previous = nodes_[list].previous;
  nodes_[nodes_[list].previous].next = record;
  nodes_[list].previous = record;
}

void TimerWheel::unlink(std::uint32_t record) {
  nodes_[nodes_[record].previous].next = nodes_[record].next;
  nodes_[nodes_[record].next].previous = nodes_[record].previous;
  nodes_[record].next = nodes_[record].previous = record;
}

void TimerWheel::cancel(std::uint32_t record) {
  unlink(record);
}

// The lowest level whose reach covers the distance; beyond the last level a record waits in its
// farthest slot and is placed again from there.
void TimerWheel::place(std::uint32_t record) {
  const Tick tick = nodes_[record].tick;
  if (tick <= now_) return append(due_, record);
  constexpr Tick kReach = Tick{1} << (kSlotBits * kLevels);
  const Tick distance = std::min(tick - now_, kReach - 1);
  unsigned level = 0;
  while (distance >> (kSlotBits * (level + 1)) != 0) ++level;
  append(head(level, now_ + distance), record);
}

void TimerWheel::schedule(std::uint32_t record, Time deadline) {
  unlink(record);
  nodes_[record].tick = tick_of(deadline) + 1;  // rounded up
  place(record);
}

template <typename Each>
void TimerWheel::empty_list(std::uint32_t list, Each&& each) {
  while (nodes_[list].next != list) {
    const std::uint32_t record = nodes_[list].next;
    unlink(record);
    each(record);
  }
}

void TimerWheel::turn_to(Tick tick) {
  while (now_ < tick) {
    ++now_;
    // A level moves down when every level below it has come round.
    for (unsigned level = 1; level < kLevels; ++level) {
      if ((now_ & ((Tick{1} << (kSlotBits * level)) - 1)) != 0) break;
      empty_list(head(level, now_), [&](std::uint32_t record) { place(record); });
    }
    empty_list(head(0, now_), [&](std::uint32_t record) { append(due_, record); });
  }
}

}  // namespace masqgate
