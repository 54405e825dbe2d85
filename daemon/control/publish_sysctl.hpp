// The files of sys/net (sysctl.hpp) as nodes of the state tree.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

void publish_sysctl(state::Tree& tree, Router& router);

}  // namespace masqgate::control
