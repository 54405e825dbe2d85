#include "daemon/fragment/fragmenter.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "daemon/wire/ipv4.hpp"

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

}  // namespace

Fragmenter::Fragmenter(const Packet& packet, std::size_t mtu)
    : packet_{packet}, header_size_{packet.transport_offset}, mtu_{mtu} {}

bool Fragmenter::next(Frame& frame) {
  const auto ip = packet_.frame.ip();
  const auto payload = ip.subspan(header_size_);
  if (offset_ >= payload.size()) return false;
  const std::size_t room = (mtu_ - header_size_) & ~std::size_t{7};
  const std::size_t size = std::min(room, payload.size() - offset_);

  frame.set_ip_size(header_size_ + size);
  frame.offload = {};
  std::ranges::copy(packet_.frame.link(), frame.link().begin());
  std::ranges::copy(ip.first(header_size_), frame.ip().begin());
  std::ranges::copy(payload.subspan(offset_, size), frame.ip().subspan(header_size_).begin());

  const wire::Ipv4 whole = *wire::Ipv4::parse(ip);
  if (offset_ != 0)
    blank_uncopied_options(
        frame.ip().subspan(wire::Ipv4::kHeaderSize, header_size_ - wire::Ipv4::kHeaderSize));
  wire::MutableIpv4 piece = *wire::MutableIpv4::parse_header(frame.ip());
  piece.set_total_length(header_size_ + size);
  const bool last = offset_ + size == payload.size();
  piece.set_fragment(whole.fragment_offset() + offset_, !last || whole.more_fragments());
  piece.compute_checksum();
  offset_ += size;
  return true;
}

}  // namespace masqgate::fragment
