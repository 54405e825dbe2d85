// What several stages share.

#pragma once

#include "daemon/path/shard.hpp"

namespace masqgate::path::stages {

// An ICMP error about a connection: what it quotes is translated, and its outer addresses with it.
inline bool is_error(const Packet& packet) {
  return packet.state == ConnState::related && packet.quoted;
}

// The packet is dropped for this reason, and its sender is told why.
inline Verdict refuse(Shard& shard, const Packet& packet, icmp::Unreachable why,
                      DropReason reason) {
  shard.send_error(packet, icmp::unreachable(packet.family, why));
  return Verdict::drop(reason);
}

}  // namespace masqgate::path::stages
