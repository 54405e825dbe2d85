// talk and ntalk: addresses inside the messages to a talk daemon, the way back to the caller's own
// daemon, and the conversation itself. History 5.15; the requests, of which it has a part only, as in
// BSD's talkd.h.
//
//   caller ── ANNOUNCE ──▶ callee's daemon       callee ── LOOK_UP ──▶ caller's daemon
//   caller's daemon ── success, addr ──▶ callee       callee ── TCP ──▶ addr
//
// The daemon has the port of the protocol, 517 or 518; no lower one is ever opened.

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"

namespace masqgate::helper {
namespace {

enum Type : std::uint8_t { kLeaveInvite, kLookUp, kDelete, kAnnounce };

// Where the fields of a message stand; addresses are sockaddr of old BSD: family, port, IPv4.
struct Layout {
  std::size_t size;
  std::size_t type;
  std::size_t answer;   // in answers
  std::size_t address;  // where the speaker waits for the conversation
  std::size_t control;  // where he waits for the answer; 0: none
};
constexpr Layout kRequest{84, 1, 0, 8, 24}, kAnswer{24, 1, 2, 8, 0};
constexpr Layout kOldRequest{76, 0, 0, 44, 60}, kOldAnswer{24, 0, 1, 8, 0};
constexpr net::Port kOldPort = 517;

const Layout* layout_of(const Context& context) {
  const net::Port port =
      context.from_client() ? context.received().destination_port : context.sent().source_port;
  if (port == kOldPort) return context.from_client() ? &kOldRequest : &kOldAnswer;
  const std::uint8_t version = context.message().empty() ? 0 : wire::load8(context.message(), 0);
  if (version != 1 && version != 2) return nullptr;
  return context.from_client() ? &kRequest : &kAnswer;
}

net::Endpoint endpoint_at(wire::Bytes bytes, std::size_t offset) {
  return {net::IpAddress::v4(wire::load32(bytes, offset + 4)), wire::load16(bytes, offset + 2)};
}

void put_endpoint(Context& context, std::size_t offset, net::Endpoint endpoint) {
  if (endpoint == endpoint_at(context.message(), offset) || !endpoint.address.is_v4()) return;
  context.replace(offset + 2, 6, big16(endpoint.port) + big32(endpoint.address.v4_number()));
}

void read_request(Context& context, const Layout& layout, std::uint8_t type) {
  const wire::Bytes message = context.message();
  const net::IpAddress own = context.sent().source_address;
  if (type == kAnnounce)
    context.announce({.protocol = net::Protocol::udp,
                      .own = {own, context.sent().destination_port},
                      .keeps_port = true});
  for (const std::size_t offset : {layout.address, layout.control})
    put_endpoint(context, offset, as_received(context, endpoint_at(message, offset)));
}

void read_answer(Context& context, const Layout& layout, std::uint8_t type) {
  constexpr std::uint8_t kSuccess = 0;
  const wire::Bytes message = context.message();
  if (type != kLookUp || wire::load8(message, layout.answer) != kSuccess) return;
  const net::Endpoint own = endpoint_at(message, layout.address);
  if (const auto shown = context.announce({.own = own}))
    put_endpoint(context, layout.address, *shown);
}

void parse(Context& context) noexcept {
  const Layout* layout = layout_of(context);
  const wire::Bytes message = context.message();
  if (layout == nullptr || message.size() < layout->size) return context.refuse(Refusal::foreign);
  const std::uint8_t type = wire::load8(message, layout->type);
  if (type > kAnnounce) return context.refuse(Refusal::foreign);
  context.from_client() ? read_request(context, *layout, type)
                        : read_answer(context, *layout, type);
}

constexpr net::Port kPorts[] = {518, kOldPort};

}  // namespace

const Helper kTalk{.name = "talk",
                   .protocol = net::Protocol::udp,
                   .ports = kPorts,
                   .parse = parse,
                   .most_expected = 4,
                   .least_port = kOldPort};

}  // namespace masqgate::helper
