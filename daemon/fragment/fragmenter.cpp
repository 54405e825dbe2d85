#include "daemon/fragment/fragmenter.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"

namespace masqgate::fragment {
namespace {

constexpr std::uint8_t kCopied = 0x80;  // an option with this bit stands in every fragment

// Turns options that belong to the first fragment only into no-operations: the header keeps its
// size.
void blank_uncopied_options(wire::MutableBytes options) {
  std::size_t at = 0;
  while (at < options.size()) {
    const std::uint8_t type = wire::load8(options, at);
    if (type == 0) return;
    std::size_t length = 1;
    if (type != 1) {
      if (at + 1 >= options.size()) return;
      length = std::max<std::size_t>(2, wire::load8(options, at + 1));
      length = std::min(length, options.size() - at);
    }
    if ((type & kCopied) == 0) std::memset(options.data() + at, 1, length);
    at += length;
  }
}

std::size_t header_of(const Packet& packet) {
  if (packet.is_v4()) return packet.transport_offset;
  return wire::per_fragment_part(*wire::Ipv6::parse_header(packet.frame.ip())).size;
}

constexpr std::size_t kFragmentHeader = 8;  // of IPv6

}  // namespace

Fragmenter::Fragmenter(const Packet& packet, std::size_t mtu, std::uint32_t identification)
    : packet_{packet},
      identification_{identification},
      header_size_{header_of(packet)},
      added_{packet.is_v4() ? 0 : kFragmentHeader},
      mtu_{mtu} {}

bool Fragmenter::next(Frame& frame) {
  const auto ip = packet_.frame.ip();
  const auto payload = ip.subspan(header_size_);
  if (offset_ >= payload.size()) return false;
  const std::size_t front = header_size_ + added_;
  const std::size_t rest = payload.size() - offset_;
  const std::size_t room = mtu_ - front;
  const std::size_t size = rest <= room ? rest : room & ~std::size_t{7};

  frame.set_ip_size(front + size);
  frame.offload = {};
  std::ranges::copy(packet_.frame.link(), frame.link().begin());
  std::ranges::copy(ip.first(header_size_), frame.ip().begin());
  std::ranges::copy(payload.subspan(offset_, size), frame.ip().subspan(front).begin());
  const bool last = size == rest;
  if (packet_.is_v4())
    write_v4(frame, size, last);
  else
    write_v6(frame, size, last);
  offset_ += size;
  return true;
}

void Fragmenter::write_v4(Frame& frame, std::size_t size, bool last) const {
  const wire::Ipv4 whole = *wire::Ipv4::parse(packet_.frame.ip());
  if (offset_ != 0)
    blank_uncopied_options(
        frame.ip().subspan(wire::Ipv4::kHeaderSize, header_size_ - wire::Ipv4::kHeaderSize));
  wire::MutableIpv4 piece = *wire::MutableIpv4::parse_header(frame.ip());
  piece.set_total_length(header_size_ + size);
  piece.set_identification(static_cast<std::uint16_t>(identification_));
  piece.set_fragment(whole.fragment_offset() + offset_, !last || whole.more_fragments());
  piece.compute_checksum();
}

void Fragmenter::write_v6(Frame& frame, std::size_t size, bool last) const {
  const wire::MutableBytes ip = frame.ip();
  const std::size_t named_at =
      wire::per_fragment_part(*wire::Ipv6::parse_header(packet_.frame.ip())).named_at;
  const wire::MutableBytes header = ip.subspan(header_size_, kFragmentHeader);
  wire::store8(header, 0, wire::load8(ip, named_at));
  wire::store8(header, 1, 0);
  wire::store16(header, 2, static_cast<std::uint16_t>(offset_ | (last ? 0u : 1u)));
  wire::store32(header, 4, identification_);
  wire::store8(ip, named_at, net::number(net::Protocol::fragment));
  wire::MutableIpv6::parse_header(ip)->set_payload_length(header_size_ + kFragmentHeader + size -
                                                          wire::Ipv6::kHeaderSize);
}

}  // namespace masqgate::fragment
