// Lengths and checksums of packets that programs have written (RFC 791, 8200 8.1, 1071).

#include "daemon/divert/rewrite.hpp"

#include <algorithm>

#include "daemon/wire/checksum.hpp"
#include "daemon/wire/checksum_field.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/tcp.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::divert {
namespace {

using wire::MutableBytes;

constexpr std::size_t kV4Length = 2, kV4Checksum = 10, kV6Length = 4;

// Length and header checksum of IP. False where there is no such header.
bool fix_network(MutableBytes ip) {
  const unsigned version = ip.empty() ? 0 : wire::load8(ip, 0) >> 4;
  if (version == 6) {
    if (ip.size() < wire::Ipv6::kHeaderSize) return false;
    wire::store16(ip, kV6Length, static_cast<std::uint16_t>(ip.size() - wire::Ipv6::kHeaderSize));
    return true;
  }
  const std::size_t header = ip.empty() ? 0 : (wire::load8(ip, 0) & 0xfu) * 4u;
  if (version != 4 || header < 20 || ip.size() < header) return false;
  wire::store16(ip, 2, static_cast<std::uint16_t>(ip.size()));
  wire::store16(ip, kV4Checksum, 0);
  wire::store16(ip, kV4Checksum, wire::complement(wire::sum(ip.first(header))));
  return true;
}

// What the device would be told of a packet that still stands for many.
bool stands_for_many(const Packet& packet, const wire::VnetHeader& before) {
  if (before.gso() == wire::VnetHeader::Gso::none || packet.is_fragment) return false;
  const bool tcp = packet.tuple.protocol == net::Protocol::tcp;
  const bool was_tcp = before.gso() != wire::VnetHeader::Gso::udp_l4;
  if (tcp != was_tcp || !packet.tuple.has_ports()) return false;
  const std::size_t header =
      tcp ? wire::Tcp::parse(packet.transport())->header_length() : wire::Udp::kHeaderSize;
  return packet.transport().size() > header + before.gso_size;
}

void fix_transport(Packet& packet, const wire::VnetHeader& before) {
  const Tuple& tuple = packet.tuple;
  if (packet.is_fragment || !(tuple.has_ports() || tuple.is_icmp())) return;
  const MutableBytes transport = packet.transport();
  const std::size_t at = wire::checksum_offset(tuple.protocol);
  if (at + 2 > transport.size()) return;
  const bool udp = tuple.protocol == net::Protocol::udp;
  if (udp && packet.is_v4() && wire::load16(transport, at) == 0) return;
  const bool has_pseudo = tuple.protocol != net::Protocol::icmp;
  const std::uint16_t pseudo =
      has_pseudo
          ? wire::pseudo_header_sum(tuple.source_address, tuple.destination_address, tuple.protocol,
                                    static_cast<std::uint32_t>(transport.size()))
          : std::uint16_t{0};
  if (stands_for_many(packet, before)) {
    wire::store16(transport, at, pseudo);
    packet.frame.offload = before;
    packet.frame.offload.checksum_start = packet.transport_offset;
    packet.frame.offload.checksum_offset = static_cast<std::uint16_t>(at);
    return;
  }
  wire::store16(transport, at, 0);
  const std::uint16_t checksum = wire::complement(wire::add(pseudo, wire::sum(transport)));
  wire::store16(transport, at, udp && checksum == 0 ? 0xffff : checksum);
}

// UDP says its own length; it is set before parse() compares. The headers in front have been
// followed once already, so the first parse may fail on the length alone.
void fix_udp_length(Packet& packet) {
  if (packet.tuple.protocol != net::Protocol::udp || packet.is_fragment) return;
  const MutableBytes udp = packet.transport();
  if (udp.size() >= wire::Udp::kHeaderSize)
    wire::store16(udp, 4, static_cast<std::uint16_t>(udp.size()));
}

}  // namespace

bool rewrite(Packet& packet, format::Bytes bytes, bool fix) {
  if (bytes.empty() || bytes.size() > format::kLargestPacket) return false;
  const wire::VnetHeader before = packet.frame.offload;
  packet.frame.set_ip_size(bytes.size());
  std::ranges::copy(bytes, packet.frame.ip().begin());
  packet.frame.offload = {};
  if (!fix) return !parse(packet);
  if (!fix_network(packet.frame.ip())) return false;
  packet.tuple.protocol = {};
  const auto problem = parse(packet);
  if (problem && *problem != DropReason::malformed_transport) return false;
  fix_udp_length(packet);
  if (problem && parse(packet)) return false;
  fix_transport(packet, before);
  return true;
}

}  // namespace masqgate::divert
