// JSON from strangers and from files: strict where nlohmann::json is generous (RFC 8259, K-42).
//
// Comments (// and /* */) are allowed, as in the configuration file; duplicate names, nesting
// beyond kMaxDepth and objects beyond kMaxMembers are refused, because what a reader overlooks
// must not be what the router obeys, and because a document must not cost more than its bytes.

#pragma once

#include <cstddef>
#include <string_view>

#include "daemon/state/tree.hpp"

namespace masqgate::state {

inline constexpr std::size_t kMaxDepth = 32;          // a configuration needs about six levels
inline constexpr std::size_t kMaxMembers = 4096;      // of one object: their look-up is linear
inline constexpr std::size_t kMaxDocument = 1 << 20;  // bytes

// Throws Error{malformed}; its pointer is "line L, column C" for the grammar and a JSON pointer
// for a duplicate name.
Json parse_json(std::string_view text);

// RFC 6901: "~" and "/" of a member name are written "~0" and "~1".
std::string pointer_part(std::string_view name);

}  // namespace masqgate::state
