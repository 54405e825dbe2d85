#include "daemon/packet/packet.hpp"

#include <algorithm>

#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate {
namespace {

using wire::Bytes;

net::Port icmp_word(std::uint8_t type, std::uint8_t code) {
  return static_cast<net::Port>(type << 8 | code);
}

// The ports of an ICMP query (see Tuple). Errors and the rest keep zero.
void fill_icmp(net::Family family, const wire::Icmp& icmp, Tuple& tuple) {
  const wire::IcmpKind kind = wire::icmp_kind(family, icmp.type());
  if (kind == wire::IcmpKind::request) {
    tuple.source_port = icmp.identifier();
    tuple.destination_port = icmp_word(icmp.type(), icmp.code());
  } else if (kind == wire::IcmpKind::reply) {
    tuple.destination_port = icmp.identifier();
    tuple.source_port = icmp_word(wire::icmp_request_of(family, icmp.type()), icmp.code());
    tuple.is_icmp_reply = 1;
  }
}

// The call id of enhanced GRE (RFC 2637 4.1), which is the receiver's, or 0.
net::Port call_of(Bytes gre) {
  constexpr std::uint16_t kVersion = 0x0007, kHasKey = 0x2000, kPpp = 0x880b;
  if (gre.size() < 8) return 0;
  const std::uint16_t flags = wire::load16(gre, 0);
  const bool is_call =
      (flags & kVersion) == 1 && (flags & kHasKey) != 0 && wire::load16(gre, 2) == kPpp;
  return is_call ? wire::load16(gre, 6) : net::Port{0};
}

// What names an exchange of ISAKMP from port 500 to port 500: a hash of the initiator's cookie,
// with which each of its messages begins (RFC 2408 3.1, RFC 7296 3.1); or 0.
std::uint16_t exchange_of(const Tuple& tuple, Bytes udp) {
  constexpr net::Port kIsakmp = 500;
  constexpr std::size_t kCookieEnd = 16;
  if (tuple.source_port != kIsakmp || tuple.destination_port != kIsakmp || udp.size() < kCookieEnd)
    return 0;
  const std::uint32_t first = wire::load32(udp, 8), second = wire::load32(udp, 12);
  if (first == 0 && second == 0) return 0;
  const std::uint32_t both = (first * 0x9e3779b1u ^ second) * 0x85ebca6bu;
  return static_cast<std::uint16_t>(std::max(both >> 16, 1u));
}

// The index that an ESP packet begins with.
std::uint32_t index_of(Bytes esp) {
  return esp.size() < 8 ? 0 : wire::load32(esp, 0);
}

// The first eight bytes of a quoted TCP, UDP or ICMP header are all that RFC 792 promises. False if
// they are not there, or belong to what no error may be about.
bool fill_quoted_ports(net::Family family, Bytes bytes, Tuple& tuple) {
  if (tuple.has_ports()) {
    if (bytes.size() < 8) return false;
    tuple.source_port = wire::load16(bytes, 0);
    tuple.destination_port = wire::load16(bytes, 2);
    if (tuple.protocol == net::Protocol::udp) tuple.key = exchange_of(tuple, bytes);
  } else if (tuple.protocol == net::Protocol::gre) {
    tuple.destination_port = call_of(bytes);
  } else if (tuple.protocol == net::Protocol::esp) {
    tuple.set_spi(index_of(bytes));
  } else if (tuple.is_icmp()) {
    if (tuple.protocol != wire::icmp_protocol(family)) return false;
    const auto icmp = wire::Icmp::parse(bytes);
    if (!icmp) return false;
    const wire::IcmpKind kind = wire::icmp_kind(family, icmp->type());
    if (kind != wire::IcmpKind::request && kind != wire::IcmpKind::reply) return false;
    fill_icmp(family, *icmp, tuple);
  }
  return true;
}

// ::ffff:a.b.c.d on the wire would pass for IPv4 inside (RFC 4942 2.2); nobody sends it in earnest.
bool has_mapped_address(const wire::Ipv6& ip) {
  return ip.source().is_v4() || ip.destination().is_v4();
}

// Notes the packet quoted by an ICMP error. A quote that is too short or broken leaves
// packet.quoted empty.
void fill_quote(Packet& packet) {
  const Bytes quote = packet.transport().subspan(wire::Icmp::kHeaderSize);
  Tuple tuple;
  std::size_t offset = 0;
  bool later_fragment = false;
  if (packet.is_v4()) {
    const auto ip = wire::Ipv4::parse_header(quote);
    if (!ip || !ip->checksum_is_valid()) return;  // I-05
    tuple = {ip->source(), ip->destination(), 0, 0, ip->protocol()};
    offset = ip->header_length();
    later_fragment = ip->fragment_offset() != 0;
  } else {
    const auto ip = wire::Ipv6::parse_header(quote);
    if (!ip || has_mapped_address(*ip)) return;
    const auto walk = wire::walk_extensions(*ip);
    if (!walk) return;
    tuple = {ip->source(), ip->destination(), 0, 0, walk->protocol};
    offset = walk->offset;
    later_fragment = walk->fragment_offset != 0;
  }
  if (later_fragment || !fill_quoted_ports(packet.family, quote.subspan(offset), tuple)) return;
  packet.quote_offset =
      static_cast<std::uint16_t>(packet.transport_offset + wire::Icmp::kHeaderSize);
  packet.quote_transport_offset = static_cast<std::uint16_t>(packet.quote_offset + offset);
  packet.quoted = tuple;
}

// Pieces of eight bytes but for the last, none empty, none behind the largest packet (F-04, F-05).
bool fragment_is_sound(const Packet& packet, bool more) {
  const std::size_t size = packet.transport().size();
  return size != 0 && (!more || size % 8 == 0) && packet.fragment_offset + size <= 65535;
}

std::optional<DropReason> parse_transport(Packet& packet) {
  if (packet.fragment_offset != 0) {
    // Ports stand in the first fragment only; one that starts inside the TCP header is up to no
    // good (F-02, RFC 1858).
    const bool tcp = packet.tuple.protocol == net::Protocol::tcp;
    if (tcp && packet.fragment_offset == 8) return DropReason::malformed_transport;
    return std::nullopt;
  }
  const Bytes bytes = packet.transport();
  Tuple& tuple = packet.tuple;
  switch (tuple.protocol) {
    case net::Protocol::tcp: {
      const auto tcp = wire::Tcp::parse(bytes);
      if (!tcp) return DropReason::malformed_transport;
      tuple.source_port = tcp->source();
      tuple.destination_port = tcp->destination();
      packet.tcp_flags = tcp->flags();
      return std::nullopt;
    }
    case net::Protocol::udp: {
      // A first fragment is shorter than its length field says: only the ports must be there.
      if (bytes.size() < wire::Udp::kHeaderSize) return DropReason::malformed_transport;
      if (!packet.is_fragment && packet.frame.offload.gso() == wire::VnetHeader::Gso::none &&
          !wire::Udp::parse(bytes))
        return DropReason::malformed_transport;
      tuple.source_port = wire::load16(bytes, 0);
      tuple.destination_port = wire::load16(bytes, 2);
      tuple.key = exchange_of(tuple, bytes);
      return std::nullopt;
    }
    case net::Protocol::icmp:
    case net::Protocol::icmpv6: {
      if (tuple.protocol != wire::icmp_protocol(packet.family)) return std::nullopt;
      const auto icmp = wire::Icmp::parse(bytes);
      if (!icmp)
        return packet.is_v4() ? std::optional{DropReason::malformed_transport} : std::nullopt;
      fill_icmp(packet.family, *icmp, tuple);
      if (wire::icmp_kind(packet.family, icmp->type()) == wire::IcmpKind::error) fill_quote(packet);
      return std::nullopt;
    }
    case net::Protocol::gre:
      tuple.destination_port = call_of(bytes);
      return std::nullopt;
    case net::Protocol::esp:
      tuple.set_spi(index_of(bytes));
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<DropReason> parse_v4(Packet& packet) {
  const auto ip = wire::Ipv4::parse(Bytes{packet.frame.ip()});
  if (!ip) return DropReason::malformed_ip;
  if (!ip->checksum_is_valid()) return DropReason::bad_checksum;
  packet.frame.set_ip_size(ip->total_length());
  packet.family = net::Family::v4;
  packet.is_fragment = ip->is_fragment();
  packet.more_fragments = ip->more_fragments();
  packet.fragment_offset = static_cast<std::uint16_t>(ip->fragment_offset());
  packet.fragment_id = ip->identification();
  packet.dont_fragment = ip->dont_fragment();
  packet.hop_limit = ip->ttl();
  packet.tos = ip->tos();
  packet.transport_offset = static_cast<std::uint16_t>(ip->header_length());
  packet.source_routed =
      !ip->options().empty() && (wire::has_option(ip->options(), wire::kLooseSourceRoute) ||
                                 wire::has_option(ip->options(), wire::kStrictSourceRoute));
  packet.tuple = {ip->source(), ip->destination(), 0, 0, ip->protocol()};
  if (ip->is_fragment() && !fragment_is_sound(packet, ip->more_fragments()))
    return DropReason::malformed_ip;
  return parse_transport(packet);
}

std::optional<DropReason> parse_v6(Packet& packet) {
  const auto ip = wire::Ipv6::parse(Bytes{packet.frame.ip()});
  if (!ip) return DropReason::malformed_ip;
  const auto walk = wire::walk_extensions(*ip);
  if (!walk) return DropReason::malformed_ip;
  if (has_mapped_address(*ip)) return DropReason::martian;
  packet.frame.set_ip_size(wire::Ipv6::kHeaderSize + ip->payload_length());
  packet.family = net::Family::v6;
  packet.is_fragment = walk->is_fragment;
  packet.more_fragments = walk->more_fragments;
  packet.fragment_offset = static_cast<std::uint16_t>(walk->fragment_offset);
  packet.fragment_id = walk->identification;
  packet.dont_fragment = true;
  packet.hop_limit = ip->hop_limit();
  packet.tos = ip->traffic_class();
  packet.transport_offset = static_cast<std::uint16_t>(walk->offset);
  packet.source_routed = walk->source_routed;
  packet.tuple = {ip->source(), ip->destination(), 0, 0, walk->protocol};
  if (walk->is_fragment && !fragment_is_sound(packet, walk->more_fragments))
    return DropReason::malformed_ip;
  return parse_transport(packet);
}

// A checksum left to the device: in a whole packet of TCP or UDP the transport's own; in protocols
// without ports somewhere inside (a tunnel's inner packet). ICMP leaves none.
bool checksum_order_is_sound(const Packet& packet) {
  const wire::VnetHeader& offload = packet.frame.offload;
  const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
  if (packet.is_fragment || field + 2 > packet.frame.ip().size()) return false;
  const Tuple& tuple = packet.tuple;
  if (!tuple.has_ports())
    return !tuple.is_icmp() && offload.checksum_start >= packet.transport_offset;
  const std::size_t own = tuple.protocol == net::Protocol::tcp ? wire::Tcp::kChecksumOffset
                                                               : wire::Udp::kChecksumOffset;
  return offload.checksum_start == packet.transport_offset && offload.checksum_offset == own;
}

// Offload orders must fit the packet: headers and checksum field inside it, segments of a size, of
// this protocol. What does not fit, the device would refuse or, worse, write anywhere.
bool offload_is_sound(const Packet& packet) {
  using Gso = wire::VnetHeader::Gso;
  constexpr std::uint16_t kByFragments = 0xffff;  // a mark inside the kernel, no size
  const wire::VnetHeader& offload = packet.frame.offload;
  if (offload.header_length > packet.frame.ip().size()) return false;
  if (offload.needs_checksum() && !checksum_order_is_sound(packet)) return false;
  if (offload.gso() == Gso::none) return true;
  if (offload.gso_size == 0 || offload.gso_size == kByFragments || !offload.needs_checksum())
    return false;
  switch (offload.gso()) {
    case Gso::tcp4:
      return packet.is_v4() && packet.tuple.protocol == net::Protocol::tcp;
    case Gso::tcp6:
      return !packet.is_v4() && packet.tuple.protocol == net::Protocol::tcp;
    case Gso::udp_l4:
      return packet.tuple.protocol == net::Protocol::udp;
    default:
      return false;
  }
}

}  // namespace

std::optional<DropReason> parse(Packet& packet) {
  const Bytes bytes = packet.frame.ip();
  if (bytes.empty()) return DropReason::malformed_ip;
  packet.tcp_flags = {};
  packet.quoted.reset();
  packet.quote_offset = packet.quote_transport_offset = 0;
  const auto problem = wire::load8(bytes, 0) >> 4 == 6 ? parse_v6(packet) : parse_v4(packet);
  if (problem) return problem;
  if (!offload_is_sound(packet)) return DropReason::malformed_frame;
  return std::nullopt;
}

}  // namespace masqgate
