// Unpredictable numbers from the kernel, and a source that tests can replace.

#pragma once

#include <cstdint>

#include "daemon/base/siphash.hpp"

namespace masqgate {

// Draws a key from getrandom(2); throws std::system_error where the kernel has none.
HashKey random_key();

// Unpredictable 64-bit numbers: SipHash of a counter under a secret key. Seeded by hand in tests.
class Random {
 public:
  explicit Random(HashKey key) noexcept : key_{key} {}
  std::uint64_t next() noexcept { return SipHash{key_}.add(counter_++).finish(); }
  // Uniform in [0, bound), bound > 0.
  std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>((next() >> 32) * bound >> 32);
  }

 private:
  HashKey key_;
  std::uint64_t counter_ = 0;
};

}  // namespace masqgate
