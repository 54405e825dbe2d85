// rsh and rexec: the client's first bytes name the port on which it wants the server's errors. History
// 5.16, [M] for rexec.
//
//   client ── "1023\0" ──▶ server:514      server ── stderr ──▶ client:1023
//
// rshd connects to ports from 512 to 1023 only, so that such a port is opened here as nowhere else, to
// the server alone, and stays in that range outside.

#include <algorithm>

#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

constexpr std::size_t kMostDigits = 5;

Measure measure(wire::Bytes bytes, bool, const Memory&) noexcept {
  const std::string_view text = characters(bytes);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == text.size() && digits <= kMostDigits) return {Measure::Kind::hold, 0};
  return {Measure::Kind::whole, digits + 1};
}

void parse(Context& context) noexcept {
  const std::string_view text = characters(context.message());
  Cursor cursor{text};
  const auto port = text == std::string_view{"\0", 1} ? 0 : cursor.number(65535);
  if (!port || !text.ends_with('\0') || text.size() > kMostDigits + 1) {
    context.refuse(Refusal::foreign);
  } else if (*port != 0) {
    const auto own = static_cast<net::Port>(*port);
    const auto shown = context.announce({.own = {context.sent().source_address, own}});
    if (shown && shown->port != own) context.replace(0, cursor.at(), std::to_string(shown->port));
  }
  context.stop();
}

constexpr net::Port kPorts[] = {514, 512};

}  // namespace

const Helper kRsh{.name = "rsh",
                  .protocol = net::Protocol::tcp,
                  .ports = kPorts,
                  .looks_at_answers = false,
                  .measure = measure,
                  .parse = parse,
                  .least_port = 512};

}  // namespace masqgate::helper
