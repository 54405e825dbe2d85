// An IP address of either family as one 128-bit value; IPv4 stands as ::ffff:a.b.c.d (RFC
// 4291 2.5.5.2).
//
// One type means one code path for both families. Text in and out follows RFC 5952.

#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace masqgate::net {

enum class Family : std::uint8_t { v4, v6 };

class IpAddress {
 public:
  constexpr IpAddress() = default;  // "::", the unspecified address of IPv6
  static constexpr IpAddress v4(std::uint32_t number) { return {0, kMapped | number}; }
  static constexpr IpAddress v6(std::uint64_t high, std::uint64_t low) { return {high, low}; }
  // Empty where the text is not exactly one address; "::ffff:1.2.3.4" gives the IPv4 address.
  static std::optional<IpAddress> parse(std::string_view text);

  constexpr bool is_v4() const { return high_ == 0 && (low_ & ~0xffffffffull) == kMapped; }
  constexpr Family family() const { return is_v4() ? Family::v4 : Family::v6; }
  constexpr std::uint32_t v4_number() const { return static_cast<std::uint32_t>(low_); }
  constexpr std::uint64_t high() const { return high_; }
  constexpr std::uint64_t low() const { return low_; }

  constexpr bool is_unspecified() const {
    return is_v4() ? v4_number() == 0 : high_ == 0 && low_ == 0;
  }
  constexpr bool is_loopback() const {
    return is_v4() ? v4_number() >> 24 == 127 : high_ == 0 && low_ == 1;
  }
  constexpr bool is_multicast() const {
    return is_v4() ? v4_number() >> 28 == 0xe : high_ >> 56 == 0xff;
  }
  constexpr bool is_link_local() const {
    return is_v4() ? v4_number() >> 16 == 0xa9fe : high_ >> 54 == 0xfe80 >> 6;
  }
  constexpr bool is_limited_broadcast() const { return is_v4() && v4_number() == 0xffffffff; }

  std::string text() const;
  constexpr auto operator<=>(const IpAddress&) const = default;

 private:
  static constexpr std::uint64_t kMapped = 0x0000'ffff'0000'0000;
  constexpr IpAddress(std::uint64_t high, std::uint64_t low) : high_{high}, low_{low} {}

  std::uint64_t high_ = 0;  // host order: the first eight bytes as one number
  std::uint64_t low_ = 0;
};

}  // namespace masqgate::net
