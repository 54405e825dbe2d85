// How many ICMP errors and resets masqgate sends: token buckets per destination and for all
// together (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
//
// Destinations are hashed into a fixed array, so that strangers cannot make it grow; two that meet
// in one bucket share it. An IPv6 destination is its /64. Time is handed in.

#pragma once

#include <array>
#include <cstddef>

#include "daemon/base/clock.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/net/ip_address.hpp"

namespace masqgate::icmp {

class RateLimiter {
 public:
  struct Limits {
    Duration interval = std::chrono::milliseconds{100};  // between messages to one destination
    unsigned burst = 10;                                 // of them at once; at least 1
    Duration interval_of_all = std::chrono::milliseconds{1};
    unsigned burst_of_all = 100;
  };
  static constexpr std::size_t kBuckets = 1024;

  explicit RateLimiter(HashKey key) noexcept : RateLimiter{key, Limits{}} {}
  RateLimiter(HashKey key, const Limits& limits) noexcept : key_{key}, limits_{limits} {}

  // May one more go to this destination now? Counts it if so.
  bool allow(net::IpAddress destination, Time now) noexcept;
  // The same for a "too big", which only the limit of all holds back: without it a path is a black
  // hole.
  bool allow_too_big(Time now) noexcept;

 private:
  // full: when it will have all its tokens again, if none is taken until then.
  struct Bucket {
    Time full{};
    bool has_token(Time now, Duration interval, unsigned burst) const noexcept;
    void take_token(Time now, Duration interval) noexcept;
  };

  HashKey key_;
  Limits limits_;
  Bucket all_;
  std::array<Bucket, kBuckets> buckets_{};
};

}  // namespace masqgate::icmp
