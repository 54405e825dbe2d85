// The connection table of one shard: find, create, confirm, refresh, expire; and its limit.
//
//   free ──create()──▶ unconfirmed ──confirm()──▶ in the table ──expire(), remove()──▶ free
//                          └──────discard()───────▶ free
//
// A connection enters the index only when its first packet has passed every stage: before that its
// reply tuple is not final, because NAT may still change it. When all records are in use, one that
// nobody has answered or that is closing makes room; an assured one never does (requirement C-11
// and the decision beside it).

#pragma once

#include <cstdint>
#include <vector>

#include "daemon/base/hash_index.hpp"
#include "daemon/base/timer_wheel.hpp"
#include "daemon/conntrack/connection.hpp"
#include "daemon/conntrack/region.hpp"

namespace masqgate::conntrack {

// Told when a connection has left the table, while its record can still be read.
class Observer {
 public:
  virtual void removed(const Connection& connection) noexcept = 0;

 protected:
  ~Observer() = default;
};

// Knows the connections whose two ends count bytes differently, because a helper has changed their
// text. Tracking follows the numbers as each sender counts them.
class Renumbering {
 public:
  // A segment of a helped connection has come: its acknowledgement becomes the one that its receiver
  // will understand.
  virtual void restore(Packet& packet, const Connection& connection,
                       Direction direction) noexcept = 0;
  // The same for the sequence number that an ICMP error quotes; direction: of the error.
  virtual void restore_quote(Packet& packet, const Connection& connection,
                             Direction direction) noexcept = 0;

 protected:
  ~Renumbering() = default;
};

struct Found {
  Connection* connection = nullptr;
  Direction direction = Direction::original;
};

struct TableCounters {
  std::uint64_t created = 0;
  std::uint64_t expired = 0;
  std::uint64_t evicted = 0;        // made room when the table was full
  std::uint64_t insert_failed = 0;  // clashes
};

class Table {
 public:
  // No deadline of an adopted record is believed beyond this.
  static constexpr Duration kLongestLife = std::chrono::hours{24 * 366};

  // Takes over the sound records of an adopted region and frees the others.
  Table(Region region, Time now);
  Table(const Table&) = delete;

  void set_observer(Observer* observer) { observer_ = observer; }
  void set_renumbering(Renumbering* renumbering) { renumbering_ = renumbering; }
  Renumbering* renumbering() const { return renumbering_; }

  Found find(const Tuple& tuple) const;
  bool is_free(const Tuple& tuple) const { return find(tuple).connection == nullptr; }

  // An unconfirmed connection whose reply is the plain inverse; null if the table is full.
  // may_use_reserve: also of the records that are kept back.
  Connection* create(const Tuple& original, Time now, bool may_use_reserve = false);
  // Records for those only who may use the reserve (K-19).
  void set_reserve(std::size_t records) { reserve_ = records; }
  // Puts it into the index with this lifetime. False if one of its tuples is taken; the connection
  // is then still unconfirmed.
  bool confirm(Connection& connection, Time now, Duration timeout);
  void discard(Connection& connection);
  void remove(Connection& connection);

  // The connection lives for timeout from now on. Cheap; for a timeout that did not shrink.
  void refresh(Connection& connection, Time now, Duration timeout) {
    connection.expires_ns = (now + timeout).time_since_epoch().count();
  }
  // The same where the new end may come before the scheduled one: after a change of state, or of
  // the configured timeouts.
  void refresh_sooner(Connection& connection, Time now, Duration timeout);

  // Removes what is due, at most budget records; returns how many were looked at.
  std::size_t expire(Time now, std::size_t budget);

  std::size_t size() const { return confirmed_; }
  std::size_t capacity() const { return region_.records().size(); }
  // Slots of the index of tuples.
  std::size_t buckets() const { return tuples_.slots(); }
  const TableCounters& counters() const { return counters_; }
  const Region& region() const { return region_; }
  std::uint32_t index_of(const Connection& connection) const {
    return static_cast<std::uint32_t>(&connection - region_.records().data());
  }
  // Records from here on were never in use.
  std::uint32_t used_records() const { return untouched_; }
  // Every record by its number; only those with kConfirmed are connections.
  Connection& at(std::uint32_t index) const { return region_.records()[index]; }
  // Bytes of memory for each connection that fits, the index of both tuples and the timer included.
  double bytes_per_connection() const;

  HashKey key() const { return region_.key(); }

 private:
  static std::uint32_t entry(std::uint32_t record, Direction d) {
    return record << 1 | static_cast<std::uint32_t>(d);
  }
  std::uint32_t identity_of(const Connection& connection) const;
  bool is_sound(const Connection& connection) const;
  void adopt(Time now);
  void free_record(Connection& connection);
  void index(Connection& connection);
  bool make_room();

  Region region_;
  HashIndex tuples_;
  TimerWheel wheel_;
  static constexpr std::uint32_t kNone = 0xffffffff;
  std::uint32_t free_ = kNone;   // the record that is given out next
  std::uint32_t untouched_ = 0;  // records from here on were never used
  std::uint32_t eviction_cursor_ = 0;
  std::size_t confirmed_ = 0;
  std::size_t reserve_ = 0;
  TableCounters counters_;
  Observer* observer_ = nullptr;
  Renumbering* renumbering_ = nullptr;
};

// Names a connection for the outside world: record and serial.
constexpr std::uint64_t connection_id(std::uint32_t index, std::uint32_t serial) {
  return std::uint64_t{serial} << 32 | index;
}

}  // namespace masqgate::conntrack
