// SYN cookies: the sequence number of an answer to a SYN, from which alone its acknowledgement is
// known again (RFC 4987 3.6).
//
//   31      27 26   24 23                    0
//   ┌─────────┬───────┬──────────────────────┐
//   │ minute  │  MSS  │ keyed hash           │   the hash covers the endpoints, the client's number,
//   └─────────┴───────┴──────────────────────┘   the minute and the MSS
//
// A cookie is good for kMostAge to kMostAge + 1 minutes of 64 seconds. Nothing is stored for it.

#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "daemon/base/clock.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/packet/tuple.hpp"

namespace masqgate::syn_proxy {

class Cookies {
 public:
  static constexpr unsigned kMostAge = 1;
  // What a client's MSS is rounded down to; the most usual ones are exact.
  static constexpr std::array<std::uint16_t, 8> kSizes{536,  1024, 1220, 1300,
                                                       1380, 1400, 1440, 1460};

  explicit Cookies(HashKey key) : key_{key} {}

  // For a client's SYN with this tuple, number and MSS.
  std::uint32_t make(const Tuple& tuple, std::uint32_t number, std::uint16_t mss, Time now) const;
  // The client's MSS, if this cookie was made for it a short while ago.
  std::optional<std::uint16_t> check(const Tuple& tuple, std::uint32_t number, std::uint32_t cookie,
                                     Time now) const;

 private:
  std::uint32_t hash(const Tuple& tuple, std::uint32_t number, std::uint32_t head) const;

  HashKey key_;
};

}  // namespace masqgate::syn_proxy
