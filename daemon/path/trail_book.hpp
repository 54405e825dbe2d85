// Which rules matched, remembered once for all connections that matched the same ones.
//
// A connection's short cut carries the number of a trail instead of a list of rules; its packets
// are counted on the trail, and whoever reads a rule's counter adds up the trails that name it.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/base/hash_index.hpp"
#include "daemon/packet/packet.hpp"
#include "daemon/path/rule_counters.hpp"

namespace masqgate::path {

class TrailBook {
 public:
  static constexpr std::size_t kMost = 4096;

  TrailBook();
  // New rules, by counter: those with the fingerprint of an old one go on from its counters; 0 is
  // like no other. Forgets all trails.
  void adopt(std::vector<std::uint64_t> fingerprints);

  // The number of this trail; empty if it overflowed or the book is full.
  std::optional<std::uint16_t> intern(const Trail& trail);
  // A packet that walked, and one that took the short cut.
  void count(const Trail& trail, std::size_t bytes, Time now);
  void count(std::uint16_t trail, std::size_t bytes, Time now) {
    RuleCounter& counter = trails_[trail].counter;
    ++counter.packets;
    counter.bytes += bytes;
    counter.last = now;
  }

  std::vector<RuleCounter> totals() const;  // by rule counter
  // These begin at zero again.
  void zero(const std::vector<bool>& which) {
    settle();
    rules_.zero(which);
  }

 private:
  struct Entry {
    Trail trail;
    RuleCounter counter;
  };
  HashIndex index_;
  std::vector<Entry> trails_;
  // What was counted on trails goes to their rules.
  void settle();
  RuleCounters rules_;
};

}  // namespace masqgate::path
