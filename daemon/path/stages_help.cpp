// Stage help: what protocol helpers read and change.

#include "daemon/path/stages.hpp"

#include "daemon/path/shard.hpp"
#include "daemon/path/stage_tools.hpp"

namespace masqgate::path::stages {

Verdict help(Shard& shard, Packet& packet) {
  conntrack::Connection* connection = packet.connection;
  if (connection == nullptr || packet.state == ConnState::invalid) return Verdict::accept();
  const bool first = !connection->has(conntrack::Connection::kConfirmed) && !packet.made_here &&
                     packet.direction == Direction::original;
  if (first) shard.helpers().begin(*connection, packet);
  if (!connection->is_helped() || is_error(packet)) return Verdict::accept();
  const auto answer = shard.helpers().help(packet, shard.now());
  if (!answer.drop) return Verdict::accept();
  if (answer.reset) shard.send_reset(packet);
  return Verdict::drop(*answer.drop);
}

}  // namespace masqgate::path::stages
