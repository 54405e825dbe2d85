// A link-layer address of Ethernet (EUI-48).

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace masqgate::net {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  // "02:00:00:00:00:01", either case; empty for anything else.
  static std::optional<MacAddress> parse(std::string_view text);
  constexpr bool is_group() const { return (bytes[0] & 1) != 0; }  // multicast and broadcast
  constexpr bool is_zero() const { return *this == MacAddress{}; }
  std::string text() const;
  constexpr auto operator<=>(const MacAddress&) const = default;
};

}  // namespace masqgate::net
