// Amanda: the backup client answers with the TCP ports on which it waits for the backup server.
// History 5.14.
//
//   server ── Amanda … REQ ──▶ client:10080      client ── CONNECT DATA p1 MESG p2 INDEX p3 ──▶ server
//
// So it is who was asked that announces; the ports are told as they appear here. Since 3.4 there is
// a fourth one, STATE.

#include <algorithm>

#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

void parse(Context& context) noexcept {
  const std::string_view text = characters(context.message());
  if (!text.starts_with("Amanda ")) return context.refuse(Refusal::foreign);
  const std::size_t found = text.find("\nCONNECT ");
  if (found == std::string_view::npos) return;
  const std::size_t end = std::min(text.find(kLineFeed, found + 1), text.size());
  Cursor cursor{text.substr(0, end), found + 1};
  for (const std::string_view stream : {"DATA ", "MESG ", "INDEX ", "STATE "}) {
    const std::size_t at = cursor.rest().find(stream);
    if (at == std::string_view::npos) return;
    cursor = Cursor{text.substr(0, end), cursor.at() + at + stream.size()};
    const std::size_t from = cursor.at();
    const auto port = cursor.number(65535);
    if (!port || *port == 0) return context.refuse(Refusal::malformed);
    const auto own = static_cast<net::Port>(*port);
    const auto shown = context.announce({.own = {context.sent().source_address, own}});
    if (shown && shown->port != own)
      context.replace(from, cursor.at() - from, std::to_string(shown->port));
  }
}

constexpr net::Port kPorts[] = {10080};

}  // namespace

const Helper kAmanda{.name = "amanda",
                     .protocol = net::Protocol::udp,
                     .ports = kPorts,
                     .parse =
                         [](Context& context) noexcept {
                           if (!context.from_client()) parse(context);
                         },
                     .most_expected = 4,
                     .keeps = std::chrono::seconds{300}};

}  // namespace masqgate::helper
