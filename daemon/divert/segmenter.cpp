// RFC 9293 3.7 as network cards read it: sequence numbers go on, FIN and PSH are for the last, CWR for
// the first; IPv4 identifications count up.

#include "daemon/divert/segmenter.hpp"

#include <algorithm>

#include "daemon/wire/checksum.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/tcp.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::divert {
namespace {

constexpr std::size_t kSequence = 4, kTcpFlags = 13;
constexpr std::uint8_t kFin = 1, kPush = 8, kCwr = 0x80;

std::size_t headers_of(const Packet& packet) {
  const bool tcp = packet.tuple.protocol == net::Protocol::tcp;
  return packet.transport_offset +
         (tcp ? wire::Tcp::parse(packet.transport())->header_length() : wire::Udp::kHeaderSize);
}

}  // namespace

Segmenter::Segmenter(const Packet& packet)
    : packet_{packet},
      headers_{headers_of(packet)},
      size_{std::max<std::size_t>(1, packet.frame.offload.gso_size)} {}

bool Segmenter::next(Frame& frame) {
  const std::span<const std::byte> whole = packet_.frame.ip();
  const std::size_t payload = whole.size() - headers_;
  if (offset_ >= payload) return false;
  const std::size_t size = std::min(size_, payload - offset_);
  const bool first = offset_ == 0, last = offset_ + size == payload;
  frame.set_ip_size(headers_ + size);
  frame.offload = {};
  const wire::MutableBytes ip = frame.ip();
  std::ranges::copy(packet_.frame.link(), frame.link().begin());
  std::ranges::copy(whole.first(headers_), ip.begin());
  std::ranges::copy(whole.subspan(headers_ + offset_, size), ip.subspan(headers_).begin());

  if (packet_.is_v4()) {
    wire::store16(ip, 2, static_cast<std::uint16_t>(ip.size()));
    wire::store16(ip, 4, static_cast<std::uint16_t>(packet_.fragment_id + count_));
    wire::store16(ip, 10, 0);
    wire::store16(ip, 10, wire::complement(wire::sum(ip.first((wire::load8(ip, 0) & 0xfu) * 4u))));
  } else {
    wire::store16(ip, 4, static_cast<std::uint16_t>(ip.size() - wire::Ipv6::kHeaderSize));
  }
  const wire::MutableBytes transport = ip.subspan(packet_.transport_offset);
  const bool tcp = packet_.tuple.protocol == net::Protocol::tcp;
  if (tcp) {
    const auto sequence = static_cast<std::uint32_t>(wire::load32(transport, kSequence) + offset_);
    wire::store32(transport, kSequence, sequence);
    std::uint8_t flags = wire::load8(transport, kTcpFlags);
    if (!last) flags &= static_cast<std::uint8_t>(~(kFin | kPush));
    if (!first) flags &= static_cast<std::uint8_t>(~kCwr);
    wire::store8(transport, kTcpFlags, flags);
  } else {
    wire::store16(transport, 4, static_cast<std::uint16_t>(transport.size()));
  }
  const std::size_t at = tcp ? wire::Tcp::kChecksumOffset : wire::Udp::kChecksumOffset;
  wire::store16(transport, at, 0);
  const std::uint16_t pseudo =
      wire::pseudo_header_sum(packet_.tuple.source_address, packet_.tuple.destination_address,
                              packet_.tuple.protocol, static_cast<std::uint32_t>(transport.size()));
  const std::uint16_t checksum = wire::complement(wire::add(pseudo, wire::sum(transport)));
  wire::store16(transport, at, !tcp && checksum == 0 ? 0xffff : checksum);
  offset_ += size;
  ++count_;
  return true;
}

}  // namespace masqgate::divert
