// The undo journal as text: a JSON document that people can read too.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/control/undo.hpp"

namespace masqgate::control {

struct Journal {
  std::string purpose;
  std::vector<Step> steps;
};

std::string to_text(const Journal& journal);
// Throws a std::exception where the text is no journal of this version.
Journal parse_journal(std::string_view text);

}  // namespace masqgate::control
