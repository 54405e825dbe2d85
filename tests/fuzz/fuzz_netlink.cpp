// Any bytes as a netlink datagram: parsed, saved, moved and mirrored without harm.

#include <cstddef>
#include <cstdint>

#include "netlink/mirror.hpp"
#include "netlink/saved.hpp"

using namespace masqgate::netlink;

namespace {

void show(Mirror& mirror, const Event& event, Placement placement) {
  if (const auto* link = std::get_if<Link>(&event)) mirror.on_link(*link);
  if (const auto* address = std::get_if<Address>(&event)) mirror.on_address(*address);
  if (const auto* route = std::get_if<Route>(&event)) mirror.on_route(*route, placement);
  if (const auto* rule = std::get_if<Rule>(&event)) mirror.on_rule(*rule);
  if (const auto* neighbour = std::get_if<Neighbour>(&event)) mirror.on_neighbour(*neighbour);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Mirror mirror{{}};
  Bytes rest{data, size};
  for (Bytes message = next_message(rest); !message.empty(); message = next_message(rest)) {
    if (const auto event = parse(message)) show(mirror, *event, placement(message));
    parse_socket_owner(message);
    const auto saved = Saved::from_message(message);
    if (!saved) continue;
    // What can be given back is what was saved.
    if (!parse(saved->request(true)) || !parse(saved->moved(1, 2).request(false))) __builtin_trap();
  }
  return 0;
}
