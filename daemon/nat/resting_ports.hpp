// UDP ports that strangers may write to and whose mapping has ended: for two minutes nobody but the
// same host inside gets them, so that late packets for one host do not reach another (RFC 6888
// REQ-8, C-10).
//
// At most kMost rest; of more the one that has rested longest serves again. All rest equally long,
// so the first one in is the first one out.

#pragma once

#include <array>
#include <cstdint>

#include "daemon/base/clock.hpp"
#include "daemon/base/hash_index.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/net/endpoint.hpp"

namespace masqgate::nat {

class RestingPorts {
 public:
  static constexpr Duration kRest = std::chrono::minutes{2};
  static constexpr std::uint32_t kMost = 4096;

  explicit RestingPorts(HashKey key) : key_{key} {}

  void put(net::Endpoint outside, net::IpAddress inside);
  // Whether the port rests for somebody else than this host.
  bool is_resting(net::Endpoint outside, net::IpAddress inside) const;
  // Rests are counted from here on, and those that are over end.
  void tell_time(Time now);
  bool empty() const { return count_ == 0; }

 private:
  struct Entry {
    net::Endpoint outside;
    net::IpAddress inside;
    Time until{};
  };

  std::uint32_t hash(net::Endpoint outside) const;
  void end_first();

  HashKey key_;
  Time now_{};
  HashIndex index_{kMost};
  std::array<Entry, kMost> entries_{};
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace masqgate::nat
