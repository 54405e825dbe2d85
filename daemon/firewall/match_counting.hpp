// Questions whose answer depends on the packets before: rates, quotas, port scans, connections of a
// source; and the time of day (history 7.1).
//
// What they count is in the shard's Memory, in the cell of that number. They are asked last in a
// rule, so that they count only what all its other matches let through.

#pragma once

#include <cstdint>

#include "daemon/firewall/memory.hpp"

namespace masqgate::firewall {

// So many matches in a time, in bursts of so many at once; exactly Linux 2.4's limit, whose unit is a
// ten-thousandth of a second.
struct Rate {
  enum class Period : std::uint32_t { second = 1, minute = 60, hour = 3600, day = 86400 };
  std::uint32_t matches = 3;  // in a period
  Period period = Period::hour;
  std::uint32_t burst = 5;
  constexpr std::int64_t cost() const {  // nanoseconds of credit
    return std::int64_t{10000} * static_cast<std::uint32_t>(period) / matches * 100000;
  }
  constexpr std::int64_t cap() const { return cost() * burst; }
};

struct LimitMatch {
  static constexpr bool per_packet = true;
  static constexpr CellKind kCell = CellKind::bucket;
  Rate rate;
  bool negated = false;
  CellIndex cell = 0;  // given by Ruleset::build
  bool matches(const Packet&, Memory& memory) const noexcept {
    return memory.cell<TokenBucket>(cell).take(memory.now, rate.cost(), rate.cap()) != negated;
  }
};

// Leading bits of an address that make one source: a host unless told.
struct SourceLength {
  std::uint8_t v4 = 32;
  std::uint8_t v6 = 128;
  net::IpAddress of(net::IpAddress address) const noexcept;
};

// The same with a bucket for each source.
struct SourceLimitMatch {
  static constexpr bool per_packet = true;
  static constexpr CellKind kCell = CellKind::buckets;
  Rate rate;
  SourceLength length;
  bool negated = false;
  CellIndex cell = 0;
  bool matches(const Packet& packet, Memory& memory) const noexcept;
};

// Matches until so many bytes of IP packets have matched; the packet that does not fit ends it.
struct QuotaMatch {
  static constexpr bool per_packet = true;
  static constexpr CellKind kCell = CellKind::quota;
  std::uint64_t bytes = 0;
  bool negated = false;
  CellIndex cell = 0;
  bool matches(const Packet& packet, Memory& memory) const noexcept;
};

// A source that asks for many ports: each new one has a weight, and silence for the delay forgives.
struct PortScanMatch {
  static constexpr bool per_packet = true;
  static constexpr CellKind kCell = CellKind::scans;
  std::uint32_t weight = 21;
  std::uint32_t delay_ms = 3000;
  std::uint32_t low_port = 3;  // weight of a port below 1024
  std::uint32_t high_port = 1;
  bool negated = false;
  CellIndex cell = 0;
  bool matches(const Packet& packet, Memory& memory) const noexcept;
};

// A source with more connections than this, of those that this rule was asked about.
struct ConnectionsMatch {
  static constexpr bool per_packet = true;
  static constexpr CellKind kCell = CellKind::connections;
  std::uint32_t above = 0;
  SourceLength length;
  bool negated = false;
  CellIndex cell = 0;
  bool matches(const Packet& packet, Memory& memory) const noexcept;
};

// Time of day and day of the week, UTC. A span that ends before it begins goes over midnight and
// belongs to the day on which it begins. The shard asks anew at every full minute.
struct TimeMatch {
  static constexpr bool per_packet = false;
  static constexpr std::uint16_t kDay = 24 * 60;
  std::uint16_t from = 0;    // minutes of the day
  std::uint16_t to = kDay;   // the first minute that is none of it
  std::uint8_t days = 0x7f;  // Monday is bit 0
  bool negated = false;
  bool matches(const Packet&, Memory& memory) const noexcept {
    return holds(memory.minute_of_week) != negated;
  }
  bool holds(std::uint16_t minute_of_week) const noexcept;
};

}  // namespace masqgate::firewall
