// The request target taken apart: path, and query parameters (RFC 3986, RFC 9110 section 4).

#pragma once

#include <string>
#include <string_view>

#include "daemon/state/tree.hpp"

namespace masqgate::web {

struct Target {
  std::string path;  // "/v1/connections": decoded; an encoded slash or NUL is refused
  state::Query query{};
};

// Throws state::Error{malformed}.
Target parse_target(std::string_view target);

}  // namespace masqgate::web
