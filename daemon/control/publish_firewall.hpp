// Nodes of the firewall and of its sets: as a whole, a chain, a rule, a set at a time.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

// firewall and sets. The router outlives the tree.
void publish_firewall(state::Tree& tree, Router& router);

}  // namespace masqgate::control
