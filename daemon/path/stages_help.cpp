// Stages help and syn_proxy: who reads and changes what the ends say to each other.

#include "daemon/path/stages.hpp"

#include "daemon/path/shard.hpp"
#include "daemon/path/stage_tools.hpp"

namespace masqgate::path::stages {

Verdict syn_proxy(Shard& shard, Packet& packet) {
  return packet.from == Side::network ? shard.syn_proxy().arrive(packet) : Verdict::accept();
}

Verdict help(Shard& shard, Packet& packet) {
  conntrack::Connection* connection = packet.connection;
  if (connection == nullptr || packet.state == ConnState::invalid) return Verdict::accept();
  const bool first = !connection->has(conntrack::Connection::kConfirmed) && !packet.made_here &&
                     packet.direction == Direction::original;
  const bool is_proxied = shard.syn_proxy().leads(*connection);
  if (first && !is_proxied) shard.helpers().begin(*connection, packet);
  if (is_proxied && packet.direction == Direction::reply && !is_error(packet))
    shard.syn_proxy().answer(packet);
  if (!connection->is_helped() || is_error(packet)) return Verdict::accept();
  const auto answer = shard.helpers().help(packet, shard.now());
  if (!answer.drop) return Verdict::accept();
  if (answer.reset) shard.send_reset(packet);
  return Verdict::drop(*answer.drop);
}

}  // namespace masqgate::path::stages
