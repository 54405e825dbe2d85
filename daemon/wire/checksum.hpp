// The Internet checksum: RFC 1071 sums, RFC 1624 updates, pseudo headers of RFC 793, 768 and
// 8200 8.1.
//
// A "sum" is a one's complement sum of 16-bit words, folded to 16 bits and not complemented; a
// "checksum" is its complement, as it stands in headers. With checksum offload (virtio NEEDS_CSUM)
// the field of TCP and UDP holds the pseudo header's *sum*, and the device completes it.

#pragma once

#include <cstdint>

#include "daemon/net/endpoint.hpp"
#include "daemon/net/ip_address.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

// One's complement addition of two folded sums.
constexpr std::uint16_t add(std::uint16_t a, std::uint16_t b) {
  const std::uint32_t sum = std::uint32_t{a} + b;
  return static_cast<std::uint16_t>(sum + (sum >> 16));
}
constexpr std::uint16_t complement(std::uint16_t sum) {
  return static_cast<std::uint16_t>(~sum);
}

// The folded sum of a number's 16-bit words.
constexpr std::uint16_t fold(std::uint64_t value) {
  value = (value & 0xffffffff) + (value >> 32);
  value = (value & 0xffff) + ((value >> 16) & 0xffff) + (value >> 32);
  value = (value & 0xffff) + (value >> 16);
  return static_cast<std::uint16_t>(value + (value >> 16));
}

// The sum of all bytes; an odd last byte counts as the high half of a word.
std::uint16_t sum(Bytes bytes);

// What a header field's change from one value to another adds to a sum (RFC 1624: ~m + m').
constexpr std::uint16_t delta(std::uint16_t from, std::uint16_t to) {
  return add(complement(from), to);
}
constexpr std::uint16_t address_sum(net::IpAddress address) {
  if (address.is_v4()) return fold(address.v4_number());
  return add(fold(address.high()), fold(address.low()));
}
constexpr std::uint16_t delta(net::IpAddress from, net::IpAddress to) {
  return delta(address_sum(from), address_sum(to));
}

// The checksum field after its packet's sum has changed by delta (RFC 1624, equation 3).
constexpr std::uint16_t adjust(std::uint16_t checksum, std::uint16_t change) {
  return complement(add(complement(checksum), change));
}

// length: bytes of the transport header and its payload.
constexpr std::uint16_t pseudo_header_sum(net::IpAddress source, net::IpAddress destination,
                                          net::Protocol protocol, std::uint32_t length) {
  return add(add(address_sum(source), address_sum(destination)),
             add(net::number(protocol), fold(length)));
}

}  // namespace masqgate::wire
