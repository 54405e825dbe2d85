// What happens in the router, printed as it happens.

#pragma once

#include <string>

#include "masqctl/commands.hpp"

namespace masqgate::ctl {

struct EventArguments {
  std::string types{};  // "divert,config.changed"; empty: all
  std::string after{};  // id of an event
};

// A line each, until the router ends the connection, which is a Failure.
void follow_events(const Context& context, const EventArguments& given);

// "2026-11-21T19:00:00.000Z divert.died port=2222 name=…", or an object with its id.
std::string event_line(const std::string& id, const std::string& type, const std::string& data,
                       bool json);

}  // namespace masqgate::ctl
