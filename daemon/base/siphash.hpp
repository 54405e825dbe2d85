// SipHash-1-3 over 64-bit words: the keyed hash of every table whose keys strangers choose (K-21).
//
// Aumasson and Bernstein, "SipHash: a fast short-input PRF". One compression and three finalisation
// rounds, as the kernel's HSipHash and Rust's HashMap use; the key is drawn per boot.

#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace masqgate {

struct HashKey {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  bool operator==(const HashKey&) const = default;
};

class SipHash {
 public:
  explicit constexpr SipHash(HashKey key) noexcept
      : v_{key.first ^ 0x736f6d6570736575, key.second ^ 0x646f72616e646f6d,
           key.first ^ 0x6c7967656e657261, key.second ^ 0x7465646279746573} {}

  constexpr SipHash& add(std::uint64_t word) noexcept {
    v_[3] ^= word;
    round();
    v_[0] ^= word;
    ++words_;
    return *this;
  }

  // Whole words only: the length byte of the original closes the message as the word count in
  // bytes.
  constexpr std::uint64_t finish() noexcept {
    add(static_cast<std::uint64_t>(words_ * 8) << 56);
    v_[2] ^= 0xff;
    round();
    round();
    round();
    return v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  }

 private:
  constexpr void round() noexcept {
    v_[0] += v_[1];
    v_[1] = std::rotl(v_[1], 13) ^ v_[0];
    v_[0] = std::rotl(v_[0], 32);
    v_[2] += v_[3];
    v_[3] = std::rotl(v_[3], 16) ^ v_[2];
    v_[0] += v_[3];
    v_[3] = std::rotl(v_[3], 21) ^ v_[0];
    v_[2] += v_[1];
    v_[1] = std::rotl(v_[1], 17) ^ v_[2];
    v_[2] = std::rotl(v_[2], 32);
  }

  std::array<std::uint64_t, 4> v_;
  std::uint64_t words_ = 0;
};

}  // namespace masqgate
