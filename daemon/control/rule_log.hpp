// Writes what rules want to be logged (K-23): takes the notes out of the shard's ring a few times a
// second, makes lines of them, and tells how many were left out. Runs on the control thread.

#pragma once

#include "daemon/control/router.hpp"

namespace masqgate::control {

// Runs for ever, as long as the router does.
asio::awaitable<void> log_rules(Router& router);

}  // namespace masqgate::control
