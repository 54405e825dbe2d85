// The state tree's nodes of helpers and expectations.

#pragma once

#include "daemon/control/router.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

void publish_helpers(state::Tree& tree, Router& router);

}  // namespace masqgate::control
