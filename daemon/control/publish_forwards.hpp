// The nodes of PORTFW, AUTOFW and MFW: files that list a table and take command lines of ipmasqadm.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

// The router outlives the tree.
void publish_forwards(state::Tree& tree, Router& router);

}  // namespace masqgate::control
