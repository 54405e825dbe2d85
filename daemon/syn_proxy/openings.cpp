#include "daemon/syn_proxy/openings.hpp"

namespace masqgate::syn_proxy {

void Openings::forget_first() {
  index_.erase(openings_[first_].tuple.hash(key_), first_);
  first_ = (first_ + 1) % kMost;
  --count_;
}

void Openings::put(const Opening& opening) {
  if (const Opening* same = find(opening.tuple)) {
    const auto place = static_cast<std::size_t>(same - openings_.data());
    const Time until = same->until;  // its turn stays
    openings_[place] = opening;
    openings_[place].until = until;
    return;
  }
  if (count_ == kMost) forget_first();
  const std::uint32_t place = (first_ + count_) % kMost;
  openings_[place] = opening;
  index_.insert(opening.tuple.hash(key_), place);
  ++count_;
}

const Opening* Openings::find(const Tuple& tuple) const {
  if (count_ == 0) return nullptr;
  const auto same = [&](std::uint32_t place) { return openings_[place].tuple == tuple; };
  const auto place = index_.find(tuple.hash(key_), same);
  return place ? &openings_[*place] : nullptr;
}

void Openings::expire(Time now) {
  while (count_ > 0 && openings_[first_].until <= now) forget_first();
}

}  // namespace masqgate::syn_proxy
