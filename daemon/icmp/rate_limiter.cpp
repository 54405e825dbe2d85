#include "daemon/icmp/rate_limiter.hpp"

#include <algorithm>

namespace masqgate::icmp {

bool RateLimiter::Bucket::has_token(Time now, Duration interval, unsigned burst) const noexcept {
  return full <= now || full - now <= interval * (burst - 1);
}

void RateLimiter::Bucket::take_token(Time now, Duration interval) noexcept {
  full = std::max(full, now) + interval;
}

bool RateLimiter::allow(net::IpAddress destination, Time now) noexcept {
  const std::uint64_t where =
      destination.is_v4() ? std::uint64_t{destination.v4_number()} : destination.high();
  Bucket& bucket = buckets_[SipHash{key_}.add(where).finish() % kBuckets];
  if (!bucket.has_token(now, limits_.interval, limits_.burst) || !allow_too_big(now)) return false;
  bucket.take_token(now, limits_.interval);
  return true;
}

bool RateLimiter::allow_too_big(Time now) noexcept {
  if (!all_.has_token(now, limits_.interval_of_all, limits_.burst_of_all)) return false;
  all_.take_token(now, limits_.interval_of_all);
  return true;
}

}  // namespace masqgate::icmp
