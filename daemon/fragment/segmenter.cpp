#include "daemon/fragment/segmenter.hpp"

#include <algorithm>

#include "daemon/wire/checksum.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::fragment {

bool Segmenter::next(Frame& frame) {
  const auto ip = packet_.frame.ip();
  const auto payload = ip.subspan(header_size_);
  if (offset_ >= payload.size()) return false;
  const std::size_t size =
      std::min<std::size_t>(packet_.frame.offload.gso_size, payload.size() - offset_);
  frame.set_ip_size(header_size_ + size);
  frame.offload = {};
  std::ranges::copy(packet_.frame.link(), frame.link().begin());
  std::ranges::copy(ip.first(header_size_), frame.ip().begin());
  std::ranges::copy(payload.subspan(offset_, size), frame.ip().subspan(header_size_).begin());

  wire::MutableIpv4 header = *wire::MutableIpv4::parse_header(frame.ip());
  header.set_total_length(header_size_ + size);
  header.set_identification(static_cast<std::uint16_t>(header.identification() + count_));
  const wire::MutableBytes udp = frame.ip().subspan(packet_.transport_offset);
  wire::store16(udp, 4, static_cast<std::uint16_t>(udp.size()));
  wire::store16(udp, wire::Udp::kChecksumOffset,
                wire::pseudo_header_sum(header.source(), header.destination(), net::Protocol::udp,
                                        static_cast<std::uint32_t>(udp.size())));
  const std::uint16_t checksum = wire::complement(wire::sum(udp));
  wire::store16(udp, wire::Udp::kChecksumOffset, checksum == 0 ? 0xffff : checksum);
  offset_ += size;
  ++count_;
  return true;
}

}  // namespace masqgate::fragment
