// printf() into a string, for formats that others have fixed to the byte (history 1).

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <string>

namespace masqgate {

// At most most - 1 bytes; what is longer is cut off.
template <std::size_t most = 512, typename... Values>
std::string print(const char* format, Values... values) {
  std::array<char, most> text;
  const int size = std::snprintf(text.data(), text.size(), format, values...);
  return {text.data(), std::min(static_cast<std::size_t>(std::max(size, 0)), most - 1)};
}

}  // namespace masqgate
