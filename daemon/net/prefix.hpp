// A network: an address and how many of its leading bits count, as in 192.168.0.0/24.

#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/net/ip_address.hpp"

namespace masqgate::net {

class Prefix {
 public:
  constexpr Prefix() = default;  // ::/0
  // Length in bits of the address's own family: 0..32 for IPv4, 0..128 for IPv6. Longer is cut off.
  // Host bits are cleared.
  constexpr Prefix(IpAddress address, unsigned length)
      : length_{static_cast<std::uint8_t>(std::min(length, bits(address)))} {
    const unsigned wide = wide_length(address, length_);
    address_ = address.is_v4() ? IpAddress::v4(address.v4_number() & low_mask(address, wide))
                               : IpAddress::v6(address.high() & mask64(wide),
                                               address.low() & mask64(wide < 64 ? 0 : wide - 64));
  }
  static constexpr Prefix host(IpAddress address) { return {address, bits(address)}; }
  // "10.0.0.0/8", "2001:db8::/32", or a bare address for a host. Host bits set are an error
  // (empty), because such a rule rarely means what it says.
  static std::optional<Prefix> parse(std::string_view text);

  constexpr IpAddress address() const { return address_; }
  constexpr unsigned length() const { return length_; }
  constexpr Family family() const { return address_.family(); }
  constexpr bool contains(IpAddress other) const {
    if (other.is_v4() != address_.is_v4()) return false;
    return Prefix{other, length_}.address_ == address_;
  }
  constexpr bool contains(const Prefix& other) const {
    return other.length_ >= length_ && contains(other.address_);
  }

  std::string text() const;
  constexpr auto operator<=>(const Prefix&) const = default;

 private:
  static constexpr unsigned bits(IpAddress a) { return a.is_v4() ? 32 : 128; }
  static constexpr unsigned wide_length(IpAddress a, unsigned length) {
    return a.is_v4() ? length + 96 : length;
  }
  static constexpr std::uint64_t mask64(unsigned length) {
    return length == 0 ? 0 : length >= 64 ? ~0ull : ~0ull << (64 - length);
  }
  static constexpr std::uint32_t low_mask(IpAddress, unsigned wide) {
    return static_cast<std::uint32_t>(mask64(wide - 64));
  }

  IpAddress address_;
  std::uint8_t length_ = 0;
};

// An address together with the network it stands in, as an interface carries it: 192.168.0.1/24.
struct InterfaceAddress {
  IpAddress address;
  unsigned length = 0;  // bits of the network

  static std::optional<InterfaceAddress> parse(std::string_view text);
  Prefix network() const { return {address, length}; }
  std::string text() const { return address.text() + "/" + std::to_string(length); }
  auto operator<=>(const InterfaceAddress&) const = default;
};

}  // namespace masqgate::net
