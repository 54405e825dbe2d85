// The nodes below nat/ of the state tree: rules, profiles, mappings, forwards.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

// The router outlives the tree.
void publish_nat(state::Tree& tree, Router& router);

}  // namespace masqgate::control
