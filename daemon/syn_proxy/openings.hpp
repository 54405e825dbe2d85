// Connections whose client has proved that it is there, and whose server has not said everything yet.
//
// kept for kKept from the client's acknowledgement on: until then a server that repeats its SYN/ACK is
// answered, and a client that asks again makes its SYN go out again. At most kMost; of more the oldest
// is forgotten. All are kept equally long, so the first one in is the first one out.

#pragma once

#include <array>
#include <cstdint>

#include "daemon/base/clock.hpp"
#include "daemon/base/hash_index.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/packet/tuple.hpp"

namespace masqgate::syn_proxy {

struct Opening {
  Tuple tuple;               // of the client's packets as they come in
  std::uint32_t client = 0;  // the number of its SYN
  std::uint32_t cookie = 0;  // the number by which it knows the server's SYN
  std::uint16_t mss = 0;     // the client's
  std::uint16_t window = 0;  // the client's first
  Time until{};
};

class Openings {
 public:
  static constexpr Duration kKept = std::chrono::minutes{1};
  static constexpr std::uint32_t kMost = 4096;

  explicit Openings(HashKey key) : key_{key} {}

  // One of the same tuple is replaced.
  void put(const Opening& opening);
  // Null if nothing is known of this tuple. Valid until the next call of put() or expire().
  const Opening* find(const Tuple& tuple) const;
  void expire(Time now);
  std::uint32_t size() const { return count_; }

 private:
  void forget_first();

  HashKey key_;
  HashIndex index_{kMost};
  std::array<Opening, kMost> openings_{};
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace masqgate::syn_proxy
