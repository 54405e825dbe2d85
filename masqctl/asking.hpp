// How the commands ask the router, and read files for it.

#pragma once

#include <string>

#include "masqctl/commands.hpp"

namespace masqgate::ctl {

// All throw Failure; about names what it was about in the message.

// The answer to a call that succeeds.
Reply ask(const Context& context, const Call& call, const std::string& about);
// The answer, if it is one of success.
Reply expect_success(Reply reply, const std::string& about);
Json parse(const Reply& reply, const std::string& about);
// "-" is the standard input.
std::string read_file(const std::string& name);

}  // namespace masqgate::ctl
