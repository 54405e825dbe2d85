#include "daemon/path/trail_book.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::path {
namespace {

std::span<const std::uint16_t> rules_of(const Trail& trail) {
  return std::span{trail.counters}.first(trail.size);
}

std::uint32_t hash(const Trail& trail) {
  SipHash hash{HashKey{}};  // rule numbers are not chosen by strangers
  for (const std::uint16_t rule : rules_of(trail)) hash.add(rule);
  return static_cast<std::uint32_t>(hash.finish());
}

}  // namespace

TrailBook::TrailBook() : index_{kMost} {
  trails_.reserve(kMost);
}

void TrailBook::settle() {
  for (Entry& entry : trails_) {
    for (const std::uint16_t rule : rules_of(entry.trail)) rules_.add(rule, entry.counter);
    entry.counter = {};
  }
}

void TrailBook::adopt(std::vector<std::uint64_t> fingerprints) {
  settle();
  trails_.clear();
  index_ = HashIndex{kMost};
  rules_.adopt(std::move(fingerprints));
}

std::optional<std::uint16_t> TrailBook::intern(const Trail& trail) {
  if (trail.overflowed) return std::nullopt;
  const auto found = index_.find(hash(trail), [&](std::uint32_t entry) {
    return std::ranges::equal(rules_of(trails_[entry].trail), rules_of(trail));
  });
  if (found) return static_cast<std::uint16_t>(*found);
  if (trails_.size() == kMost) return std::nullopt;
  trails_.push_back({trail, {}});
  index_.insert(hash(trail), static_cast<std::uint32_t>(trails_.size() - 1));
  return static_cast<std::uint16_t>(trails_.size() - 1);
}

void TrailBook::count(const Trail& trail, std::size_t bytes, Time now) {
  for (const std::uint16_t rule : rules_of(trail)) rules_.add(rule, {1, bytes, now});
}

std::vector<RuleCounter> TrailBook::totals() const {
  std::vector<RuleCounter> all = rules_.all();
  for (const Entry& entry : trails_)
    for (const std::uint16_t rule : rules_of(entry.trail))
      if (rule < all.size()) all[rule].add(entry.counter);
  return all;
}

}  // namespace masqgate::path
