// How the listings of all languages are printed.

#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

namespace masqgate::language {

// As printf(3), cut off where a line is far too long.
template <typename... Values>
std::string print(const char* format, Values... values) {
  std::array<char, 512> line;
  const int size = std::snprintf(line.data(), line.size(), format, values...);
  return {line.data(), std::min(static_cast<std::size_t>(size), line.size() - 1)};
}

inline std::string bang(bool negated) {
  return negated ? "! " : "";
}

}  // namespace masqgate::language
