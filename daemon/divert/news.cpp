// What listeners are told beside packets: flows that begin and end, and others that come and go
// (format.hpp, records 5 and 6). It waits in the listener's outbox for news, which is bounded; what
// found no room there is told by its number.

#include <algorithm>

#include "daemon/divert/desk.hpp"

namespace masqgate::divert {
namespace {

// Room for notices, which are about packets, is left free.
constexpr std::size_t kRoomForNotices = 8 << 10;
constexpr std::size_t kSweep = 512;  // watched flows looked at in one tick
// A flow that was not confirmed by then, since its last packet was given, never will be: longer than
// the deadline of most.
constexpr Duration kAdmission = std::chrono::seconds{5};

format::ListenerEnd end_of(const Listener& listener) {
  if (listener.sent_away) return format::ListenerEnd::sent_away;
  return listener.draining ? format::ListenerEnd::drained : format::ListenerEnd::died;
}

format::FlowHeader flow_record(const FlowFacts& facts, std::uint16_t port) {
  format::FlowHeader record;
  record.flow = facts.flow;
  record.port = port;
  record.original = tuple_value(facts.original);
  record.reply = tuple_value(facts.reply);
  for (std::size_t i = 0; i < 2; ++i) {
    record.packets[i] = facts.packets[i];
    record.bytes[i] = facts.bytes[i];
  }
  return record;
}

}  // namespace

template <typename Header>
void Desk::add_news(Listener& listener, const Header& record) {
  if (listener.news == nullptr) return;
  tell_lost(listener);
  if (listener.news_lost != 0 ||
      listener.news->used() + sizeof record + kRoomForNotices > format::kFullFrame) {
    ++listener.news_lost;
    news_lost_ = true;
    return;
  }
  const auto room = listener.news->add(format::Kind::notices, sizeof record);
  std::memcpy(room.data(), &record, sizeof record);
  want_flush(static_cast<Member>(&listener - listeners_.data()));
}

// Who missed something learns it as soon as there is room again.
void Desk::tell_lost(Listener& listener) {
  if (listener.news_lost == 0 || listener.channel == nullptr || !listener.news->empty()) return;
  notice(listener, 0, format::Code::lost, std::exchange(listener.news_lost, 0));
}

bool Desk::may_see(const Listener& who, std::uint16_t port) const {
  return (access_->permissions(who.peer, port) & (format::kMayListen | format::kMayTee)) != 0;
}

void Desk::tell_listener(Listener& to, const Listener& about, format::ListenerEvent event) {
  format::ListenerHeader record;
  record.event = static_cast<std::uint8_t>(event);
  if (event == format::ListenerEvent::left) record.end = static_cast<std::uint8_t>(end_of(about));
  record.port = about.number;
  record.process = about.peer.process;
  record.user = about.peer.user;
  record.group = about.peer.group;
  record.priority = about.priority;
  record.weight = about.weight;
  record.flags = about.flags;
  for (const Terms& terms : rules_) {
    if (terms.port != about.number) continue;
    record.nobody = static_cast<std::uint8_t>(terms.nobody);
    record.full = static_cast<std::uint8_t>(terms.full);
    record.late = static_cast<std::uint8_t>(terms.late);
    record.death = static_cast<std::uint8_t>(terms.death);
    record.deadline_ms = terms.deadline_ms;
    break;
  }
  about.name.copy(record.name, sizeof record.name - 1);
  add_news(to, record);
}

// To all that asked for it and may know.
void Desk::tell_listeners(const Listener& about, format::ListenerEvent event) {
  for (Listener& one : listeners_)
    if (one.channel != nullptr && one.wants(format::kBindReflect) && &one != &about &&
        may_see(one, about.number))
      tell_listener(one, about, event);
}

// Who binds learns who is there; others learn that he is.
void Desk::introduce(Listener& listener) {
  if (listener.wants(format::kBindFlows)) {
    watch_.prepare();
    ++flow_watchers_;
  }
  tell_listeners(listener, format::ListenerEvent::came);
  if (!listener.wants(format::kBindReflect)) return;
  for (const Listener& one : listeners_)
    if (one.channel != nullptr && one.bound && &one != &listener && may_see(listener, one.number))
      tell_listener(listener, one, format::ListenerEvent::was_there);
}

void Desk::see_off(const Listener& listener) {
  if (listener.wants(format::kBindFlows)) --flow_watchers_;
  tell_listeners(listener, format::ListenerEvent::left);
}

void Desk::end_flow(const FlowWatch::Entry& entry, format::FlowEnd end) {
  Listener& listener = listeners_[entry.member];
  if (listener.channel == nullptr || serials_[entry.member] != entry.serial) return;
  format::FlowHeader record = flow_record(entry.facts, listener.number);
  record.event = static_cast<std::uint8_t>(format::FlowEvent::end);
  record.end = static_cast<std::uint8_t>(end);
  add_news(listener, record);
}

// The listener is given this packet: of a flow that is new to it, it is told.
void Desk::note_flow(Listener& listener, const Packet& packet, std::uint64_t flow, Time now) {
  const auto member = static_cast<Member>(&listener - listeners_.data());
  const std::uint32_t serial = serials_[member];
  if (FlowWatch::Entry* known = watch_.find(flow, member, serial)) {
    known->used = now;
    return;
  }
  FlowFacts facts;
  if (!corridor_.flow(packet, facts)) return;
  if (facts.flow != flow) {  // of a fragment, which has a name of its own
    if (FlowWatch::Entry* known = watch_.find(facts.flow, member, serial)) {
      known->used = now;
      return;
    }
  }
  if (const auto forgotten = watch_.add({facts, now, serial, member}))
    end_flow(*forgotten, format::FlowEnd::forgotten);
  format::FlowHeader record = flow_record(facts, listener.number);
  record.event = static_cast<std::uint8_t>(format::FlowEvent::start);
  add_news(listener, record);
}

void Desk::flow_ended(const FlowFacts& facts, format::FlowEnd end) {
  for (FlowWatch::Entry& entry : watch_.bucket(facts.flow)) {
    if (entry.member == kNoMember || entry.facts.flow != facts.flow) continue;
    entry.facts = facts;
    end_flow(entry, end);
    entry.member = kNoMember;
  }
}

// A connection whose first packets were dropped never enters the table, and never leaves it.
void Desk::sweep_flows(Time now) {
  for (FlowWatch::Entry& entry : watch_.next_slice(flow_watchers_ == 0 ? 0 : kSweep)) {
    if (entry.member == kNoMember) continue;
    if (serials_[entry.member] != entry.serial) entry.member = kNoMember;
    if (entry.member == kNoMember || entry.facts.confirmed || now - entry.used < kAdmission)
      continue;
    entry.facts.confirmed = corridor_.is_flow(entry.facts.original);
    if (entry.facts.confirmed) continue;
    end_flow(entry, format::FlowEnd::not_admitted);
    entry.member = kNoMember;
  }
  if (!std::exchange(news_lost_, false)) return;
  for (Listener& listener : listeners_) {
    tell_lost(listener);
    news_lost_ = news_lost_ || (listener.channel != nullptr && listener.news_lost != 0);
  }
}

}  // namespace masqgate::divert
