// Identifications for the datagrams that leave in fragments with another source than they came
// with: two inside hosts may use the same one towards the same destination (RFC 3022 6.3, N-06).
//
// A counter under a keyed permutation of 16 bits: none is used again before 65,535 others, and what
// one host sees of them tells nothing of the rest (RFC 6864 5.3.1, TS-10).

#pragma once

#include <cstdint>

#include "daemon/base/siphash.hpp"

namespace masqgate::fragment {

class Identifications {
 public:
  explicit Identifications(HashKey secret) : secret_{secret} {}

  std::uint16_t next() {
    std::uint8_t left = static_cast<std::uint8_t>(counter_ >> 8);
    std::uint8_t right = static_cast<std::uint8_t>(counter_);
    ++counter_;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const auto mixed = SipHash{secret_}.add(round << 8 | right).finish();
      const auto next = static_cast<std::uint8_t>(left ^ mixed);
      left = right;
      right = next;
    }
    return static_cast<std::uint16_t>(left << 8 | right);
  }

 private:
  HashKey secret_;
  std::uint16_t counter_ = 0;
};

}  // namespace masqgate::fragment
