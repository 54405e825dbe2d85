#include "daemon/icmp/error.hpp"

#include <algorithm>

#include "daemon/icmp/sender.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"

namespace masqgate::icmp {
namespace {

// How big an error may be: what every host takes, and what every link carries.
constexpr std::size_t kMostV4 = 576, kMostV6 = 1280;
constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint8_t kInternetworkControl = 0xc0;  // precedence 6 (RFC 1812 4.3.2.5)

// ICMP messages that no error may be about. Of unknown types nobody knows that they are not errors;
// ICMPv6 says it by the number.
bool is_unanswerable_icmp(const Packet& about) {
  constexpr std::uint8_t kFirstInformation = 128, kRedirectV6 = 137;
  if (about.tuple.protocol != wire::icmp_protocol(about.family)) return false;
  const auto bytes = about.transport();
  if (bytes.empty()) return true;
  const std::uint8_t type = wire::load8(bytes, 0);
  if (!about.is_v4()) return type < kFirstInformation || type == kRedirectV6;
  return type > wire::icmp::kMaskReply ||
         wire::icmp_kind(net::Family::v4, type) == wire::IcmpKind::error;
}

void give_back_hop_limit(wire::MutableBytes quote) {
  if (auto v4 = wire::MutableIpv4::parse_header(quote))
    v4->set_ttl(static_cast<std::uint8_t>(v4->ttl() + 1));
  else if (auto v6 = wire::MutableIpv6::parse_header(quote))
    v6->set_hop_limit(static_cast<std::uint8_t>(v6->hop_limit() + 1));
}

void write_ip_header(Frame& out, net::IpAddress source, net::IpAddress destination) {
  const std::size_t size = out.ip().size();
  if (source.is_v4())
    wire::MutableIpv4::emit(out.ip(), {.source = source,
                                       .destination = destination,
                                       .protocol = net::Protocol::icmp,
                                       .total_length = size,
                                       .ttl = kHopLimit,
                                       .tos = kInternetworkControl,
                                       .dont_fragment = true});
  else
    wire::MutableIpv6::emit(out.ip(), {.source = source,
                                       .destination = destination,
                                       .next_header = net::Protocol::icmpv6,
                                       .payload_length = size - wire::Ipv6::kHeaderSize,
                                       .hop_limit = kHopLimit});
}

}  // namespace

Message time_exceeded(net::Family family) noexcept {
  return {family == net::Family::v4 ? wire::icmp::kTimeExceeded : wire::icmpv6::kTimeExceeded};
}

Message reassembly_timeout(net::Family family) noexcept {
  Message message = time_exceeded(family);
  message.code = 1;
  return message;
}

Message unreachable(net::Family family, Unreachable why) noexcept {
  const bool v4 = family == net::Family::v4;
  const std::uint8_t type = v4 ? wire::icmp::kUnreachable : wire::icmpv6::kUnreachable;
  switch (why) {
    case Unreachable::host:
      return {type, v4 ? wire::icmp::kHostUnreachable : wire::icmpv6::kAddressUnreachable};
    case Unreachable::port:
      return {type, v4 ? wire::icmp::kPortUnreachable : wire::icmpv6::kPortUnreachable};
    case Unreachable::prohibited:
      return {type, v4 ? wire::icmp::kProhibited : wire::icmpv6::kProhibited};
    case Unreachable::no_route:
      break;
  }
  return {type, v4 ? wire::icmp::kNetUnreachable : wire::icmpv6::kNoRoute};
}

Message too_big(net::Family family, unsigned mtu) noexcept {
  if (family == net::Family::v6) return {wire::icmpv6::kTooBig, 0, mtu};
  return {wire::icmp::kUnreachable, wire::icmp::kFragmentationNeeded, std::min(mtu, 0xffffu)};
}

bool is_too_big(net::Family family, const Message& message) noexcept {
  const Message some = too_big(family, 0);
  return message.type == some.type && message.code == some.code;
}

bool may_answer(const Packet& about, const Message& message) noexcept {
  if (about.fragment_offset != 0 || is_unanswerable_icmp(about)) return false;
  if (!is_single_sender(about.tuple.source_address)) return false;
  // Path MTU discovery of IPv6 multicast needs its answers (RFC 4443 2.4 e.3).
  if (!about.is_v4() && is_too_big(net::Family::v6, message)) return true;
  const net::IpAddress to = about.tuple.destination_address;
  return !about.link_group && !to.is_multicast() && !to.is_limited_broadcast();
}

bool build_error(Frame& out, const Packet& about, const Message& message,
                 net::IpAddress source) noexcept {
  if (!out || source.family() != about.family) return false;
  const bool v4 = about.is_v4();
  const std::size_t ip_header = v4 ? wire::Ipv4::kHeaderSize : wire::Ipv6::kHeaderSize;
  const std::size_t front = ip_header + wire::Icmp::kHeaderSize;
  const std::size_t room = (v4 ? kMostV4 : kMostV6) - front;
  const auto quoted = about.frame.ip().first(std::min(room, about.frame.ip().size()));

  out.set_ip_size(front + quoted.size());
  out.offload = {};
  write_ip_header(out, source, about.tuple.source_address);
  const auto quote = out.ip().subspan(front);
  std::ranges::copy(quoted, quote.begin());
  if (about.ttl_taken) give_back_hop_limit(quote);

  const auto body = out.ip().subspan(ip_header);
  const std::uint16_t pseudo =
      v4 ? std::uint16_t{0}
         : wire::pseudo_header_sum(source, about.tuple.source_address, net::Protocol::icmpv6,
                                   static_cast<std::uint32_t>(body.size()));
  wire::MutableIcmp::emit(body, message.type, message.code, message.rest, pseudo);
  return true;
}

}  // namespace masqgate::icmp
