// Changes of the configuration as the doors ask for them: all of the document at once, whichever
// part of it was sent.

#pragma once

#include <asio/awaitable.hpp>
#include <string>
#include <vector>

#include "daemon/control/router.hpp"

namespace masqgate::control {

using state::Json;

// What every change understands: dry_run and rejudge.
std::vector<state::Parameter> change_parameters();
// Whether the query wants to see only what would be changed.
bool is_dry(const state::Query& query);

// Puts the document in force, as a whole or not at all, and returns null; or what the query asks
// for.
//   dry_run=1        what would change; changes nothing
//   rejudge=1        also the connections that the rules would not admit any more; changes nothing
//   rejudge=confirm  puts it in force, ends those connections, and tells which they were
// sent: the pointer of the part that the client
// sent; mistakes in it are told with the way from there, others in words. Throws state::Error.
asio::awaitable<Json> change(Router& router, Json document, state::Query query,
                             std::string sent = {});

}  // namespace masqgate::control
