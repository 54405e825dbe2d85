#include "masqctl/event_commands.hpp"

#include <algorithm>

#include "masqctl/asking.hpp"
#include "masqctl/event_parser.hpp"

namespace masqgate::ctl {

std::string event_line(const std::string& id, const std::string& type, const std::string& data,
                       bool json) {
  const Json members = Json::parse(data, nullptr, false);
  if (json) {
    Json whole{{"id", id}, {"type", type}};
    if (members.is_object()) whole.update(members);
    return whole.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  }
  std::string line = member(members, {"time"}) + " " + type;
  if (members.is_object())
    for (const auto& [name, value] : members.items())
      if (name != "time")
        line += " " + name + "=" + (value.is_string() ? value.dump() : cell(value));
  return printable(line) + "\n";
}

void follow_events(const Context& context, const EventArguments& given) {
  Call call{.target = "/v1/events", .accept = "text/event-stream"};
  if (!given.types.empty()) call.target += "?types=" + percent_encode(given.types);
  const bool plain = std::ranges::all_of(given.after, [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain) throw Failure{Exit::usage, "--after takes the id of an event"};
  call.last_event_id = given.after;
  EventParser parser;
  const auto print = [&](const EventParser::Event& event) {
    context.out << event_line(event.id, event.type, event.data, context.json) << std::flush;
    if (!context.out) throw Failure{Exit::usage, "the output takes no more"};
  };
  const auto take = [&](std::string_view bytes) {
    if (!parser.feed(bytes, print))
      throw Failure{Exit::unreachable, "what answers there is not masqgated"};
  };
  expect_success(follow(context.socket, call, take), "events");
  throw Failure{Exit::unreachable, "masqgated closed the connection"};
}

}  // namespace masqgate::ctl
