// How packets leave the desk, and how those of a flow wait for each other where their listener wants
// them in order.

#include <algorithm>
#include <utility>

#include "daemon/divert/desk.hpp"

namespace masqgate::divert {

// Whom a packet has to wait for: those of its flow that came to the same rule for the same port, and
// that as many listeners have seen. Whoever died meanwhile, and whoever takes his place, the line
// stays.
std::uint64_t Desk::line_of(const Facts& facts, const Place& place, std::uint16_t port,
                            std::int32_t below) const {
  SipHash hash{key_};
  hash.add(facts.flow).add(std::uint64_t{port} << 32 | static_cast<std::uint32_t>(below));
  return hash.add(std::uint64_t{place.rule().rule} << 8 | facts.hook).finish();
}

// What becomes of the packet is known. In a line it waits for those in front, unless it goes no
// further; with it go those behind that waited for it alone.
void Desk::settle(Slot slot, const Onward& onward) {
  Held& held = held_.at(slot);
  if (!held.in_line) return carry_out(slot, onward);
  if (HeldPackets::List* list = list_of(held)) held_.remove(*list, slot);
  held.state = State::answered;
  held.onward = onward;
  held_.cancel_deadline(slot);
  if (onward.goes_on() && !lines_.is_first(slot)) return;
  // What takes the short cut would overtake those that are still here.
  const auto step_out = [&](Slot one) {
    if (!lines_.is_last(one)) held_.at(one).onward.release.remember = false;
    return lines_.leave(one);
  };
  Slot next = step_out(slot);
  if (onward.goes_on()) held_.append(ready_, slot);
  while (next != kNoSlot && held_.at(next).state == State::answered) {
    const Slot one = std::exchange(next, step_out(next));
    held_.append(ready_, one);
  }
  if (!onward.goes_on()) carry_out(slot, onward);
  if (std::exchange(releasing_, true)) return;  // whoever goes now brought this about
  while (!ready_.empty()) {
    const Slot first = ready_.first;
    held_.remove(ready_, first);
    carry_out(first, Onward{held_.at(first).onward});
  }
  releasing_ = false;
}

void Desk::carry_out(Slot slot, const Onward& onward) {
  if (onward.to == Onward::To::rules) return leave(slot, onward.release);
  if (onward.to == Onward::To::port) return move_to(slot, onward.port);
  Held& held = held_.at(slot);
  const Member next = choose(ports_[held.port], held.facts.flow, held.below, now_);
  if (next == kNoMember) return leave(slot, onward.release);
  if (HeldPackets::List* list = list_of(held)) held_.remove(*list, slot);
  enqueue(slot, next, now_);
}

// To another port, which exists.
void Desk::move_to(Slot slot, std::uint16_t number) {
  Held& held = held_.at(slot);
  if (HeldPackets::List* list = list_of(held)) held_.remove(*list, slot);
  const std::size_t bytes = held.packet.frame.ip().size();
  Port& from = ports_[held.port];
  Port& to = *find_port(number);
  --from.held;
  from.bytes -= bytes;
  ++to.held;
  to.bytes += bytes;
  held.port = port_index_[number];
  held.terms.port = number;
  held.below = kAllPriorities;
  const Member next = choose(to, held.facts.flow, held.below, now_);
  if (next != kNoMember) return enqueue(slot, next, now_);
  held.state = State::orphan;
  held.redelivered = true;  // its time without a listener ends as the rule says
  held_.append(to.orphans, slot);
  held_.set_deadline(slot, now_);
}

// The packet leaves the desk. Its slot is free before the corridor has it, because it may come back.
void Desk::leave(Slot slot, const Release& release) {
  Held& held = held_.at(slot);
  if (HeldPackets::List* list = list_of(held)) held_.remove(*list, slot);
  Port& port = ports_[held.port];
  Packet packet = std::move(held.packet);
  const Place place = held.place;
  const Facts facts = held.facts;
  const bool was_seen = held.state == State::given || held.state == State::answered;
  const Member member = was_seen ? held.member : kNoMember;
  const std::uint64_t id = held_.id(slot), gone = corridor_.rules_gone();
  held_.free(slot);
  const std::size_t bytes = packet.frame.ip().size();
  --port.held;
  port.bytes -= bytes;
  bytes_ -= bytes;
  corridor_.go_on(packet, place, facts, release);
  if (member != kNoMember && corridor_.rules_gone() != gone)
    notice(listeners_[member], id, format::Code::rule_gone);
}

// Oldest first. A rule behind may divert them again, but not for ever: each time is a hop.
std::size_t Desk::end(bool pass, Time now) {
  now_ = now;
  const std::size_t count = held_.size();
  std::vector<Slot> slots;
  while (held_.size() != 0) {
    slots.clear();
    for (Slot slot = 0; slot < held_.capacity(); ++slot) {
      const State state = held_.at(slot).state;
      if (state != State::free && state != State::answered) slots.push_back(slot);
    }
    std::ranges::stable_sort(slots, {}, [&](Slot slot) { return held_.at(slot).since; });
    for (const Slot slot : slots) {
      if (held_.at(slot).state == State::free) continue;
      if (pass)
        let_go(slot, {});
      else
        let_go(slot, {Release::Kind::drop, DropReason::shutting_down});
    }
  }
  return count;
}

}  // namespace masqgate::divert
