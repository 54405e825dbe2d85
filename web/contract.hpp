// The contract of the REST door, openapi.json, and whether a state tree keeps it.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/state/tree.hpp"

namespace masqgate::web {

// web/openapi.json, byte for byte.
std::string_view openapi_text();

// Every difference between the paths, methods, parameters and media types of an OpenAPI document
// and those of a tree, in both directions, as sentences. Empty: they agree.
std::vector<std::string> contract_differences(const state::Tree& tree, const state::Json& openapi);
std::vector<std::string> contract_differences(const state::Tree& tree);  // with openapi_text()

}  // namespace masqgate::web
