// Which ports of an outside address are in use, so that a free one is found in the same short time
// however few are left (P-05).
//
// 8 KB for each protocol and address, for the first kMostAddresses of them; of others nothing is
// known. What is noted here is a hint: who takes a port looks whether it really is free.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "daemon/base/big_memory.hpp"
#include "daemon/base/hash_index.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/net/endpoint.hpp"

namespace masqgate::nat {

class UsedPorts {
 public:
  static constexpr std::uint32_t kMostAddresses = 256;

  explicit UsedPorts(HashKey key);

  void note(net::Protocol protocol, net::Endpoint outside, bool used);

  // The first port from `from` on that is not known as used; behind the end of the range it goes on
  // at its beginning. step 2: of the parity of `from`.
  std::optional<net::Port> free_from(net::Protocol protocol, net::IpAddress address, net::Port from,
                                     net::PortRange range, unsigned step) const;

  std::size_t bytes() const { return index_.bytes() + kMostAddresses * sizeof(Map); }

 private:
  struct Map {
    net::IpAddress address;
    net::Protocol protocol;
    std::uint32_t used;  // ports; 0: the map is free
    std::array<std::uint64_t, 1024> words;
  };
  struct Unmap {
    void operator()(Map* maps) const { unmap(maps, kMostAddresses * sizeof(Map)); }
  };

  std::uint32_t hash(net::Protocol protocol, net::IpAddress address) const;
  Map* find(net::Protocol protocol, net::IpAddress address) const;
  Map* make(net::Protocol protocol, net::IpAddress address);

  HashKey key_;
  HashIndex index_{kMostAddresses};
  std::unique_ptr<Map[], Unmap> maps_;
  std::uint32_t cursor_ = 0;
};

}  // namespace masqgate::nat
