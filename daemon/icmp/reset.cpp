#include "daemon/icmp/reset.hpp"

#include "daemon/icmp/sender.hpp"
#include "daemon/packet/tcp_segment.hpp"

namespace masqgate::icmp {
namespace {

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
TcpSegment answer_to(const wire::Tcp& segment) {
  TcpSegment answer;
  answer.flags.bits = wire::TcpFlags::kRst;
  if (segment.flags().ack()) {
    answer.sequence = segment.acknowledgement();
    return answer;
  }
  const std::size_t length = segment.payload().size() + (segment.flags().syn() ? 1u : 0u) +
                             (segment.flags().fin() ? 1u : 0u);
  answer.acknowledgement = segment.sequence() + static_cast<std::uint32_t>(length);
  answer.flags.bits |= wire::TcpFlags::kAck;
  return answer;
}

}  // namespace

bool build_reset(Frame& out, const Packet& about) noexcept {
  if (!out || !deserves_reset(about)) return false;
  const auto segment = wire::Tcp::parse(about.transport());
  if (!segment) return false;
  write_segment(out, about.tuple.inverted(), answer_to(*segment));
  return true;
}

}  // namespace masqgate::icmp
