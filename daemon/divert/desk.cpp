// How packets reach listeners, wait, and leave when nobody answers.

#include "daemon/divert/desk.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::divert {

namespace {

Duration milliseconds(std::uint32_t count) {
  return std::chrono::milliseconds{count};
}

}  // namespace

Desk::Desk(const Limits& limits, HashKey key, Corridor& corridor, Time now)
    : limits_{limits},
      key_{key},
      corridor_{corridor},
      held_{limits.packets, now},
      now_{now},
      listeners_(kMostListeners),
      serials_(kMostListeners),
      port_index_(65536, kMostPorts) {
  ports_.reserve(kMostPorts);
  unsent_.reserve(kMostListeners);
}

Desk::Port* Desk::find_port(std::uint16_t number) {
  const std::size_t index = port_index_[number];
  return index == kMostPorts ? nullptr : &ports_[index];
}

// Ports stay once they were named: their counters are of interest when their listeners are gone.
Desk::Port* Desk::make_port(std::uint16_t number) {
  if (Port* port = find_port(number)) return port;
  if (ports_.size() == kMostPorts) return nullptr;
  port_index_[number] = static_cast<std::uint8_t>(ports_.size());
  ports_.emplace_back();
  ports_.back().number = number;
  ports_.back().members.reserve(kMostListeners);
  return &ports_.back();
}

void Desk::set_rules(std::vector<Terms> rules) {
  rules_ = std::move(rules);
  for (const Terms& terms : rules_) make_port(terms.port);
}

// The member with the highest score for this flow; weights are so many tries. Who joins or leaves
// moves only the flows that it gets or had.
Member Desk::rendezvous(std::span<const Member> group, std::uint64_t flow) const {
  Member best = kNoMember;
  std::uint64_t most = 0;
  for (const Member member : group)
    for (std::uint64_t i = 0; i < listeners_[member].weight; ++i) {
      SipHash hash{key_};
      const std::uint64_t score =
          hash.add(flow).add(std::uint64_t{serials_[member]} << 32 | member).add(i).finish();
      if (best != kNoMember && score <= most) continue;
      best = member;
      most = score;
    }
  return best;
}

// Who gets the packets of this flow: of the highest priority below the limit, whoever had the flow
// before.
Member Desk::choose(Port& port, std::uint64_t flow, std::int32_t below, Time now) {
  std::array<Member, kMostListeners> group;
  std::size_t size = 0;
  for (const Member member : port.members) {
    const Listener& listener = listeners_[member];
    if (listener.is_tee() || listener.draining || listener.priority >= below) continue;
    if (size != 0 && listener.priority != listeners_[group[0]].priority) break;
    group[size++] = member;
  }
  if (size == 0) return kNoMember;
  const std::span<const Member> members{group.data(), size};
  const auto any = [&](Member one) {
    return (listeners_[one].flags & format::kBindAnyMember) != 0;
  };
  if (std::ranges::all_of(members, any))
    return *std::ranges::min_element(members, {}, [&](Member one) {
      return listeners_[one].queue.count + listeners_[one].given.count;
    });
  if (port.pins.empty()) port.pins.resize(kPins);
  // The flow's number is a keyed hash already.
  const auto rank = static_cast<std::uint64_t>(listeners_[group[0]].priority);
  Port::Pin& pin = port.pins[(flow + rank * 0x9e3779b97f4a7c15) % kPins];
  const bool stands = pin.member != kNoMember && pin.serial == serials_[pin.member] &&
                      now - pin.used < kPinLife &&
                      std::ranges::find(members, pin.member) != members.end();
  if (!stands) pin = {rendezvous(members, flow), 0, now};
  pin.serial = serials_[pin.member];
  pin.used = now;
  return pin.member;
}

Desk::Fate Desk::divert(Packet& packet, const Terms& terms, const Place& place, const Facts& facts,
                        Time now) {
  using enum Fate::Kind;
  now_ = now;
  Port* port = find_port(terms.port);
  if (packet.not_diverted || (packet.divert_origin == terms.port && !terms.allow_own))
    return {pass};
  if (packet.hops >= limits_.hops) {
    if (port != nullptr) ++port->counters.loops;
    return {drop, DropReason::divert_loop};
  }
  const auto order = flows_.ask(facts.flow, terms.port);
  // Nothing overtakes what is still here in order.
  const bool must_wait =
      !lines_.empty() && lines_.has(line_of(facts, place, terms.port, kAllPriorities));
  if (port != nullptr && order.order == FlowOrders::Order::offload && !must_wait) {
    ++port->counters.offloaded;
    return {pass, {}, order.for_ever};
  }
  if (port != nullptr && order.order == FlowOrders::Order::block) {
    ++port->counters.blocked;
    return {drop, DropReason::divert_verdict};
  }
  if (port == nullptr) return without_listener(nullptr, packet, terms, place, facts, now);
  copy_to_tees(*port, packet, terms, place, facts, false, now);
  const Member member = choose(*port, facts.flow, kAllPriorities, now);
  if (member == kNoMember) return without_listener(port, packet, terms, place, facts, now);
  const bool is_many = packet.frame.offload.gso() != wire::VnetHeader::Gso::none;
  if (is_many && (listeners_[member].flags & format::kBindSegments) == 0) return {segment};
  if (!is_many && (listeners_[member].flags & format::kBindPartialSums) == 0)
    corridor_.complete_checksum(packet);
  return hold(*port, member, packet, terms, place, facts, now);
}

Desk::Fate Desk::without_listener(Port* port, Packet& packet, const Terms& terms,
                                  const Place& place, const Facts& facts, Time now) {
  using enum Fate::Kind;
  const bool soon = port != nullptr && port->grace_until > now && terms.death == Death::redeliver;
  if (port != nullptr && (soon || terms.nobody == Nobody::hold))
    return hold(*port, kNoMember, packet, terms, place, facts, now);
  if (terms.nobody == Nobody::pass) {
    if (port != nullptr) ++port->counters.nobody_passed;
    return {pass};
  }
  if (port != nullptr) ++port->counters.nobody_dropped;
  return {terms.nobody == Nobody::reject ? reject : drop, DropReason::divert_nobody};
}

bool Desk::is_full(const Port& port, std::size_t bytes) const {
  return held_.size() == held_.capacity() || bytes_ + bytes > limits_.bytes ||
         port.held >= limits_.port_packets || port.bytes + bytes > limits_.port_bytes;
}

// Lets the oldest packets of the same listener go that it has not got yet.
bool Desk::make_room(Port& port, Member member, const Terms& terms, std::size_t bytes) {
  HeldPackets::List& list = member == kNoMember ? port.orphans : listeners_[member].queue;
  while (is_full(port, bytes) && terms.full == Full::drop_oldest && !list.empty()) {
    ++port.counters.full_dropped;
    let_go(list.first, {Release::Kind::drop, DropReason::divert_full});
  }
  return !is_full(port, bytes);
}

Desk::Fate Desk::hold(Port& port, Member member, Packet& packet, const Terms& terms,
                      const Place& place, const Facts& facts, Time now) {
  const std::size_t bytes = packet.frame.ip().size();
  if (is_full(port, bytes) && !make_room(port, member, terms, bytes)) {
    if (terms.full == Full::pass) {
      ++port.counters.full_passed;
      return {Fate::Kind::pass};
    }
    ++port.counters.full_dropped;
    return {Fate::Kind::drop, DropReason::divert_full};
  }
  ++port.counters.diverted;
  ++packet.hops;
  const Slot slot = held_.take(packet);
  Held& held = held_.at(slot);
  held.terms = terms;
  held.place = place;
  held.facts = facts;
  held.since = now;
  held.port = port_index_[port.number];
  ++port.held;
  port.bytes += bytes;
  bytes_ += bytes;
  if (member != kNoMember) {
    enqueue(slot, member, now);
  } else {
    held.state = State::orphan;
    held_.append(port.orphans, slot);
    held_.set_deadline(slot, now + milliseconds(terms.grace_ms));
  }
  return {Fate::Kind::held};
}

// Puts a packet that is on no list at the end of a listener's queue.
void Desk::enqueue(Slot slot, Member member, Time now) {
  Held& held = held_.at(slot);
  Listener& listener = listeners_[member];
  held.member = member;
  held.state = State::queued;
  held_.append(listener.queue, slot);
  if (listener.is_ordered() && !held.in_line)
    lines_.join(slot, line_of(held.facts, held.place, listener.number, held.below));
  held_.set_deadline(slot, now + milliseconds(held.terms.deadline_ms));
  want_flush(member);
  if (!listener.blocked &&
      (listener.queue.count >= kBatch || listener.queue.bytes >= format::kFullFrame))
    flush(member, now);
}

HeldPackets::List* Desk::list_of(Held& held) {
  switch (held.state) {
    case State::queued:
      return &listeners_[held.member].queue;
    case State::given:
      return &listeners_[held.member].given;
    case State::orphan:
      return &ports_[held.port].orphans;
    case State::answered:
    case State::free:
      break;
  }
  return nullptr;
}

PacketRecord Desk::record_of(Listener& listener, Packet& packet, const Terms& terms,
                             const Place& place, const Facts& facts) {
  PacketRecord record;
  record.header = describe(packet, terms, place, facts, listener.snapshot);
  record.packet = format::Bytes{packet.frame.ip()}.first(record.header.captured_length);
  if (listener.options == 0) return record;
  const auto wants = [&](format::Option option) {
    return (listener.options & format::wants(option)) != 0;
  };
  if (wants(format::Option::in_name)) record.options.in_name = corridor_.port_name(packet.ingress);
  if (wants(format::Option::out_name)) record.options.out_name = corridor_.port_name(packet.egress);
  if (wants(format::Option::in_address))
    record.options.in_address = corridor_.address_of(packet.ingress, packet.family);
  if (wants(format::Option::rule_name))
    record.options.rule = corridor_.rule_name(place.rule().rule);
  if (wants(format::Option::user) && facts.first_of_flow && packet.from == Side::host)
    record.options.user = corridor_.user_of(packet);
  if (wants(format::Option::link_header)) record.options.link = packet.frame.link();
  if (wants(format::Option::original_tuple) || wants(format::Option::reply_tuple)) {
    Tuple original, reply;
    if (corridor_.tuples(packet, original, reply)) {
      if (wants(format::Option::original_tuple)) record.options.original = original;
      if (wants(format::Option::reply_tuple)) record.options.reply = reply;
    }
  }
  return record;
}

void Desk::tee(Packet& packet, const Terms& terms, const Place& place, const Facts& facts,
               Time now) {
  Port* port = find_port(terms.port);
  if (port == nullptr || packet.divert_origin == terms.port) return;
  ++port->counters.teed;
  copy_to_tees(*port, packet, terms, place, facts, true, now);
}

// all: to whoever is bound; otherwise only to those that asked for copies.
void Desk::copy_to_tees(Port& port, Packet& packet, const Terms& terms, const Place& place,
                        const Facts& facts, bool all, Time now) {
  for (const Member member : port.members) {
    Listener& listener = listeners_[member];
    if (!listener.is_tee() && !all) continue;
    PacketRecord record = record_of(listener, packet, terms, place, facts);
    record.header.flags = record.header.flags | format::kTee;
    record.header.timestamp_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
    const std::size_t size = size_of(record);
    if (has_no_room(listener, size) && !listener.blocked) send(listener);
    if (has_no_room(listener, size)) {
      ++listener.counters.lost;
      if (listener.lost != 0xffff) ++listener.lost;
      continue;
    }
    put(listener, record);
    if (listener.wants(format::kBindFlows)) note_flow(listener, packet, facts.flow, now);
    ++listener.counters.delivered;
    listener.counters.bytes += record.packet.size();
    want_flush(member);
  }
}

void Desk::want_flush(Member member) {
  if (std::ranges::find(unsent_, member) == unsent_.end()) unsent_.push_back(member);
}

// False if the channel took it not.
bool Desk::send(Listener& listener) {
  if (listener.blocked) return false;
  Outbox& outbox = *listener.outbox;
  if (outbox.empty()) return true;
  const auto sent = listener.channel->send(
      listener.plain ? outbox.plain() : outbox.finish(listener.lost, !listener.queue.empty()));
  if (sent == Channel::Sent::full) {
    listener.blocked = true;
    return false;
  }
  ++listener.counters.frames;
  listener.lost = 0;
  outbox.clear();
  return sent == Channel::Sent::sent;  // gone: whoever owns the channel will say forget()
}

bool Desk::has_no_room(const Listener& listener, std::size_t size) const {
  if (listener.one_by_one()) return !listener.outbox->empty();
  return listener.outbox->is_full_for(size);
}

void Desk::put(Listener& listener, const PacketRecord& record) {
  if (!listener.plain)
    return write(record, listener.outbox->add(format::Kind::packets, size_of(record)));
  format::PlainHeader header;
  header.id = record.header.id;
  header.in_interface = record.header.in_interface;
  header.rule_position = record.header.rule_position;
  header.hook = record.header.hook;
  const auto room =
      listener.outbox->add(format::Kind::packets, sizeof header + record.packet.size());
  std::memcpy(room.data(), &header, sizeof header);
  std::ranges::copy(record.packet, room.subspan(sizeof header).begin());
}

// The packet's record goes into the outbox, and the packet to those that the listener has.
void Desk::emit(Listener& listener, Slot slot, Time now) {
  Held& held = held_.at(slot);
  PacketRecord record = record_of(listener, held.packet, held.terms, held.place, held.facts);
  record.header.id = held_.id(slot);
  record.header.timestamp_ns = static_cast<std::uint64_t>(held.since.time_since_epoch().count());
  if (held.redelivered) record.header.flags = record.header.flags | format::kRedelivered;
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(held_.deadline(slot) - now);
  record.header.deadline_us =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(left.count(), 0, 0xffffffff));
  put(listener, record);
  if (listener.wants(format::kBindFlows)) note_flow(listener, held.packet, held.facts.flow, now);
  held_.remove(listener.queue, slot);
  held.state = State::given;
  held.given = now;
  held_.append(listener.given, slot);
  ++listener.counters.delivered;
  listener.counters.bytes += record.packet.size();
}

void Desk::flush(Member member, Time now) {
  Listener& listener = listeners_[member];
  if (listener.channel == nullptr || listener.blocked) return;
  // Bound of a record's size: header, all options, the packet.
  constexpr std::size_t kFront = sizeof(format::PacketHeader) + 256;
  while (!listener.queue.empty() && listener.given.count < listener.credit) {
    const Slot slot = listener.queue.first;
    const std::size_t size = kFront + held_.at(slot).packet.frame.ip().size();
    if (has_no_room(listener, size) && !send(listener)) return;
    emit(listener, slot, now);
  }
  if (!send(listener)) return;
  if (!listener.news->empty() &&
      listener.channel->send(listener.news->finish(0, false)) != Channel::Sent::full)
    listener.news->clear();
}

void Desk::flush(Time now) {
  // What a flush brings about may want another one; that comes with the next turn.
  const std::size_t count = unsent_.size();
  for (std::size_t i = 0; i < count; ++i) flush(unsent_[i], now);
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Desk::writable(Member member, Time now) {
  listeners_[member].blocked = false;
  flush(member, now);
}

void Desk::tick(Time now) {
  now_ = now;
  held_.expire(now, kExpireBudget, [&](Slot slot) { expire(slot); });
  sweep_flows(now);
}

// Time is over: for a verdict, or for a listener to come.
void Desk::expire(Slot slot) {
  Held& held = held_.at(slot);
  PortCounters& counters = ports_[held.port].counters;
  const bool alone = held.state == State::orphan;
  const Nobody nobody = held.terms.nobody;
  if (alone && nobody != Nobody::hold && held.redelivered) {
    const bool pass = nobody == Nobody::pass;
    ++(pass ? counters.nobody_passed : counters.nobody_dropped);
    if (pass) return let_go(slot, {});
    const auto kind = nobody == Nobody::reject ? Release::Kind::reject : Release::Kind::drop;
    return let_go(slot, {kind, DropReason::divert_nobody});
  }
  const Member member = held.member;
  const std::uint64_t id = held_.id(slot);
  if (!alone && held.state == State::given) {
    ++listeners_[member].counters.expired;
    notice(listeners_[member], id, format::Code::expired);
  }
  const bool pass = held.terms.late == Late::pass;
  ++(pass ? counters.late_passed : counters.late_dropped);
  if (pass)
    let_go(slot, {});
  else
    let_go(slot, {Release::Kind::drop, DropReason::divert_late});
  if (!alone && listeners_[member].channel != nullptr) finish_drain(listeners_[member]);
  if (!alone) want_flush(member);  // there may be credit again
}

}  // namespace masqgate::divert
