// What happens to programs for diverted packets: told to the log and to those who follow the events
// (divert.md, section "What a program may rely on").
//
// The shard's thread notes who comes and goes; control asks it a few times in a second, and looks at
// the counters of what found no room (overflows.hpp).

#pragma once

#include <asio/awaitable.hpp>

#include "daemon/control/router.hpp"

namespace masqgate::control {

// The types that log_divert() publishes.
void declare_divert_events(state::Events& events);
// Runs until the router ends.
asio::awaitable<void> log_divert(Router& router);

}  // namespace masqgate::control
