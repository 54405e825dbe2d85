#include "daemon/packet/tcp_segment.hpp"

#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"

namespace masqgate {
namespace {

constexpr std::size_t kMssOption = 4;

void write_network(wire::MutableBytes ip, const Tuple& tuple, std::uint8_t hop_limit) {
  if (tuple.source_address.is_v4())
    wire::MutableIpv4::emit(ip, {.source = tuple.source_address,
                                 .destination = tuple.destination_address,
                                 .protocol = net::Protocol::tcp,
                                 .total_length = ip.size(),
                                 .ttl = hop_limit,
                                 .dont_fragment = true});
  else
    wire::MutableIpv6::emit(ip, {.source = tuple.source_address,
                                 .destination = tuple.destination_address,
                                 .next_header = net::Protocol::tcp,
                                 .payload_length = ip.size() - wire::Ipv6::kHeaderSize,
                                 .hop_limit = hop_limit});
}

// The option was written as a payload; now it belongs to the header.
void lengthen_header(wire::MutableBytes tcp) {
  constexpr std::size_t kLength = 12;
  const std::uint16_t before = wire::load16(tcp, kLength);
  const auto after = static_cast<std::uint16_t>(before + (kMssOption / 4 << 12));
  wire::store16(tcp, kLength, after);
  const std::uint16_t checksum = wire::load16(tcp, wire::Tcp::kChecksumOffset);
  wire::store16(tcp, wire::Tcp::kChecksumOffset,
                wire::adjust(checksum, wire::delta(before, after)));
}

}  // namespace

void write_segment(Frame& out, const Tuple& tuple, const TcpSegment& segment) noexcept {
  const std::size_t network =
      tuple.source_address.is_v4() ? wire::Ipv4::kHeaderSize : wire::Ipv6::kHeaderSize;
  const std::size_t transport = wire::Tcp::kHeaderSize + (segment.mss != 0 ? kMssOption : 0);
  out.set_ip_size(network + transport);
  out.offload = {};
  write_network(out.ip(), tuple, segment.hop_limit);
  const wire::MutableBytes tcp = out.ip().subspan(network);
  if (segment.mss != 0) wire::store32(tcp, wire::Tcp::kHeaderSize, 0x02040000u | segment.mss);
  wire::MutableTcp::emit(
      tcp,
      {.source = tuple.source_port,
       .destination = tuple.destination_port,
       .sequence = segment.sequence,
       .acknowledgement = segment.acknowledgement,
       .flags = segment.flags,
       .window = segment.window},
      wire::pseudo_header_sum(tuple.source_address, tuple.destination_address, net::Protocol::tcp,
                              static_cast<std::uint32_t>(transport)));
  if (segment.mss != 0) lengthen_header(tcp);
}

}  // namespace masqgate
