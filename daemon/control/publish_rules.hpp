// Shows firewall rules in the state tree: with counters and last hits, and as old kernels showed theirs.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

void publish_rules(state::Tree& tree, Router& router);

}  // namespace masqgate::control
