#include "daemon/nat/resting_ports.hpp"

namespace masqgate::nat {

std::uint32_t RestingPorts::hash(net::Endpoint outside) const {
  SipHash hash{key_};
  hash.add(outside.address.high()).add(outside.address.low()).add(outside.port);
  return static_cast<std::uint32_t>(hash.finish());
}

void RestingPorts::end_first() {
  index_.erase(hash(entries_[first_].outside), first_);
  first_ = (first_ + 1) % kMost;
  --count_;
}

void RestingPorts::put(net::Endpoint outside, net::IpAddress inside) {
  if (count_ == kMost) end_first();
  const std::uint32_t place = (first_ + count_) % kMost;
  entries_[place] = {outside, inside, now_ + kRest};
  index_.insert(hash(outside), place);
  ++count_;
}

bool RestingPorts::is_resting(net::Endpoint outside, net::IpAddress inside) const {
  if (count_ == 0) return false;
  const auto of_another = [&](std::uint32_t place) {
    return entries_[place].outside == outside && entries_[place].inside != inside;
  };
  return index_.find(hash(outside), of_another).has_value();
}

void RestingPorts::tell_time(Time now) {
  now_ = now;
  while (count_ > 0 && entries_[first_].until <= now) end_first();
}

}  // namespace masqgate::nat
