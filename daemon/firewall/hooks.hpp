// Where the corridor asks the firewall, in its order (ARCHITECTURE.md 2).

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace masqgate::firewall {

// leaving is asked last, when the source is translated: Linux 2.2's output chain (history 3.1).
enum class Hook : std::uint8_t { prerouting, input, forward, output, postrouting, leaving };
inline constexpr std::array<std::string_view, 6> kHookNames{"prerouting", "input",       "forward",
                                                            "output",     "postrouting", "leaving"};

constexpr std::size_t number(Hook hook) {
  return static_cast<std::size_t>(hook);
}

// A set of hooks or of states, as bits.
template <typename Enum>
struct SetOf {
  std::uint8_t bits = 0;
  constexpr SetOf() = default;
  constexpr SetOf(std::initializer_list<Enum> all) {
    for (const Enum one : all) add(one);
  }
  constexpr void add(Enum one) {
    bits = static_cast<std::uint8_t>(bits | 1u << static_cast<unsigned>(one));
  }
  constexpr void add(SetOf all) { bits = static_cast<std::uint8_t>(bits | all.bits); }
  constexpr bool contains(Enum one) const { return (bits >> static_cast<unsigned>(one) & 1u) != 0; }
  constexpr bool operator==(const SetOf&) const = default;
};
using HookSet = SetOf<Hook>;

}  // namespace masqgate::firewall
