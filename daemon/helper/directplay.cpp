// DirectPlay 3 to 7 [M]: each message begins with the endpoint on which its sender waits. History 5.9.
//
//   size | token << 20 (the low byte first), sockaddr (family 2 likewise, port, address, 8 bytes), "play"
//
// The address is often 0, which means the one that the packet comes from.

#include <algorithm>

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

constexpr std::size_t kPort = 6, kAddress = 8, kSignature = 20, kHeaderSize = 24;

std::uint32_t little32(wire::Bytes bytes) {
  const std::uint32_t v = wire::load32(bytes, 0);
  return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
}

bool has_token(wire::Bytes bytes) {
  const std::uint32_t token = little32(bytes) >> 20;
  return token == 0xfab || token == 0xcab || token == 0xbab;
}
std::size_t size_of(wire::Bytes bytes) {
  return little32(bytes) & 0xfffff;
}

bool is_sound(wire::Bytes message) {
  return message.size() >= kHeaderSize && has_token(message) &&
         characters(message).substr(kSignature).starts_with("play");
}

// What is longer than its header needs passes piece by piece, its rest unread.
enum Word : std::size_t { kClientRest, kServerRest };

std::uint32_t rest_of(const Memory& memory, bool from_client) {
  return memory[from_client ? kClientRest : kServerRest];
}

Measure measure(wire::Bytes bytes, bool from_client, const Memory& memory) noexcept {
  if (const std::size_t rest = rest_of(memory, from_client); rest != 0)
    return {Measure::Kind::whole, std::min(rest, bytes.size())};
  if (bytes.size() < kHeaderSize) return {Measure::Kind::hold, 0};
  return {Measure::Kind::whole, is_sound(bytes) ? kHeaderSize : bytes.size()};
}

void read(Context& context) {
  const wire::Bytes message = context.message();
  const net::IpAddress written = *address_at(message, kAddress);
  const net::IpAddress sender = context.sent().source_address;
  const std::uint16_t port = wire::load16(message, kPort);
  if (port == 0) return;
  const auto shown = context.announce({.own = {written.is_unspecified() ? sender : written, port}});
  if (!shown) return;
  if (shown->port != port) context.replace(kPort, 2, big16(shown->port));
  if (!written.is_unspecified() && shown->address != written)
    put_address(context, kAddress, shown->address);
}

void parse_stream(Context& context) noexcept {
  const wire::Bytes message = context.message();
  std::uint32_t& rest = context.memory()[context.from_client() ? kClientRest : kServerRest];
  if (rest != 0) {
    rest -= static_cast<std::uint32_t>(std::min<std::size_t>(rest, message.size()));
    return;
  }
  if (!is_sound(message) || size_of(message) < kHeaderSize) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  rest = static_cast<std::uint32_t>(size_of(message) - kHeaderSize);
  read(context);
}

void parse_datagram(Context& context) noexcept {
  if (!is_sound(context.message())) return context.refuse(Refusal::foreign);
  read(context);
}

constexpr net::Port kPorts[] = {47624};
constexpr net::Port kTcpPorts[] = {47624, 2300, 2301, 2302};

}  // namespace

const Helper kDirectplay{.name = "directplay",
                         .protocol = net::Protocol::udp,
                         .ports = kPorts,
                         .parse = parse_datagram,
                         .most_expected = 4};
const Helper kDirectplayTcp{.name = "directplay_tcp",
                            .protocol = net::Protocol::tcp,
                            .ports = kTcpPorts,
                            .measure = measure,
                            .parse = parse_stream,
                            .most_expected = 4};

}  // namespace masqgate::helper
