// A part of a 32-bit mark, as rules ask for and write it.

#pragma once

#include <cstdint>

namespace masqgate::firewall {

// A part of a mark: the bits of the mask become those of the value, which lie in the mask.
struct MarkBits {
  std::uint32_t value = 0;
  std::uint32_t mask = 0xffffffff;
  constexpr std::uint32_t put(std::uint32_t into) const { return (into & ~mask) | value; }
  constexpr bool are_in(std::uint32_t mark) const { return (mark & mask) == value; }
};

}  // namespace masqgate::firewall
