#include "daemon/icmp/reset.hpp"

#include "daemon/icmp/sender.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"

namespace masqgate::icmp {
namespace {

constexpr std::uint8_t kHopLimit = 64;

std::uint16_t pseudo_header_sum(const Tuple& tuple, std::size_t length) {
  return wire::pseudo_header_sum(tuple.source_address, tuple.destination_address,
                                 net::Protocol::tcp, static_cast<std::uint32_t>(length));
}

bool checksum_is_right(const Packet& packet) {
  const auto segment = packet.transport();
  return packet.frame.offload.needs_checksum() ||
         wire::add(wire::sum(segment), pseudo_header_sum(packet.tuple, segment.size())) == 0xffff;
}

bool deserves_reset(const Packet& about) {
  const net::IpAddress to = about.tuple.destination_address;
  return about.tuple.protocol == net::Protocol::tcp && !about.is_fragment &&
         !about.tcp_flags.rst() && !about.link_group && !to.is_multicast() &&
         !to.is_limited_broadcast() && is_single_sender(about.tuple.source_address) &&
         checksum_is_right(about);
}

// What the peer expects next where it has acknowledged something; else an acknowledgement of all
// that this segment takes up.
wire::MutableTcp::Fields answer_to(const wire::Tcp& segment) {
  wire::MutableTcp::Fields fields{.source = segment.destination(), .destination = segment.source()};
  fields.flags.bits = wire::TcpFlags::kRst;
  if (segment.flags().ack()) {
    fields.sequence = segment.acknowledgement();
    return fields;
  }
  const std::size_t length = segment.payload().size() + (segment.flags().syn() ? 1u : 0u) +
                             (segment.flags().fin() ? 1u : 0u);
  fields.acknowledgement = segment.sequence() + static_cast<std::uint32_t>(length);
  fields.flags.bits |= wire::TcpFlags::kAck;
  return fields;
}

}  // namespace

bool build_reset(Frame& out, const Packet& about) noexcept {
  if (!out || !deserves_reset(about)) return false;
  const auto segment = wire::Tcp::parse(about.transport());
  if (!segment) return false;
  const Tuple back = about.tuple.inverted();
  const std::size_t ip_header = about.is_v4() ? wire::Ipv4::kHeaderSize : wire::Ipv6::kHeaderSize;
  out.set_ip_size(ip_header + wire::Tcp::kHeaderSize);
  out.offload = {};
  if (about.is_v4())
    wire::MutableIpv4::emit(out.ip(), {.source = back.source_address,
                                       .destination = back.destination_address,
                                       .protocol = net::Protocol::tcp,
                                       .total_length = out.ip().size(),
                                       .ttl = kHopLimit,
                                       .dont_fragment = true});
  else
    wire::MutableIpv6::emit(out.ip(), {.source = back.source_address,
                                       .destination = back.destination_address,
                                       .next_header = net::Protocol::tcp,
                                       .payload_length = wire::Tcp::kHeaderSize,
                                       .hop_limit = kHopLimit});
  wire::MutableTcp::emit(out.ip().subspan(ip_header), answer_to(*segment),
                         pseudo_header_sum(back, wire::Tcp::kHeaderSize));
  return true;
}

}  // namespace masqgate::icmp
