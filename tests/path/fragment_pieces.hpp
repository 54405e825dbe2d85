// Datagrams in fragments, as a host sends them.

#pragma once

#include <string_view>
#include <vector>

#include "tests/support/packet_builder.hpp"

namespace masqgate::test {

inline constexpr std::size_t kPiece = 1400;  // bytes of payload, a multiple of eight

// A UDP datagram of that many pieces; the first one has eight bytes more, the header.
inline std::vector<PacketBuilder> pieces_of(const PacketBuilder& whole, std::size_t count) {
  std::vector<PacketBuilder> pieces;
  for (std::size_t i = 0; i < count; ++i) {
    PacketBuilder piece = whole;
    piece.payload_size(kPiece).fragment(i == 0 ? 0 : 8 + kPiece * i, i + 1 < count);
    pieces.push_back(piece);
  }
  return pieces;
}

inline PacketBuilder datagram(unsigned number, std::string_view host = "192.168.1.10") {
  return udp().from(host, 4000).to("198.51.100.1", 53).identification(number).no_checksum();
}

}  // namespace masqgate::test
