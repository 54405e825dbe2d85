// Listeners come, bind, drain and go; what they had goes on without them.

#include <algorithm>
#include <string>

#include "daemon/divert/desk.hpp"

namespace masqgate::divert {
namespace {

constexpr std::uint32_t kKnownOptions =
    format::wants(format::Option::in_name) | format::wants(format::Option::out_name) |
    format::wants(format::Option::in_address) | format::wants(format::Option::link_header) |
    format::wants(format::Option::original_tuple) | format::wants(format::Option::reply_tuple) |
    format::wants(format::Option::user) | format::wants(format::Option::rule_name);
constexpr std::uint16_t kKnownFlags =
    format::kBindTee | format::kBindSegments | format::kBindPartialSums | format::kBindAnyMember |
    format::kBindOneByOne | format::kBindShared | format::kBindOrdered | format::kBindFlows |
    format::kBindReflect;

template <typename Header>
void put_record(Outbox& outbox, format::Kind kind, const Header& header) {
  const auto room = outbox.add(kind, sizeof header);
  std::memcpy(room.data(), &header, sizeof header);
}

}  // namespace

Member Desk::attach(Channel& channel, const Peer& peer) {
  const auto free =
      std::ranges::find_if(listeners_, [](const Listener& one) { return one.channel == nullptr; });
  if (free == listeners_.end()) return kNoMember;
  const auto member = static_cast<Member>(free - listeners_.begin());
  ++serials_[member];
  *free = Listener{};
  free->channel = &channel;
  free->peer = peer;
  free->outbox = std::make_unique<Outbox>(&channel);
  free->news = std::make_unique<Outbox>();
  flows_.prepare();
  return member;
}

// What an option or a right would need is said in words: it is never left out in silence.
bool Desk::bind_problem(Listener& listener, const format::BindHeader& bind,
                        std::string_view& problem) {
  const std::uint32_t granted = access_->permissions(listener.peer, bind.port);
  const std::uint32_t needed =
      bind.permissions |
      ((bind.flags & format::kBindTee) != 0 ? format::kMayTee : format::kMayListen);
  if (listener.bound)
    problem = "is bound already";
  else if (bind.port == 0)
    problem = "port 0 is none";
  else if ((bind.flags & ~kKnownFlags) != 0)
    problem = "asks for a flag that this masqgate does not know";
  else if ((bind.options & ~kKnownOptions) != 0)
    problem = "asks for an option that this masqgate does not know";
  else if (bind.weight == 0 || bind.weight > 16)
    problem = "the weight must be 1 to 16";
  else if ((needed & ~granted) != 0)
    problem =
        "may not: divert.access of the configuration does not allow it for this user and port";
  else if ((bind.options & format::wants(format::Option::link_header)) != 0 &&
           (bind.permissions & format::kMaySeeLink) == 0)
    problem = "link headers need the permission to see them";
  else if ((bind.options & format::wants(format::Option::user)) != 0 &&
           (bind.permissions & format::kMaySeeUser) == 0)
    problem = "users need the permission to see them";
  else if (make_port(bind.port) == nullptr)
    problem = "there are too many ports in use";
  return !problem.empty();
}

bool Desk::bind(Member member, const format::BindHeader& bind, Time now) {
  Listener& listener = listeners_[member];
  std::string_view problem;
  if (bind_problem(listener, bind, problem)) {
    bye(listener, problem);
    return false;
  }
  listener.bound = true;
  listener.number = bind.port;
  listener.port = port_index_[bind.port];
  listener.flags = bind.flags;
  if ((bind.flags & format::kBindShared) != 0 && !listener.channel->share())
    listener.flags &= static_cast<std::uint16_t>(~format::kBindShared);
  listener.priority = bind.priority;
  listener.weight = bind.weight;
  listener.snapshot = bind.snapshot;
  listener.options = bind.options;
  const std::uint32_t kind = listener.is_tee() ? format::kMayTee : format::kMayListen;
  listener.permissions = bind.permissions | kind;
  const auto most = static_cast<std::uint32_t>(limits_.port_packets);
  listener.credit = bind.credit == 0 ? most : std::min<std::uint32_t>(bind.credit, most);
  const auto end = std::ranges::find(bind.name, '\0');
  listener.name.assign(std::begin(bind.name), end);
  for (char& c : listener.name)
    if (c < ' ' || c > '~') c = '?';
  Port& port = ports_[listener.port];
  const auto behind = std::ranges::find_if(
      port.members, [&](Member other) { return listeners_[other].priority < listener.priority; });
  port.members.insert(behind, member);
  ++port.counters.attached;
  tell(Event::Kind::attached, listener);
  if (!listener.plain) acknowledge(listener);
  introduce(listener);
  if (!listener.is_tee()) adopt_orphans(port, now);
  want_flush(member);
  return true;
}

void Desk::acknowledge(Listener& listener) {
  format::BoundHeader bound;
  bound.port = listener.number;
  bound.flags = listener.flags;
  bound.priority = listener.priority;
  bound.weight = listener.weight;
  bound.credit = listener.credit;
  bound.snapshot = listener.snapshot;
  bound.options = listener.options;
  bound.permissions = listener.permissions;
  bound.queue_packets = static_cast<std::uint32_t>(limits_.port_packets);
  bound.queue_bytes = limits_.port_bytes;
  std::uint32_t count = 0;
  for (const Terms& terms : rules_) {
    if (terms.port != listener.number || count++ != 0) continue;
    bound.deadline_ms = terms.deadline_ms;
    bound.grace_ms = terms.grace_ms;
    bound.nobody = static_cast<std::uint8_t>(terms.nobody);
    bound.full = static_cast<std::uint8_t>(terms.full);
    bound.late = static_cast<std::uint8_t>(terms.late);
    bound.death = static_cast<std::uint8_t>(terms.death);
  }
  bound.rules = count;
  put_record(*listener.outbox, format::Kind::control, bound);
  send(listener);
}

// Those that waited for a listener are for whoever their flow falls to.
void Desk::adopt_orphans(Port& port, Time now) {
  port.grace_until = {};
  for (std::size_t left = port.orphans.count; left-- > 0;) {
    const Slot slot = port.orphans.first;
    Held& held = held_.at(slot);
    const Member member = choose(port, held.facts.flow, held.below, now);
    held_.remove(port.orphans, slot);
    if (member == kNoMember)
      held_.append(port.orphans, slot);
    else
      enqueue(slot, member, now);
  }
}

// The packet's listener is gone, and it is on no list.
void Desk::rehome(Slot slot, Time now) {
  Held& held = held_.at(slot);
  Port& port = ports_[held.port];
  if (held.terms.death == Death::redeliver) {
    held.redelivered = true;
    const Member member = choose(port, held.facts.flow, held.below, now);
    if (member != kNoMember) {
      ++port.counters.redelivered;
      ++listeners_[member].counters.redelivered;
      return enqueue(slot, member, now);
    }
    held.state = State::orphan;
    held.member = kNoMember;
    held_.append(port.orphans, slot);
    const Duration grace = std::chrono::milliseconds{held.terms.grace_ms};
    held_.set_deadline(slot, now + grace);
    port.grace_until = std::max(port.grace_until, now + grace);
    ++port.counters.redelivered;
    return;
  }
  held.state = State::free;  // on no list
  const bool pass = held.terms.death == Death::pass;
  ++(pass ? port.counters.died_passed : port.counters.died_dropped);
  if (pass)
    let_go(slot, {});
  else
    let_go(slot, {Release::Kind::drop, DropReason::divert_died});
}

void Desk::forget(Member member, Time now) {
  Listener& listener = listeners_[member];
  if (listener.channel == nullptr) return;
  now_ = now;
  listener.channel = nullptr;
  std::erase(unsent_, member);
  if (!listener.bound) return;
  Port& port = ports_[listener.port];
  std::erase(port.members, member);
  if (!listener.draining) ++port.counters.deaths;
  tell(listener.draining ? Event::Kind::drained : Event::Kind::died, listener);
  see_off(listener);
  // A program that is started anew finds what comes meanwhile.
  for (const Terms& terms : rules_)
    if (terms.port == port.number && terms.death == Death::redeliver && !listener.is_tee())
      port.grace_until =
          std::max(port.grace_until, now + std::chrono::milliseconds{terms.grace_ms});
  for (HeldPackets::List* list : {&listener.given, &listener.queue})
    while (!list->empty()) {
      const Slot slot = list->first;
      held_.remove(*list, slot);
      rehome(slot, now);
    }
  listener.outbox.reset();
  listener.news.reset();
}

bool Desk::drain(Member member) {
  Listener& listener = listeners_[member];
  if (listener.channel == nullptr || !listener.bound) return false;
  listener.draining = true;
  finish_drain(listener);
  return true;
}

// A listener that gets no more is told when it has answered everything.
void Desk::finish_drain(Listener& listener) {
  if (!listener.draining || listener.drained || !listener.queue.empty() || !listener.given.empty())
    return;
  listener.drained = true;
  notice(listener, 0, format::Code::drained);
}

void Desk::notice(Listener& listener, std::uint64_t id, format::Code code, std::uint64_t value) {
  ++listener.counters.notices;
  if (listener.channel == nullptr || listener.plain ||
      listener.news->used() + sizeof(format::NoticeHeader) > format::kFullFrame)
    return;
  format::NoticeHeader record;
  record.id = id;
  record.code = static_cast<std::uint32_t>(code);
  record.value = value;
  put_record(*listener.news, format::Kind::notices, record);
  want_flush(static_cast<Member>(&listener - listeners_.data()));
}

// Said at once: the channel will be closed behind it.
void Desk::bye(Listener& listener, std::string_view reason) {
  tell(Event::Kind::closed, listener, reason);
  listener.sent_away = true;
  send(listener);
  if (listener.plain) {
    listener.channel->send(std::as_bytes(std::span{reason}));
    return;
  }
  Outbox& outbox = *listener.news;
  outbox.clear();
  format::ByeHeader header;
  const std::size_t size = sizeof header + format::padded(reason.size());
  header.prefix.length = static_cast<std::uint32_t>(size);
  const auto room = outbox.add(format::Kind::control, size);
  std::ranges::fill(room, std::byte{});
  std::memcpy(room.data(), &header, sizeof header);
  std::ranges::copy(std::as_bytes(std::span{reason}), room.subspan(sizeof header).begin());
  listener.channel->send(outbox.finish(0, false));
  outbox.clear();
}

void Desk::tell(Event::Kind kind, const Listener& listener, std::string_view why) {
  if (events_.size() == kMostEvents) {
    events_.erase(events_.begin());
    ++events_lost_;
  }
  events_.push_back({kind, listener.number, listener.peer, listener.name, why,
                     listener.given.count + listener.queue.count});
}

std::uint64_t Latency::quantile(double fraction) const {
  std::uint64_t all = 0;
  for (const std::uint64_t count : buckets_) all += count;
  const double wanted = fraction * static_cast<double>(all);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (all != 0 && static_cast<double>(seen) >= wanted) return std::uint64_t{1} << i;
  }
  return 0;
}

}  // namespace masqgate::divert
