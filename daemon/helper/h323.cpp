// H.323 (H.225.0 call signalling over Q.931, and H.245): the speaker's addresses wherever they
// stand as bytes in a message. History 5.12, which reads no ASN.1 either.
//
//   caller ── Setup, Connect (TCP 1720) ──▶ callee      names where H.245 listens
//   H.245 (TCP) ── OpenLogicalChannel ──▶               names where RTP and RTCP listen
//
// Messages are cut by TPKT (RFC 1006); what is not framed by it ends the inspection. Only the
// speaker's own address is looked for, so that nobody is called instead of him (K-02), in 6 bytes
// that keep their place. Off unless networks say whose servers are to be trusted (K-06).
//
// In a fast start the Setup and its answers hold messages of H.245 already (fastStart, H.323
// 8.1.7). What they say of a channel's RTP has one form in the aligned PER of X.691, which is
// looked for: addresses inside are for UDP, all others for TCP.
//
//   80 LL             multiplexParameters: the first extension, h2250LogicalChannelParameters, LL bytes
//   0bx_n_a_M_g_C_…   which members are there: a associatedSessionID, M mediaChannel, C mediaControlChannel
//   SS [AA]           sessionID, associatedSessionID
//   00 address port   mediaChannel: where RTP is wanted
//   00 address port   mediaControlChannel: where RTCP is wanted

#include <utility>

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"

namespace masqgate::helper {
namespace {

constexpr std::size_t kFrame = 4, kMostMessage = 2048, kLeastMessage = kFrame + 1;

bool is_framed(wire::Bytes bytes) {
  constexpr std::uint16_t kTpkt = 0x0300;
  return bytes.size() >= kFrame && wire::load16(bytes, 0) == kTpkt &&
         wire::load16(bytes, 2) >= kLeastMessage;
}

Measure measure(wire::Bytes bytes, bool, const Memory&) noexcept {
  if (bytes.size() < kFrame) return {Measure::Kind::hold, 0};
  if (!is_framed(bytes)) return {Measure::Kind::whole, bytes.size()};
  const std::size_t size = wire::load16(bytes, 2);
  if (bytes.size() < size) return {Measure::Kind::hold, 0};
  return {Measure::Kind::whole, size};
}

// Where the addresses of a channel's RTP and RTCP begin, from this offset on; empty if no such
// channel is described there.
struct Channel {
  std::size_t media = 0, control = 0;  // 0: none
};
std::optional<Channel> channel_at(wire::Bytes bytes, std::size_t at) {
  constexpr std::uint8_t kFirstExtension = 0x80, kUnicast = 0;
  constexpr unsigned kOthers = 0x4a, kAssociated = 0x20, kMedia = 0x10, kControl = 0x04;
  constexpr std::size_t kHead = 5, kAddress = 7;
  if (at + kHead > bytes.size() || wire::load8(bytes, at) != kFirstExtension) return std::nullopt;
  const std::size_t end = at + 2 + wire::load8(bytes, at + 1);
  const unsigned members = wire::load8(bytes, at + 2);
  if (end > bytes.size() || (members & kOthers) != 0) return std::nullopt;
  std::size_t next = at + kHead + ((members & kAssociated) != 0 ? 1 : 0);
  bool is_sound = (members & (kMedia | kControl)) != 0;
  const auto take = [&](unsigned member) -> std::size_t {
    if ((members & member) == 0) return 0;
    is_sound = is_sound && next + kAddress <= end && wire::load8(bytes, next) == kUnicast;
    return std::exchange(next, next + kAddress) + 1;
  };
  Channel channel;
  channel.media = take(kMedia);
  channel.control = take(kControl);
  return is_sound ? std::optional{channel} : std::nullopt;
}

// Which of the next addresses in a message of the call's signalling are for RTP and RTCP.
class FastStart {
 public:
  // at: never before an earlier one.
  bool is_media(wire::Bytes message, std::size_t at) {
    for (; looked_ < at; ++looked_)
      if (const auto found = channel_at(message, looked_)) last_ = *found;
    return at == last_.media || at == last_.control;
  }

 private:
  Channel last_;
  std::size_t looked_ = kFrame;
};

// The speaker's own endpoint that is not this connection's.
std::optional<net::Endpoint> announce(Context& context, net::Endpoint own, const Helper* child) {
  if (own.port == 0) return std::nullopt;
  if (child != nullptr) return context.announce({.own = own, .child = child});
  const bool is_media = own.port % 2 == 0;  // with RTCP beside it
  return context.announce({.protocol = net::Protocol::udp, .own = own, .is_pair = is_media});
}

void scan(Context& context, const Helper* child) {
  const wire::Bytes message = context.message();
  if (!is_framed(message)) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  const net::IpAddress own = context.sent().source_address;
  const net::IpAddress peer = context.sent().destination_address;
  FastStart fast_start;
  for (std::size_t at = kFrame; at + 6 <= message.size();) {
    const net::Endpoint written{*address_at(message, at), wire::load16(message, at + 4)};
    std::optional<net::Endpoint> shown;
    if (written == context.sent().source() || written == context.sent().destination())
      shown = as_received(context, written);
    else if (written.address == own)
      shown = announce(context, written, fast_start.is_media(message, at) ? nullptr : child);
    else if (written.address == peer)
      shown = context.announced(written.port, false);
    if (shown && shown->address.is_v4() && *shown != written)
      context.replace(at, 6, big32(shown->address.v4_number()) + big16(shown->port));
    at += shown ? 6 : 1;
  }
}

constexpr net::Port kPorts[] = {1720};
constexpr std::chrono::seconds kTimeout{240};

constexpr Helper kH245{.name = "h323",
                       .protocol = net::Protocol::tcp,
                       .ports = {},
                       .measure = measure,
                       .parse = [](Context& context) noexcept { scan(context, nullptr); },
                       .most_held = kMostMessage,
                       .most_expected = 8,
                       .timeout = kTimeout};

}  // namespace

const Helper kH323{.name = "h323",
                   .protocol = net::Protocol::tcp,
                   .ports = kPorts,
                   .measure = measure,
                   .parse = [](Context& context) noexcept { scan(context, &kH245); },
                   .most_held = kMostMessage,
                   .most_expected = 8,  // H.245, and the pairs of a fast start
                   .timeout = kTimeout,
                   .needs_networks = true};

}  // namespace masqgate::helper
