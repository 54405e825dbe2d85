// Makes TCP segments without payload: resets, and what the SYN proxy says (RFC 9293 3.1).

#pragma once

#include "daemon/packet/frame.hpp"
#include "daemon/packet/tuple.hpp"
#include "daemon/wire/tcp.hpp"

namespace masqgate {

struct TcpSegment {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  wire::TcpFlags flags{};
  std::uint16_t window = 0;
  std::uint16_t mss = 0;  // 0: no option
  std::uint8_t hop_limit = 64;
};

// Writes a whole IP packet of this tuple with right checksums. out has storage.
void write_segment(Frame& out, const Tuple& tuple, const TcpSegment& segment) noexcept;

}  // namespace masqgate
