// The table of contents: every node of the state tree, declared once.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

// The router outlives the tree. version: masqgate's own, for /status.
void publish(state::Tree& tree, Router& router, const std::string& version);

}  // namespace masqgate::control
