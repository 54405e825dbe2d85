// Quake and Quake World: who accepts a connection names the port at which the game goes on. History 5.6.
//
//   80 00, length, 01 "QUAKE" 0 3 ──▶ server:26000      80 00, length, 81, port (the low byte first) ──▶ client

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

enum Word : std::size_t { kConnecting };

constexpr std::uint16_t kControl = 0x8000;
constexpr std::uint8_t kConnect = 0x01, kAccept = 0x81;
constexpr std::size_t kCode = 4, kBody = 5, kConnectSize = 12, kAcceptSize = 9;
constexpr std::string_view kGame{"QUAKE\0\3", 7};

constexpr std::uint16_t swapped(std::uint16_t value) {
  return static_cast<std::uint16_t>(value << 8 | value >> 8);
}

void parse(Context& context) noexcept {
  const wire::Bytes message = context.message();
  if (message.size() <= kCode || wire::load16(message, 0) != kControl) return;
  std::uint32_t& connecting = context.memory()[kConnecting];
  const std::uint8_t code = wire::load8(message, kCode);
  const std::size_t length = wire::load16(message, 2);
  if (context.from_client()) {
    const bool asks = code == kConnect && length >= kConnectSize &&
                      characters(message).substr(kBody).starts_with(kGame);
    if (asks) connecting = 1;
    return;
  }
  if (code != kAccept) return;
  if (length < kAcceptSize || message.size() < kAcceptSize)
    return context.refuse(Refusal::malformed);
  if (connecting == 0) return context.refuse(Refusal::wrong_side);
  connecting = 0;
  const std::uint16_t port = swapped(wire::load16(message, kBody));
  const auto shown = context.announce(
      {.protocol = net::Protocol::udp, .own = {context.sent().source_address, port}});
  if (shown && shown->port != port) context.replace(kBody, 2, big16(swapped(shown->port)));
}

constexpr net::Port kPorts[] = {26000, 27000, 27910, 27960};

}  // namespace

const Helper kQuake{.name = "quake",
                    .protocol = net::Protocol::udp,
                    .ports = kPorts,
                    .parse = parse,
                    .most_expected = 2,
                    .classic_name = "Quake_"};

}  // namespace masqgate::helper
