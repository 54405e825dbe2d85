// What a shard's firewall remembers between packets: token buckets, quotas, who scans, who has how
// many connections, what is to be logged.
//
// A Ruleset is immutable; whatever its matches count lives here, in one Cell for each match that
// counts. Cells are made when a Ruleset takes effect and have a fixed size. A cell goes over to the
// next Ruleset where its rule stayed the same, to the letter (Rule::fingerprint).
//
// Tables by source have kSources places; a source that finds none free takes that of the one not
// seen for longest among kWays. So a flood of sources makes the table forget, never grow.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/conntrack/table.hpp"
#include "daemon/firewall/log_ring.hpp"
#include "daemon/firewall/match_owner.hpp"
#include "daemon/net/ip_address.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

class Ruleset;

// Linux 2.4's limit: credit grows with time up to a burst, and each match costs the same.
struct TokenBucket {
  Time since{};             // when credit was right; the epoch: never used, full
  std::int64_t credit = 0;  // nanoseconds
  // cost: of one match; cap: of credit. Takes it if it is there.
  bool take(Time now, std::int64_t cost, std::int64_t cap) noexcept;
};

inline constexpr std::size_t kSources = 4096;
inline constexpr std::size_t kWays = 8;

// A value for each source lately seen.
template <typename Value>
class SourceTable {
 public:
  explicit SourceTable(HashKey key) : key_{key}, entries_(kSources) {}

  // The source's value; a new one where it is not known.
  Value& at(net::IpAddress source, Time now) noexcept {
    const std::uint64_t hash = SipHash{key_}.add(source.high()).add(source.low()).finish();
    Entry* const first = &entries_[hash % (kSources / kWays) * kWays];
    Entry* oldest = first;
    for (Entry* entry = first; entry != first + kWays; ++entry) {
      if (entry->used && entry->source == source) {
        entry->seen = now;
        return entry->value;
      }
      if (!entry->used || (oldest->used && entry->seen < oldest->seen)) oldest = entry;
    }
    *oldest = {source, now, true, Value{}};
    return oldest->value;
  }

 private:
  struct Entry {
    net::IpAddress source;
    Time seen{};
    bool used = false;
    Value value{};
  };
  HashKey key_;
  std::vector<Entry> entries_;
};

struct Quota {
  bool begun = false;
  std::uint64_t left = 0;
};

// The ports that a source asked for lately.
struct Scan {
  static constexpr std::size_t kPorts = 24;  // more cannot be told apart; they weigh nothing
  Time seen{};
  unsigned weight = 0;
  std::uint8_t ports = 0;
  std::array<std::uint32_t, kPorts> known{};  // protocol and port
};

// The connections of each source that a rule was asked about and that still live.
class SourceConnections {
 public:
  static constexpr std::size_t kMost = 16384;

  explicit SourceConnections(HashKey key) : key_{key}, heads_(kMost, kNone) {
    entries_.reserve(kMost);
  }
  // Counts this connection for its source, once, and says how many it has; kMost if there is no
  // room.
  std::size_t count(net::IpAddress source, const conntrack::Connection& connection,
                    const conntrack::Table& table) noexcept;

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Entry {
    net::IpAddress source;
    std::uint32_t record = 0;
    std::uint32_t serial = 0;
    std::uint32_t next = kNone;
  };
  std::uint32_t* find_end(std::uint32_t* link, net::IpAddress source,
                          const conntrack::Connection& own, const conntrack::Table& table,
                          std::size_t& count, bool& known) noexcept;
  HashKey key_;
  std::vector<std::uint32_t> heads_;
  std::vector<Entry> entries_;
  std::uint32_t free_ = kNone;
};

using Cell = std::variant<TokenBucket, SourceTable<TokenBucket>, Quota, SourceTable<Scan>,
                          SourceConnections>;
using CellIndex = std::uint16_t;

// What a cell begins as, told by the match that asks for it.
enum class CellKind : std::uint8_t { bucket, buckets, quota, scans, connections };

class Memory {
 public:
  Memory(HashKey key, const conntrack::Table& connections) : key_{key}, connections_{connections} {}

  // Takes over what the new rules have in common with the old ones, and makes the rest anew.
  void adopt(const Ruleset& ruleset);

  template <typename Kind>
  Kind& cell(CellIndex index) noexcept {
    return *std::get_if<Kind>(cells_[index].get());
  }
  const conntrack::Table& connections() const { return connections_; }

  Time now{};
  // Minutes since Monday 0:00 UTC, told by the shard's tick; rules by time go by it.
  std::uint16_t minute_of_week = 0;
  // Bytes of IP packet of each port's link, for clamping to the path MTU.
  std::array<std::uint16_t, kMostPorts> mtus{};
  LogRing log;
  Owners* owners = nullptr;  // null: nobody knows

 private:
  HashKey key_;
  const conntrack::Table& connections_;
  std::vector<std::unique_ptr<Cell>> cells_;
  std::vector<std::uint64_t> fingerprints_;  // of the cells
};

}  // namespace masqgate::firewall
