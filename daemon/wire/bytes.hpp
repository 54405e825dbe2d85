// Big-endian numbers in spans of bytes: the only place where byte order is spelled.
//
// load and store take offsets that a parse() has checked; try_load is for offsets that nobody has.

#pragma once

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "daemon/net/ip_address.hpp"
#include "daemon/net/mac_address.hpp"

namespace masqgate::wire {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

namespace detail {

template <typename Number>
constexpr Number to_big_endian(Number value) {
  if constexpr (std::endian::native == std::endian::big || sizeof(Number) == 1) return value;
  if constexpr (sizeof(Number) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(Number) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(Number) == 8) return __builtin_bswap64(value);
}

template <typename Number>
Number load(Bytes bytes, std::size_t offset) {
  assert(offset + sizeof(Number) <= bytes.size());
  Number value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return to_big_endian(value);
}

template <typename Number>
void store(MutableBytes bytes, std::size_t offset, Number value) {
  assert(offset + sizeof(Number) <= bytes.size());
  value = to_big_endian(value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace detail

inline std::uint8_t load8(Bytes b, std::size_t at) {
  return detail::load<std::uint8_t>(b, at);
}
inline std::uint16_t load16(Bytes b, std::size_t at) {
  return detail::load<std::uint16_t>(b, at);
}
inline std::uint32_t load32(Bytes b, std::size_t at) {
  return detail::load<std::uint32_t>(b, at);
}
inline std::uint64_t load64(Bytes b, std::size_t at) {
  return detail::load<std::uint64_t>(b, at);
}
inline void store8(MutableBytes b, std::size_t at, std::uint8_t v) {
  detail::store(b, at, v);
}
inline void store16(MutableBytes b, std::size_t at, std::uint16_t v) {
  detail::store(b, at, v);
}
inline void store32(MutableBytes b, std::size_t at, std::uint32_t v) {
  detail::store(b, at, v);
}
inline void store64(MutableBytes b, std::size_t at, std::uint64_t v) {
  detail::store(b, at, v);
}

inline std::optional<std::uint16_t> try_load16(Bytes b, std::size_t at) {
  if (at > b.size() || b.size() - at < 2) return std::nullopt;
  return load16(b, at);
}

inline net::IpAddress load_v4(Bytes b, std::size_t at) {
  return net::IpAddress::v4(load32(b, at));
}
inline net::IpAddress load_v6(Bytes b, std::size_t at) {
  return net::IpAddress::v6(load64(b, at), load64(b, at + 8));
}
inline void store_v4(MutableBytes b, std::size_t at, net::IpAddress a) {
  store32(b, at, a.v4_number());
}
inline void store_v6(MutableBytes b, std::size_t at, net::IpAddress a) {
  store64(b, at, a.high());
  store64(b, at + 8, a.low());
}

inline net::MacAddress load_mac(Bytes b, std::size_t at) {
  net::MacAddress mac;
  assert(at + mac.bytes.size() <= b.size());
  std::memcpy(mac.bytes.data(), b.data() + at, mac.bytes.size());
  return mac;
}
inline void store_mac(MutableBytes b, std::size_t at, const net::MacAddress& mac) {
  assert(at + mac.bytes.size() <= b.size());
  std::memcpy(b.data() + at, mac.bytes.data(), mac.bytes.size());
}

}  // namespace masqgate::wire
