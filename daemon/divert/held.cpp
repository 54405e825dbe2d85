// Slots, lists and deadlines of held packets.

#include "daemon/divert/held.hpp"

#include <utility>

namespace masqgate::divert {

HeldPackets::HeldPackets(std::size_t most, Time now) : slots_(most), wheel_{most, now} {
  free_.reserve(most);
  for (std::size_t i = most; i-- > 0;) free_.push_back(static_cast<Slot>(i));
}

Slot HeldPackets::take(Packet& packet) {
  if (free_.empty()) return kNoSlot;
  const Slot slot = free_.back();
  free_.pop_back();
  ++used_;
  Held& held = slots_[slot];
  held.packet = std::move(packet);
  held.below = kAllPriorities;
  held.member = kNoMember;
  held.redelivered = false;
  held.in_line = false;
  held.state = Held::State::queued;
  return slot;
}

void HeldPackets::free(Slot slot) {
  Held& held = slots_[slot];
  wheel_.cancel(slot);
  held.packet.frame = {};
  held.state = Held::State::free;
  ++held.generation;
  --used_;
  free_.push_back(slot);
}

Slot HeldPackets::find(std::uint64_t id) const {
  const auto slot = static_cast<Slot>(id);
  if (slot >= slots_.size() || slots_[slot].state == Held::State::free ||
      slots_[slot].generation != id >> 32)
    return kNoSlot;
  return slot;
}

void HeldPackets::append(List& list, Slot slot) {
  Held& held = slots_[slot];
  held.next = kNoSlot;
  held.previous = list.last;
  if (list.last == kNoSlot)
    list.first = slot;
  else
    slots_[list.last].next = slot;
  list.last = slot;
  ++list.count;
  list.bytes += held.packet.frame.ip().size();
}

void HeldPackets::remove(List& list, Slot slot) {
  Held& held = slots_[slot];
  if (held.previous == kNoSlot)
    list.first = held.next;
  else
    slots_[held.previous].next = held.next;
  if (held.next == kNoSlot)
    list.last = held.previous;
  else
    slots_[held.next].previous = held.previous;
  held.next = held.previous = kNoSlot;
  --list.count;
  list.bytes -= held.packet.frame.ip().size();
}

}  // namespace masqgate::divert
