#include "daemon/firewall/action.hpp"

#include <algorithm>

#include "daemon/firewall/steady.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/tcp.hpp"

namespace masqgate::firewall {
namespace {

void write_tos(Packet& packet, std::uint8_t tos) {
  packet.tos = tos;
  if (auto v4 = wire::MutableIpv4::parse_header(packet.frame.ip()))
    v4->set_tos(tos);
  else if (auto v6 = wire::MutableIpv6::parse_header(packet.frame.ip()))
    v6->set_traffic_class(tos);
}

void write_ttl(Packet& packet, std::uint8_t ttl) {
  packet.hop_limit = ttl;
  if (auto v4 = wire::MutableIpv4::parse_header(packet.frame.ip()))
    v4->set_ttl(ttl);
  else if (auto v6 = wire::MutableIpv6::parse_header(packet.frame.ip()))
    v6->set_hop_limit(ttl);
}

// A 16-bit word of a TCP segment; the checksum follows, unless the device counts it.
void write_word(Packet& packet, std::size_t at, std::uint16_t word) {
  const auto segment = packet.transport();
  const std::uint16_t before = wire::load16(segment, at);
  wire::store16(segment, at, word);
  if (packet.frame.offload.needs_checksum()) return;
  // An odd place swaps the bytes of every word.
  const auto swapped = [&](std::uint16_t w) {
    return at % 2 == 0 ? w : static_cast<std::uint16_t>(w << 8 | w >> 8);
  };
  wire::store16(segment, wire::Tcp::kChecksumOffset,
                wire::adjust(wire::load16(segment, wire::Tcp::kChecksumOffset),
                             wire::delta(swapped(before), swapped(word))));
}

void grow_ip(Packet& packet, std::size_t by) {
  packet.frame.set_ip_size(packet.frame.ip().size() + by);
  if (auto v4 = wire::MutableIpv4::parse_header(packet.frame.ip()))
    v4->set_total_length(packet.frame.ip().size());
  else if (packet.family == net::Family::v6)
    wire::store16(packet.frame.ip(), 4,
                  static_cast<std::uint16_t>(packet.frame.ip().size() - wire::Ipv6::kHeaderSize));
}

// Four bytes behind the fixed header, in front of all other options.
void insert_mss(Packet& packet, std::uint16_t mss) {
  constexpr std::size_t kOption = 4, kLongest = 60;
  const std::size_t header = wire::Tcp::parse(packet.transport())->header_length();
  if (header + kOption > kLongest) return;
  grow_ip(packet, kOption);
  const auto segment = packet.transport();
  const auto behind = segment.begin() + wire::Tcp::kHeaderSize;
  std::copy_backward(behind, segment.end() - kOption, segment.end());
  const std::uint16_t pseudo =
      wire::pseudo_header_sum(packet.tuple.source_address, packet.tuple.destination_address,
                              net::Protocol::tcp, static_cast<std::uint32_t>(segment.size()));
  wire::store16(segment, wire::Tcp::kHeaderSize, 0x0204);
  wire::store16(segment, wire::Tcp::kHeaderSize + 2, mss);
  wire::store8(
      segment, 12,
      static_cast<std::uint8_t>((header + kOption) / 4 << 4 | (wire::load8(segment, 12) & 0x0f)));
  if (packet.frame.offload.needs_checksum()) {
    wire::store16(segment, wire::Tcp::kChecksumOffset, pseudo);
    return;
  }
  wire::store16(segment, wire::Tcp::kChecksumOffset, 0);
  wire::store16(segment, wire::Tcp::kChecksumOffset,
                wire::complement(wire::add(wire::sum(segment), pseudo)));
}

// The smaller of the links that its packets come and go by, without headers.
std::uint16_t path_mss(const Packet& packet, const Memory& memory) {
  unsigned mtu = packet.route_mtu != 0 ? packet.route_mtu : 65535;
  if (packet.egress < kMostPorts) mtu = std::min<unsigned>(mtu, memory.mtus[packet.egress]);
  if (packet.from == Side::network && packet.ingress < kMostPorts)
    mtu = std::min<unsigned>(mtu, memory.mtus[packet.ingress]);
  const unsigned headers = packet.is_v4() ? 40 : 60;
  return static_cast<std::uint16_t>(mtu > headers ? mtu - headers : 0);
}

}  // namespace

void Log::apply(Packet& packet, Memory& memory, std::uint16_t counter) const noexcept {
  packet.not_remembered = true;
  if (memory.cell<TokenBucket>(cell).take(memory.now, rate.cost(), rate.cap()))
    memory.log.add(packet, counter, memory.now);
  else
    memory.log.leave_out();
}

void SetTos::apply(Packet& packet) const noexcept {
  packet.not_remembered = true;
  write_tos(packet, static_cast<std::uint8_t>((packet.tos & ~mask) | value));
}

void SetTtl::apply(Packet& packet) const noexcept {
  packet.not_remembered = true;
  const int now = packet.hop_limit;
  int next = value;
  if (kind != Kind::set) next = kind == Kind::add ? now + value : now - value;
  next = std::clamp(next, 1, 255);
  const bool goes_back = packet.from == Side::network && packet.ingress == packet.egress;
  if (next > now && goes_back) return;
  write_ttl(packet, static_cast<std::uint8_t>(next));
}

void SetTcpMss::apply(Packet& packet, Memory& memory) const noexcept {
  if (!is_plain_segment(packet)) packet.not_remembered = true;
  if (packet.tuple.protocol != net::Protocol::tcp || packet.is_fragment || !packet.tcp_flags.syn())
    return;
  const auto tcp = wire::Tcp::parse(packet.transport());
  if (!tcp) return;
  constexpr std::uint16_t kDefaultV4 = 536, kDefaultV6 = 1220;  // of who says nothing (RFC 9293)
  const std::uint16_t wanted = mss != 0 ? mss : path_mss(packet, memory);
  const wire::Bytes option = wire::find_tcp_option(tcp->options(), 2, 4);
  if (option.empty()) {
    if (!tcp->payload().empty()) return;
    const std::uint16_t silent = packet.is_v4() ? kDefaultV4 : kDefaultV6;
    insert_mss(packet, mss != 0 ? wanted : std::min(wanted, silent));
    return;
  }
  const auto at = static_cast<std::size_t>(option.data() - packet.transport().data()) + 2;
  if (mss == 0 && wire::load16(option, 2) <= wanted) return;
  write_word(packet, at, wanted);
}

}  // namespace masqgate::firewall
