// Which packets a short cut may serve, as matches need to know it.
//
// A connection is on its short cut only for packets that begin, end and break nothing
// (conntrack::is_steady). So a question about SYN, FIN and RST that was answered for one such
// packet is answered for all of them.

#pragma once

#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

inline constexpr std::uint8_t kUnsteadyFlags =
    wire::TcpFlags::kSyn | wire::TcpFlags::kFin | wire::TcpFlags::kRst;

inline bool is_plain_segment(const Packet& packet) noexcept {
  return (packet.tcp_flags.bits & kUnsteadyFlags) == 0;
}

}  // namespace masqgate::firewall
