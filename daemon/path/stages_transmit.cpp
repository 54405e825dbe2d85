// Stages fit, transmit and deliver: what leaves, in which size, on which side of a port.

#include "daemon/path/stages.hpp"

#include <algorithm>

#include "daemon/fragment/fragmenter.hpp"
#include "daemon/fragment/segmenter.hpp"
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
  if (packet.largest_fragment != 0) return std::min<std::size_t>(whole, packet.largest_fragment);
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

// Sends what a cutter makes of a packet, one frame after the other.
template <typename Cutter>
void send_pieces(Shard& shard, const Packet& packet, Cutter cutter) {
  for (;;) {
    Frame frame = shard.frames().take();
    if (!frame) {
      shard.count_made();
      shard.count_drop(DropReason::no_frames);
      return;
    }
    if (!cutter.next(frame)) return;
    shard.count_made();
    const Verdict sent = shard.send(packet.egress, Side::network, frame);
    if (!sent.accepted()) shard.count_drop(sent.reason());
  }
}

// Many inside hosts become one outside: what they send in pieces gets a number of its own (N-06).
// What arrived in pieces has it already.
std::uint32_t identification_outside(Shard& shard, const Packet& packet) {
  const bool translated =
      packet.connection != nullptr &&
      packet.connection->tuple(packet.direction).source_address != packet.tuple.source_address;
  if (!translated || packet.is_fragment) return packet.fragment_id;
  const std::uint32_t number = shard.fragments().next_identification();
  return packet.is_v4() ? number : number | packet.fragment_id << 16;
}

// The packet goes on as its fragments; they share its link header, so they are made behind resolve.
Verdict send_fragments(Shard& shard, Packet& packet, std::size_t mtu) {
  nat::complete_checksum(packet);
  if (shard.port(packet.egress).has_link_layer && packet.from == Side::network)
    write_link_header(shard, packet);
  shard.count_consumed();
  send_pieces(shard, packet,
              fragment::Fragmenter{packet, mtu, identification_outside(shard, packet)});
  return Verdict::accept();
}

// A packet of many datagrams, each of them too big for the link and free to be cut.
Verdict send_segments(Shard& shard, Packet& packet, std::size_t mtu) {
  if (shard.port(packet.egress).has_link_layer && packet.from == Side::network)
    write_link_header(shard, packet);
  shard.count_consumed();
  fragment::Segmenter segmenter{packet};
  for (;;) {
    Packet segment;
    segment.frame = shard.frames().take();
    const bool out_of_frames = !segment.frame;
    if (!out_of_frames && !segmenter.next(segment.frame)) return Verdict::accept();
    shard.count_made();
    if (out_of_frames || parse(segment)) {
      shard.count_drop(DropReason::no_frames);
      return Verdict::accept();
    }
    segment.egress = packet.egress;
    segment.connection = packet.connection;
    segment.direction = packet.direction;
    shard.count_consumed();
    send_pieces(shard, segment,
                fragment::Fragmenter{segment, mtu, identification_outside(shard, segment)});
  }
}

}  // namespace

namespace {

void write_hop_limit(Packet& packet) {
  if (packet.is_v4())
    wire::MutableIpv4::parse_header(packet.frame.ip())->set_ttl(packet.hop_limit);
  else
    wire::MutableIpv6::parse_header(packet.frame.ip())->set_hop_limit(packet.hop_limit);
}

}  // namespace

void take_hop(Packet& packet) {
  --packet.hop_limit;
  packet.ttl_taken = true;
  write_hop_limit(packet);
}

void give_hop_back(Packet& packet) {
  ++packet.hop_limit;
  packet.ttl_taken = false;
  write_hop_limit(packet);
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
  return Verdict::accept();  // transmit cuts it
}

Verdict transmit(Shard& shard, Packet& packet) {
  const std::size_t mtu = mtu_of(shard, packet);
  if (size_on_link(packet) > mtu) {
    // Asked again: the link may have become smaller while the packet waited for its next hop.
    if (const Verdict verdict = fit(shard, packet); !verdict.accepted()) return verdict;
    if (packet.frame.offload.gso() == wire::VnetHeader::Gso::udp_l4)
      return send_segments(shard, packet, mtu);
    if (size_on_link(packet) > mtu) return send_fragments(shard, packet, mtu);
  }
  // What was put together leaves as it came, or smaller (F-10).
  if (packet.largest_fragment != 0)
    return send_fragments(shard, packet, std::min<std::size_t>(mtu, packet.largest_fragment));
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
