#include "daemon/nat/used_ports.hpp"

#include <bit>

namespace masqgate::nat {
namespace {

std::uint64_t bit(net::Port port) {
  return std::uint64_t{1} << (port & 63);
}

// The first port from first to last whose bit is clear in words and set in mask.
std::optional<net::Port> first_free(const std::array<std::uint64_t, 1024>& words, unsigned first,
                                    unsigned last, std::uint64_t mask) {
  for (unsigned word = first >> 6; word <= last >> 6; ++word) {
    std::uint64_t free = ~words[word] & mask;
    if (word == first >> 6) free &= ~std::uint64_t{0} << (first & 63);
    if (word == last >> 6) free &= ~std::uint64_t{0} >> (63 - (last & 63));
    if (free != 0)
      return static_cast<net::Port>(word * 64 + static_cast<unsigned>(std::countr_zero(free)));
  }
  return std::nullopt;
}

}  // namespace

UsedPorts::UsedPorts(HashKey key)
    : key_{key}, maps_{static_cast<Map*>(map_zeros(kMostAddresses * sizeof(Map)))} {}

std::uint32_t UsedPorts::hash(net::Protocol protocol, net::IpAddress address) const {
  SipHash hash{key_};
  hash.add(address.high()).add(address.low()).add(net::number(protocol));
  return static_cast<std::uint32_t>(hash.finish());
}

UsedPorts::Map* UsedPorts::find(net::Protocol protocol, net::IpAddress address) const {
  const auto place = index_.find(hash(protocol, address), [&](std::uint32_t candidate) {
    return maps_[candidate].address == address && maps_[candidate].protocol == protocol;
  });
  return place ? &maps_[*place] : nullptr;
}

// Takes a free map; all its words are zero. Null if there is none near.
UsedPorts::Map* UsedPorts::make(net::Protocol protocol, net::IpAddress address) {
  constexpr int kLook = 8;
  for (int i = 0; i < kLook; ++i) {
    cursor_ = (cursor_ + 1) % kMostAddresses;
    Map& map = maps_[cursor_];
    if (map.used != 0) continue;
    map.address = address;
    map.protocol = protocol;
    index_.insert(hash(protocol, address), cursor_);
    return &map;
  }
  return nullptr;
}

void UsedPorts::note(net::Protocol protocol, net::Endpoint outside, bool used) {
  Map* map = find(protocol, outside.address);
  if (map == nullptr && used) map = make(protocol, outside.address);
  if (map == nullptr) return;
  std::uint64_t& word = map->words[outside.port >> 6];
  const bool was_used = (word & bit(outside.port)) != 0;
  if (was_used == used) return;
  word ^= bit(outside.port);
  map->used = used ? map->used + 1 : map->used - 1;
  if (map->used == 0)
    index_.erase(hash(protocol, outside.address), static_cast<std::uint32_t>(map - maps_.get()));
}

std::optional<net::Port> UsedPorts::free_from(net::Protocol protocol, net::IpAddress address,
                                              net::Port from, net::PortRange range,
                                              unsigned step) const {
  const Map* map = find(protocol, address);
  if (map == nullptr) return from;
  const std::uint64_t even = 0x5555'5555'5555'5555;
  const std::uint64_t mask = step == 1 ? ~std::uint64_t{0} : (from & 1) != 0 ? even << 1 : even;
  if (const auto port = first_free(map->words, from, range.last, mask)) return port;
  if (from == range.first) return std::nullopt;
  return first_free(map->words, range.first, from - 1u, mask);
}

}  // namespace masqgate::nat
