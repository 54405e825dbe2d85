// What ip_masq_debug and ip_dynaddr ask to be told of: looked up once a second on the control
// thread, never written while packets are handled.

#pragma once

#include "daemon/control/router.hpp"

namespace masqgate::control {

// The kernel's words (history 1.9).
std::string move_text(const path::Move& move);

// Runs for ever, as long as the router does.
asio::awaitable<void> log_incidents(Router& router);

}  // namespace masqgate::control
