#include "daemon/conntrack/table.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::conntrack {
namespace {

// How many records are looked at for one that may go; bounds the cost of a packet on a full table.
constexpr std::uint32_t kEvictionLook = 64;

}  // namespace

Table::Table(Region region, Time now)
    : region_{std::move(region)},
      tuples_{region_.records().size() * 2},
      wheel_{region_.records().size(), now} {
  if (region_.adopted()) adopt(now);
}

std::uint32_t Table::identity_of(const Connection& c) const {
  constexpr unsigned kFixed = Connection::kSourceNat | Connection::kMapped | Connection::kLocal |
                              Connection::kClassicPort | Connection::kFilterByAddress |
                              Connection::kFilterNobody | Connection::kMappedByAddress |
                              Connection::kMappedByConnection | Connection::kShared |
                              Connection::kInbound | Connection::kAdmitted;
  return c.original.hash(region_.key()) ^ (c.reply.hash(region_.key()) * 31) ^
         (c.serial * 37 + (c.flags & kFixed)) ^
         (std::uint32_t{c.timeout_set} << 24 | std::uint32_t{c.traits} << 16);
}

bool Table::is_sound(const Connection& c) const {
  return c.has(Connection::kInUse) && c.has(Connection::kConfirmed) &&
         c.identity == identity_of(c) && c.tcp_state <= TcpState::listen &&
         c.original.protocol == c.reply.protocol && c.original.is_icmp_reply == 0 &&
         c.reply.is_icmp_reply == c.original.inverted().is_icmp_reply && is_free(c.original) &&
         is_free(c.reply);
}

// A dead process's records: the sound ones go on, every short cut has to be found anew.
void Table::adopt(Time now) {
  for (std::uint32_t i = 0; i < region_.records().size(); ++i) {
    Connection& c = at(i);
    if (c.serial == 0 && c.flags == 0) continue;
    untouched_ = i + 1;
    if (!is_sound(c)) {
      c.flags = 0;
      continue;
    }
    if (c.is_helped())
      c.set_session(Connection::kNoSession);
    else
      for (Half& half : c.halves) half.shortcut = {};
    // Times are not part of the identity: what cannot be is brought back to what can.
    if (c.created() > now) c.set_created(now);
    c.expires_ns = std::clamp(c.expires_ns, now.time_since_epoch().count(),
                              (now + kLongestLife).time_since_epoch().count());
    index(c);
    wheel_.schedule(i, c.expires());
  }
  for (std::uint32_t i = untouched_; i-- > 0;)
    if (at(i).flags == 0) free_record(at(i));
}

void Table::index(Connection& c) {
  const std::uint32_t record = index_of(c);
  tuples_.insert(c.original.hash(region_.key()), entry(record, Direction::original));
  tuples_.insert(c.reply.hash(region_.key()), entry(record, Direction::reply));
  ++confirmed_;
}

Found Table::find(const Tuple& tuple) const {
  const auto found = tuples_.find(tuple.hash(region_.key()), [&](std::uint32_t candidate) {
    return at(candidate >> 1).tuple(static_cast<Direction>(candidate & 1)) == tuple;
  });
  if (!found) return {};
  return {&at(*found >> 1), static_cast<Direction>(*found & 1)};
}

Connection* Table::create(const Tuple& original, Time now, bool may_use_reserve) {
  const bool is_full = free_ == kNone && untouched_ == region_.records().size();
  const bool is_reserved = !may_use_reserve && confirmed_ + reserve_ >= region_.records().size();
  if ((is_full || is_reserved) && !make_room()) return nullptr;
  std::uint32_t record = untouched_;
  if (free_ == kNone) {
    ++untouched_;
  } else {
    record = free_;
    free_ = at(record).identity;
  }
  Connection& c = at(record);
  const std::uint32_t serial = c.serial + 1;
  c = Connection{};
  c.serial = serial;
  c.original = original;
  c.reply = original.inverted();
  c.set_created(now);
  c.flags = Connection::kInUse;
  return &c;
}

bool Table::confirm(Connection& c, Time now, Duration timeout) {
  if (!is_free(c.original) || !is_free(c.reply)) {
    ++counters_.insert_failed;
    return false;
  }
  c.identity = identity_of(c);
  c.set(Connection::kConfirmed);
  index(c);
  refresh(c, now, timeout);
  wheel_.schedule(index_of(c), c.expires());
  ++counters_.created;
  return true;
}

// Free records are a chain through a member that means nothing in them.
void Table::free_record(Connection& c) {
  c.flags = 0;
  c.identity = std::exchange(free_, index_of(c));
}

void Table::discard(Connection& c) {
  free_record(c);
}

void Table::remove(Connection& c) {
  const std::uint32_t record = index_of(c);
  tuples_.erase(c.original.hash(region_.key()), entry(record, Direction::original));
  tuples_.erase(c.reply.hash(region_.key()), entry(record, Direction::reply));
  wheel_.cancel(record);
  --confirmed_;
  if (observer_ != nullptr) observer_->removed(c);
  free_record(c);
}

void Table::refresh_sooner(Connection& c, Time now, Duration timeout) {
  refresh(c, now, timeout);
  const std::uint32_t record = index_of(c);
  if (c.expires() + TimerWheel::kTick < wheel_.deadline(record))
    wheel_.schedule(record, c.expires());
}

std::size_t Table::expire(Time now, std::size_t budget) {
  return wheel_.advance(now, budget, [&](std::uint32_t record) {
    Connection& c = at(record);
    if (c.expires() > now) {
      wheel_.schedule(record, c.expires());  // was used since
      return;
    }
    ++counters_.expired;
    remove(c);
  });
}

bool Table::make_room() {
  const auto capacity = static_cast<std::uint32_t>(region_.records().size());
  for (std::uint32_t i = 0; i < std::min(kEvictionLook, capacity); ++i) {
    eviction_cursor_ = eviction_cursor_ + 1 < capacity ? eviction_cursor_ + 1 : 0;
    Connection& c = at(eviction_cursor_);
    const bool closing = c.original.protocol == net::Protocol::tcp &&
                         (c.tcp_state == TcpState::close || c.tcp_state == TcpState::time_wait);
    if (!c.has(Connection::kConfirmed) || c.has(Connection::kLocal) ||
        (c.has(Connection::kAssured) && !closing))
      continue;
    ++counters_.evicted;
    remove(c);
    return true;
  }
  return false;
}

double Table::bytes_per_connection() const {
  const double index = static_cast<double>(tuples_.bytes()) / static_cast<double>(capacity());
  constexpr double kTimerNode = 12;
  return sizeof(Connection) + index + kTimerNode;
}

}  // namespace masqgate::conntrack
