// Which rules matched, remembered once for all connections that matched the same ones.
//
// A connection's short cut carries the number of a trail instead of a list of rules; its packets
// are counted on the trail, and whoever reads a rule's counter adds up the trails that name it.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/base/hash_index.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::path {

struct RuleCounter {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

class TrailBook {
 public:
  static constexpr std::size_t kMost = 4096;

  TrailBook();
  // rules: how many counters there are. Forgets all trails.
  void reset(std::size_t rules);

  // The number of this trail; empty if it overflowed or the book is full.
  std::optional<std::uint16_t> intern(const Trail& trail);
  void count(const Trail& trail, std::size_t bytes);    // a packet that walked
  void count(std::uint16_t trail, std::size_t bytes) {  // a packet that took the short cut
    ++trails_[trail].counter.packets;
    trails_[trail].counter.bytes += bytes;
  }

  std::vector<RuleCounter> totals() const;  // by rule counter

 private:
  struct Entry {
    Trail trail;
    RuleCounter counter;
  };
  HashIndex index_;
  std::vector<Entry> trails_;
  std::vector<RuleCounter> rules_;
};

}  // namespace masqgate::path
