// Counters of rules, by their number; those of rules that stay the same go on when rules change.

#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/base/clock.hpp"

namespace masqgate::path {

struct RuleCounter {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  Time last{};  // of the last packet; the epoch: there was none

  void add(const RuleCounter& more) {
    packets += more.packets;
    bytes += more.bytes;
    last = std::max(last, more.last);
  }
};

class RuleCounters {
 public:
  // New rules: those with the fingerprint of an old one go on from its counter; 0 is like no other.
  void adopt(std::vector<std::uint64_t> fingerprints) {
    std::unordered_map<std::uint64_t, RuleCounter> known;
    for (std::size_t i = 0; i < counters_.size(); ++i)
      if (fingerprints_[i] != 0) known.emplace(fingerprints_[i], counters_[i]);
    counters_.assign(fingerprints.size(), {});
    for (std::size_t i = 0; i < fingerprints.size(); ++i)
      if (const auto found = known.find(fingerprints[i]); found != known.end())
        counters_[i] = found->second;
    fingerprints_ = std::move(fingerprints);
  }
  // Does nothing where there is no such rule (any more).
  void add(std::size_t rule, const RuleCounter& more) {
    if (rule < counters_.size()) counters_[rule].add(more);
  }
  // Back to zero, as if no packet had come. which: by number.
  void zero(const std::vector<bool>& which) {
    for (std::size_t i = 0; i < counters_.size() && i < which.size(); ++i)
      if (which[i]) counters_[i] = {};
  }
  const std::vector<RuleCounter>& all() const { return counters_; }

 private:
  std::vector<RuleCounter> counters_;
  std::vector<std::uint64_t> fingerprints_;
};

}  // namespace masqgate::path
