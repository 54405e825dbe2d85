// PPTP (RFC 2637): the control connection says by which call ids each side wants to get its GRE
// packets. History 5.11.
//
//   client ── OutgoingCallRequest(own call) ──▶ server      GRE to the client has this call id
//   client ◀── OutgoingCallReply(own call, the client's) ── server      GRE to the server has that one
//
// Several clients may have chosen the same number: outside each call has another one, which is told
// to the peer here and told back in what he says. K-15: a call that this connection has not
// announced is nobody's. Calls end with their control connection: the last eight GRE conversations
// at once, what is older in its own time.

#include <array>

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"

namespace masqgate::helper {
namespace {

// The last two calls of each side, as own number << 16 | the one that the peer knows.
enum Word : std::size_t { kHasBegun, kClientCalls, kServerCalls = kClientCalls + 2 };

enum Message : std::uint16_t {
  kStartRequest = 1,
  kOutgoingRequest = 7,
  kOutgoingReply,
  kIncomingRequest,
  kIncomingReply,
  kIncomingConnected,
  kClearRequest,
  kDisconnected,
  kWanError,
  kSetLink,
};

constexpr std::size_t kHeaderSize = 12, kMostSize = 256;
constexpr std::size_t kTypeOffset = 8, kFirst = 12, kSecond = 14, kResult = 16;

bool is_control(wire::Bytes bytes) {
  constexpr std::uint16_t kControl = 1;
  constexpr std::uint32_t kMagic = 0x1a2b3c4d;
  return wire::load16(bytes, 2) == kControl && wire::load32(bytes, 4) == kMagic;
}

Measure measure(wire::Bytes bytes, bool, const Memory&) noexcept {
  if (bytes.size() < kHeaderSize) return {Measure::Kind::hold, 0};
  const std::size_t size = wire::load16(bytes, 0);
  if (!is_control(bytes) || size < kHeaderSize || size > kMostSize)
    return {Measure::Kind::whole, bytes.size()};
  if (bytes.size() < size) return {Measure::Kind::hold, 0};
  return {Measure::Kind::whole, size};
}

std::uint32_t* calls_of(Context& context, bool client) {
  return &context.memory()[client ? kClientCalls : kServerCalls];
}

// The speaker has chosen this number for a call.
void announce(Context& context) {
  const std::uint16_t call = wire::load16(context.message(), kFirst);
  const net::Endpoint own{context.sent().source_address, call};
  const auto shown = context.announce({.protocol = net::Protocol::gre, .own = own});
  if (!shown) return;
  std::uint32_t* calls = calls_of(context, context.from_client());
  const std::uint32_t both = std::uint32_t{call} << 16 | shown->port;
  if (calls[0] != both) calls[1] = calls[0];
  calls[0] = both;
  if (shown->port != call) context.replace(kFirst, 2, big16(shown->port));
}

// A number that one side has chosen is named again, as the speaker knows it.
void refer(Context& context, std::size_t offset, bool is_own) {
  const std::uint16_t call = wire::load16(context.message(), offset);
  const std::uint32_t* calls = calls_of(context, context.from_client() == is_own);
  for (const std::uint32_t both : {calls[0], calls[1]}) {
    const auto own = static_cast<std::uint16_t>(both >> 16);
    const auto shown = static_cast<std::uint16_t>(both);
    if (both == 0 || call != (is_own ? own : shown)) continue;
    if (own != shown) context.replace(offset, 2, big16(is_own ? shown : own));
    return;
  }
  context.refuse(Refusal::wrong_side);
}

void read(Context& context, std::uint16_t type) {
  constexpr std::uint8_t kConnected = 1;
  const wire::Bytes message = context.message();
  const bool is_reply = type == kOutgoingReply || type == kIncomingReply;
  if (type < kOutgoingRequest || type > kSetLink) return;
  if (message.size() < (is_reply ? kResult + 1 : kFirst + 2))
    return context.refuse(Refusal::malformed);
  switch (type) {
    case kOutgoingRequest:
    case kIncomingRequest:
      return announce(context);
    case kOutgoingReply:
    case kIncomingReply:
      if (wire::load8(message, kResult) == kConnected) announce(context);
      return refer(context, kSecond, false);
    case kClearRequest:
    case kDisconnected:
      return refer(context, kFirst, true);
    default:
      return refer(context, kFirst, false);
  }
}

void parse(Context& context) noexcept {
  const wire::Bytes message = context.message();
  Memory& memory = context.memory();
  const bool sound = message.size() >= kHeaderSize && message.size() == wire::load16(message, 0) &&
                     is_control(message);
  const std::uint16_t type = sound ? wire::load16(message, kTypeOffset) : std::uint16_t{0};
  const bool begins = context.from_client() && type == kStartRequest;
  if (!sound || (memory[kHasBegun] == 0 && !begins)) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  memory[kHasBegun] = 1;
  read(context, type);
}

constexpr net::Port kPorts[] = {1723};

}  // namespace

const Helper kPptp{.name = "pptp",
                   .protocol = net::Protocol::tcp,
                   .ports = kPorts,
                   .on_by_default = true,
                   .measure = measure,
                   .parse = parse,
                   .most_expected = 8,
                   .replaces = true,
                   .binds = true};

}  // namespace masqgate::helper
