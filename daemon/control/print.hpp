// printf into a string, for files whose columns Linux' own tools count (history 1).

#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

namespace masqgate::control {

// At most 511 characters; what is longer is cut. The format is checked by nobody.
template <typename... Values>
std::string print(const char* format, Values... values) {
  std::array<char, 512> line;
  const int size = std::snprintf(line.data(), line.size(), format, values...);
  return {line.data(), std::min(static_cast<std::size_t>(size), line.size() - 1)};
}

}  // namespace masqgate::control
