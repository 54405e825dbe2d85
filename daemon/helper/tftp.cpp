// TFTP (RFC 1350): the server answers from a port of its own choice. History 5.13.
//
//   client:c ── RRQ, WRQ ──▶ server:69        server:any ── DATA, ACK ──▶ client:c
//
// Nothing in the request is changed: what is expected is any port of the same server, to the endpoint
// that the client has towards it already.

#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

// Filename and mode end with a zero each.
bool is_request(wire::Bytes message) {
  constexpr std::uint16_t kRead = 1, kWrite = 2;
  const auto opcode = wire::try_load16(message, 0);
  if (!opcode || (*opcode != kRead && *opcode != kWrite)) return false;
  const std::string_view text = characters(message.subspan(2));
  const std::size_t name_end = text.find('\0');
  if (name_end == std::string_view::npos || name_end == 0) return false;
  const std::size_t mode_end = text.find('\0', name_end + 1);
  if (mode_end == std::string_view::npos) return false;
  const std::string_view mode = text.substr(name_end + 1, mode_end - name_end - 1);
  for (const std::string_view known : {"NETASCII", "OCTET", "MAIL"})
    if (mode.size() == known.size() && begins(mode, known)) return true;
  return false;
}

void parse(Context& context) noexcept {
  if (!is_request(context.message())) return context.refuse(Refusal::foreign);
  context.announce({.protocol = net::Protocol::udp, .own = context.sent().source()});
}

constexpr net::Port kPorts[] = {69};

}  // namespace

const Helper kTftp{.name = "tftp",
                   .protocol = net::Protocol::udp,
                   .ports = kPorts,
                   .on_by_default = true,
                   .looks_at_answers = false,
                   .parse = parse,
                   .most_expected = 1,
                   .replaces = true};

}  // namespace masqgate::helper
