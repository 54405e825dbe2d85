// The node of diverted packets: ports, who listens to them, and every counter of both.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

// The router outlives the tree.
void publish_divert(state::Tree& tree, Router& router);

}  // namespace masqgate::control
