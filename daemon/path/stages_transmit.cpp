// Stages fit, transmit and deliver: what leaves, in which size, on which side of a port.

#include "daemon/path/stages.hpp"

#include <algorithm>

#include "daemon/fragment/fragmenter.hpp"
#include "daemon/nat/translate.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/path/stage_tools.hpp"
#include "daemon/wire/ethernet.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::path {

std::size_t size_on_link(const Packet& packet) {
  const wire::VnetHeader& offload = packet.frame.offload;
  const std::size_t whole = packet.frame.ip().size();
  if (offload.gso() == wire::VnetHeader::Gso::none) return whole;
  std::size_t headers = packet.transport_offset + wire::Udp::kHeaderSize;
  if (packet.tuple.protocol == net::Protocol::tcp)
    headers = packet.transport_offset + wire::Tcp::parse(packet.transport())->header_length();
  return std::min(whole, headers + offload.gso_size);
}

namespace stages {
namespace {

// What every IPv4 link must take (RFC 791 3.2): room for the longest header and eight bytes. A
// route may name less.
constexpr std::size_t kSmallestMtu = 68;

std::size_t mtu_of(const Shard& shard, const Packet& packet) {
  const std::size_t link = shard.port(packet.egress).mtu;
  const std::size_t mtu =
      packet.route_mtu == 0 ? link : std::min<std::size_t>(link, packet.route_mtu);
  return std::max(mtu, kSmallestMtu);
}

// The packet goes on as its fragments; they share its link header, so they are made behind resolve.
Verdict send_fragments(Shard& shard, Packet& packet, std::size_t mtu) {
  nat::complete_checksum(packet);
  if (shard.port(packet.egress).has_link_layer && packet.from == Side::network)
    write_link_header(shard, packet);
  fragment::Fragmenter fragmenter{packet, mtu};
  shard.count_consumed();
  for (;;) {
    Frame frame = shard.frames().take();
    if (!frame) {
      shard.count_made();
      shard.count_drop(DropReason::no_frames);
      return Verdict::accept();
    }
    if (!fragmenter.next(frame)) return Verdict::accept();
    shard.count_made();
    const Verdict sent = shard.send(packet.egress, Side::network, frame);
    if (!sent.accepted()) shard.count_drop(sent.reason());
  }
}

}  // namespace

void take_hop(Packet& packet) {
  --packet.hop_limit;
  packet.ttl_taken = true;
  if (packet.is_v4())
    wire::MutableIpv4::parse_header(packet.frame.ip())->set_ttl(packet.hop_limit);
  else
    wire::MutableIpv6::parse_header(packet.frame.ip())->set_hop_limit(packet.hop_limit);
}

void write_link_header(Shard& shard, Packet& packet) {
  wire::MutableEthernet::parse(packet.frame.link())
      ->set(shard.neighbours().at(packet.neighbour).mac, shard.port(packet.egress).mac,
            packet.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6);
}

Verdict fit(Shard& shard, Packet& packet) {
  const std::size_t mtu = mtu_of(shard, packet);
  const std::size_t size = size_on_link(packet);
  if (size <= mtu) return Verdict::accept();
  wire::VnetHeader& offload = packet.frame.offload;
  if (packet.dont_fragment) {
    shard.send_error(packet, icmp::too_big(packet.family, static_cast<unsigned>(mtu)));
    return Verdict::drop(DropReason::too_big);
  }
  // TCP may be cut into smaller segments than asked for; nobody sees the difference.
  if (offload.gso() == wire::VnetHeader::Gso::tcp4 && offload.gso_size > size - mtu) {
    offload.gso_size = static_cast<std::uint16_t>(offload.gso_size - (size - mtu));
    return Verdict::accept();
  }
  if (offload.gso() != wire::VnetHeader::Gso::none) return Verdict::drop(DropReason::too_big);
  return Verdict::accept();
}

Verdict transmit(Shard& shard, Packet& packet) {
  const std::size_t mtu = mtu_of(shard, packet);
  if (size_on_link(packet) > mtu) {
    // Asked again: the link may have become smaller while the packet waited for its next hop.
    if (const Verdict verdict = fit(shard, packet); !verdict.accepted()) return verdict;
    if (size_on_link(packet) > mtu) return send_fragments(shard, packet, mtu);
  }
  // What Linux sends has its link header already.
  const bool from_linux = packet.from == Side::host && !packet.made_here;
  if (!from_linux && shard.port(packet.egress).has_link_layer) write_link_header(shard, packet);
  shard.remember(packet);
  return shard.send(packet.egress, Side::network, packet.frame);
}

Verdict deliver(Shard& shard, Packet& packet) {
  if (packet.made_here && shard.port(packet.ingress).has_link_layer) {
    const net::MacAddress own = shard.port(packet.ingress).mac;
    wire::MutableEthernet::parse(packet.frame.link())
        ->set(own, own, packet.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6);
  }
  return shard.send(packet.ingress, Side::host, packet.frame);
}

}  // namespace stages
}  // namespace masqgate::path
