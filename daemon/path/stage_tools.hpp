// What several stages share.

#pragma once

#include "daemon/path/shard.hpp"

namespace masqgate::path::stages {

// An ICMP error about a connection: what it quotes is translated, and its outer addresses with it.
inline bool is_error(const Packet& packet) {
  return packet.state == ConnState::related && packet.quoted;
}

// What tells conversations apart only where a helper wants it, before they are looked for.
inline void forget_keys(Shard& shard, Packet& packet) {
  const bool is_inside = packet.from == Side::network && !shard.policy().is_outside(packet.ingress);
  shard.helpers().forget_keys(packet, is_inside);
}

// The packet is dropped for this reason, and its sender is told why.
inline Verdict refuse(Shard& shard, const Packet& packet, icmp::Unreachable why,
                      DropReason reason) {
  shard.send_error(packet, icmp::unreachable(packet.family, why));
  return Verdict::drop(reason);
}

// A new connection cannot have what it needs: a host inside is told so, a stranger is not (RFC 5508
// REQ-8, RFC 6888 REQ-11). Other reasons are nobody's business.
inline Verdict refuse_beginning(Shard& shard, const Packet& packet, DropReason reason) {
  using Answer = Limits::Answer;
  const Answer answer = shard.policy().limits.answer;
  const bool is_shortage = reason == DropReason::table_full ||
                           reason == DropReason::host_sessions || reason == DropReason::host_rate ||
                           reason == DropReason::host_ports || reason == DropReason::no_free_ports;
  if (!is_shortage || answer == Answer::silent || packet.from != Side::network ||
      packet.made_here || shard.policy().is_outside(packet.ingress))
    return Verdict::drop(reason);
  return refuse(shard, packet,
                answer == Answer::host ? icmp::Unreachable::host : icmp::Unreachable::prohibited,
                reason);
}

}  // namespace masqgate::path::stages
