// How the listings of all languages are printed.

#pragma once

#include <string>

#include "daemon/base/print.hpp"

namespace masqgate::language {

inline std::string bang(bool negated) {
  return negated ? "! " : "";
}

}  // namespace masqgate::language
