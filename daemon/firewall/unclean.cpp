#include "daemon/firewall/unclean.hpp"

#include <algorithm>
#include <array>

#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::firewall {
namespace {

using wire::Bytes;

// End of list, no operation, or a length that lies inside: kinds and lengths of IP and TCP alike.
bool options_are_sound(Bytes options) {
  std::size_t at = 0;
  while (at < options.size()) {
    const std::uint8_t kind = wire::load8(options, at);
    if (kind == 0) return true;
    if (kind == 1) {
      ++at;
      continue;
    }
    const std::size_t length = at + 1 < options.size() ? wire::load8(options, at + 1) : 0;
    if (length < 2 || length > options.size() - at) return false;
    at += length;
  }
  return true;
}

// Tiny fragments hide what filters look for: the first has at least 128 bytes, no other begins
// inside them.
bool fragment_is_sound(const Packet& packet, const wire::Ipv4& ip) {
  constexpr std::size_t kLeast = 128;
  if (packet.fragment_offset == 0) return ip.total_length() >= kLeast;
  return packet.fragment_offset >= kLeast - ip.header_length();
}

bool checksum_is_right(const Packet& packet, std::size_t least) {
  const Bytes bytes = packet.transport();
  if (packet.frame.offload.needs_checksum() || packet.is_fragment) return true;
  if (bytes.size() < least) return false;
  const bool has_pseudo = packet.tuple.protocol != net::Protocol::icmp;
  const std::uint16_t pseudo =
      has_pseudo
          ? wire::pseudo_header_sum(packet.tuple.source_address, packet.tuple.destination_address,
                                    packet.tuple.protocol, static_cast<std::uint32_t>(bytes.size()))
          : std::uint16_t{0};
  return wire::add(wire::sum(bytes), pseudo) == 0xffff;
}

// The sizes that messages of ICMP have, by their type; others are unknown.
bool icmp_size_is_sound(std::uint8_t type, std::uint8_t code, std::size_t size) {
  struct Row {
    std::uint8_t type, most_code;
    std::size_t least, most;
  };
  constexpr std::size_t kAny = 65535;
  static constexpr std::array<Row, 13> kRows{{{0, 0, 8, kAny},
                                              {3, 15, 36, kAny},
                                              {4, 0, 36, kAny},
                                              {5, 3, 36, kAny},
                                              {8, 0, 8, kAny},
                                              {9, 0, 8, 2048},
                                              {10, 0, 8, 8},
                                              {11, 1, 36, kAny},
                                              {12, 1, 36, kAny},
                                              {13, 0, 20, 20},
                                              {14, 0, 20, 20},
                                              {17, 0, 12, 12},
                                              {18, 0, 12, 12}}};
  const auto row = std::ranges::find(kRows, type, &Row::type);
  return row != kRows.end() && code <= row->most_code && size >= row->least && size <= row->most;
}

bool icmp_is_sound(const Packet& packet) {
  const auto icmp = wire::Icmp::parse(packet.transport());
  if (!icmp || !checksum_is_right(packet, wire::Icmp::kHeaderSize)) return false;
  if (!packet.is_v4()) return true;
  const bool whole = packet.is_fragment ||
                     icmp_size_is_sound(icmp->type(), icmp->code(), packet.transport().size());
  const bool is_error = wire::icmp_kind(packet.family, icmp->type()) == wire::IcmpKind::error;
  return whole && (!is_error || packet.quoted);
}

bool udp_is_sound(const Packet& packet) {
  return packet.tuple.destination_port != 0 && transport_checksum_is_right(packet);
}

// Without ECE and CWR, which parse() does not show.
bool tcp_flags_are_legal(wire::TcpFlags flags) {
  using F = wire::TcpFlags;
  constexpr std::uint8_t kUrg = 0x20;
  static constexpr std::array<unsigned, 12> kLegal{F::kSyn,
                                                   F::kSyn | F::kAck,
                                                   F::kRst,
                                                   F::kRst | F::kAck,
                                                   F::kRst | F::kAck | F::kPsh,
                                                   F::kFin | F::kAck,
                                                   F::kAck,
                                                   F::kAck | F::kPsh,
                                                   F::kAck | kUrg,
                                                   F::kAck | kUrg | F::kPsh,
                                                   F::kFin | F::kAck | F::kPsh,
                                                   F::kFin | F::kAck | kUrg};
  return std::ranges::find(kLegal, unsigned{flags.bits}) != kLegal.end();
}

bool tcp_is_sound(const Packet& packet) {
  const auto tcp = wire::Tcp::parse(packet.transport());
  if (!tcp || tcp->source() == 0 || tcp->destination() == 0) return false;
  const bool reserved = (wire::load8(packet.transport(), 12) & 0x0f) != 0;
  return !reserved && tcp_flags_are_legal(tcp->flags()) && options_are_sound(tcp->options()) &&
         checksum_is_right(packet, wire::Tcp::kHeaderSize);
}

}  // namespace

bool is_unclean(const Packet& packet) noexcept {
  if (packet.is_v4()) {
    const auto ip = wire::Ipv4::parse_header(packet.frame.ip());
    if (!ip || !options_are_sound(ip->options()) || net::number(ip->protocol()) == 0) return true;
    if ((wire::load8(packet.frame.ip(), 6) & 0x80) != 0) return true;  // the reserved bit
    if (packet.is_fragment && !fragment_is_sound(packet, *ip)) return true;
  }
  if (packet.fragment_offset != 0) return false;
  switch (packet.tuple.protocol) {
    case net::Protocol::tcp:
      return !tcp_is_sound(packet);
    case net::Protocol::udp:
      return !udp_is_sound(packet);
    case net::Protocol::icmp:
    case net::Protocol::icmpv6:
      return !icmp_is_sound(packet);
    default:
      return false;
  }
}

bool transport_checksum_is_right(const Packet& packet) noexcept {
  switch (packet.tuple.protocol) {
    case net::Protocol::udp:
      return packet.is_fragment || wire::load16(packet.transport(), 6) == 0 ||
             checksum_is_right(packet, wire::Udp::kHeaderSize);
    case net::Protocol::tcp:
      return checksum_is_right(packet, wire::Tcp::kHeaderSize);
    case net::Protocol::icmp:
    case net::Protocol::icmpv6:
      return checksum_is_right(packet, wire::Icmp::kHeaderSize);
    default:
      return true;
  }
}

}  // namespace masqgate::firewall
