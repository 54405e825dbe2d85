#include "daemon/path/trail_book.hpp"

#include <algorithm>
#include <unordered_map>
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

void add(RuleCounter& counter, const RuleCounter& more) {
  counter.packets += more.packets;
  counter.bytes += more.bytes;
  counter.last = std::max(counter.last, more.last);
}

}  // namespace

TrailBook::TrailBook() : index_{kMost} {
  trails_.reserve(kMost);
}

void TrailBook::adopt(std::vector<std::uint64_t> fingerprints) {
  std::unordered_map<std::uint64_t, RuleCounter> known;
  const std::vector<RuleCounter> before = totals();
  for (std::size_t i = 0; i < before.size(); ++i)
    if (fingerprints_[i] != 0) known.emplace(fingerprints_[i], before[i]);
  trails_.clear();
  index_ = HashIndex{kMost};
  rules_.assign(fingerprints.size(), {});
  for (std::size_t i = 0; i < fingerprints.size(); ++i)
    if (const auto found = known.find(fingerprints[i]); found != known.end())
      rules_[i] = found->second;
  fingerprints_ = std::move(fingerprints);
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
  for (const std::uint16_t rule : rules_of(trail))
    if (rule < rules_.size()) add(rules_[rule], {1, bytes, now});
}

std::vector<RuleCounter> TrailBook::totals() const {
  std::vector<RuleCounter> all = rules_;
  for (const Entry& entry : trails_)
    for (const std::uint16_t rule : rules_of(entry.trail))
      if (rule < all.size()) add(all[rule], entry.counter);
  return all;
}

}  // namespace masqgate::path
