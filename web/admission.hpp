// Who may ask at all: what is checked on the head of a request, before any node is looked up.
//
// A browser on the router's own machine is a stranger's arm. Against DNS rebinding (K-40) the Host
// must name the loopback; against pages from elsewhere the Origin must be our own; against forged
// forms (K-39) whatever changes state must say that it is JSON, which no form can without being
// asked first (a preflight, which is never granted).

#pragma once

#include <optional>
#include <string_view>

#include "web/message.hpp"

namespace masqgate::web {

enum class Door {
  local,  // the unix socket: its file mode says who may come; Host is free
  tcp,    // the loopback: every local user, and every browser of theirs
};

// The answer that refuses this request, or nothing.
std::optional<Response> refuse_admission(const Request& request, Door door);

// "localhost" or an address literal of the loopback, with or without a port.
bool names_loopback(std::string_view authority);

}  // namespace masqgate::web
