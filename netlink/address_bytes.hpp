// An address as the bytes that netlink attributes carry: four or sixteen, network order.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "daemon/net/ip_address.hpp"

namespace masqgate::netlink {

class AddressBytes {
 public:
  explicit AddressBytes(const net::IpAddress& address)
      : size_{address.is_v4() ? std::uint16_t{4} : std::uint16_t{16}} {
    if (address.is_v4()) {
      spell(address.v4_number(), 0, 4);
    } else {
      spell(address.high(), 0, 8);
      spell(address.low(), 8, 8);
    }
  }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::uint16_t size() const { return size_; }

 private:
  void spell(std::uint64_t value, std::size_t start, std::size_t count) {
    for (std::size_t i = count; i-- > 0; value >>= 8)
      bytes_[start + i] = static_cast<std::uint8_t>(value);
  }
  std::array<std::uint8_t, 16> bytes_{};
  std::uint16_t size_;
};

}  // namespace masqgate::netlink
