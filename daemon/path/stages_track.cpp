// Stages defragment, track and confirm: whose packet it is.

#include "daemon/path/stages.hpp"

#include <algorithm>

#include "daemon/conntrack/track.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/path/stage_tools.hpp"

namespace masqgate::path::stages {

namespace {

// Solicitations, advertisements and redirects are never so long that they have to be cut.
bool is_discovery(const Packet& packet) {
  if (packet.is_v4() || packet.fragment_offset != 0 ||
      packet.tuple.protocol != net::Protocol::icmpv6 || packet.transport().empty())
    return false;
  const unsigned type = wire::load8(packet.transport(), 0);
  return 133 <= type && type <= 137;
}

Verdict note_ports(Shard& shard, Packet& packet) {
  using Fate = fragment::Flows::Fate;
  switch (shard.fragments().pass(packet, shard.now())) {
    case Fate::known:
      return Verdict::accept();
    case Fate::parked:
      return Verdict::stolen();
    case Fate::overlaps:
      return Verdict::drop(DropReason::fragment_overlap);
    case Fate::limit:
      return Verdict::drop(DropReason::fragment_limit);
    default:
      return Verdict::drop(DropReason::fragment);
  }
}

}  // namespace

Verdict put_together(Shard& shard, Packet& packet) {
  using Fate = fragment::Reassembly::Fate;
  const Fate fate = shard.reassembly().pass(packet, shard.now());
  shard.drop_incomplete();
  switch (fate) {
    case Fate::whole:
      return Verdict::accept();
    case Fate::held:
      shard.count_consumed();
      return Verdict::stolen();
    case Fate::overlaps:
      return Verdict::drop(DropReason::fragment_overlap);
    case Fate::limit:
      return Verdict::drop(DropReason::fragment_limit);
    default:
      return Verdict::drop(DropReason::malformed_ip);
  }
}

Verdict defragment(Shard& shard, Packet& packet) {
  if (!packet.is_fragment) return Verdict::accept();
  if (is_discovery(packet)) return Verdict::drop(DropReason::fragmented_discovery);
  // A datagram that a rule wants whole goes on being put together.
  return shard.policy().always_defragment || shard.reassembly().is_open(packet)
             ? put_together(shard, packet)
             : note_ports(shard, packet);
}

Verdict track(Shard& shard, Packet& packet) {
  LostAddresses& lost = shard.lost_addresses();
  if (!lost.empty())
    if (const auto reason = lost.check(packet, shard.policy())) return Verdict::drop(*reason);
  forget_keys(shard, packet);
  if (const auto reason =
          conntrack::track(packet, shard.connections(), shard.policy().timeouts_in_force(),
                           shard.now(), &shard.gate()))
    return refuse_beginning(shard, packet, *reason);
  // An error of ours about a connection's first packet, which is not in the table yet.
  if (packet.made_here && packet.quoted && packet.state == ConnState::invalid)
    packet.state = ConnState::related;
  const bool first = packet.state == ConnState::new_ &&
                     !packet.connection->has(conntrack::Connection::kConfirmed) &&
                     packet.direction == Direction::original;
  if (first) shard.helpers().meet(packet);
  if (packet.connection != nullptr && (packet.state != ConnState::related || first))
    conntrack::account(packet, packet.frame.ip().size());
  return Verdict::accept();
}

namespace {

using conntrack::Connection;

// Where only what goes out keeps a mapping alive, a stranger who comes in by it does not either: he
// stays no longer than whoever was there, unless he is answered.
Duration first_lifetime(const Shard& shard, const Connection& connection) {
  const Duration full = conntrack::timeout_of(connection, shard.policy().timeouts_in_force());
  const bool is_stranger = connection.has(Connection::kOutboundRefresh) &&
                           connection.has(Connection::kAdmitted) &&
                           connection.has(Connection::kInbound);
  return is_stranger ? std::min(full, connection.expires() - shard.now()) : full;
}

bool is_of_host(const Shard& shard, const Packet& packet) {
  const Connection& c = *packet.connection;
  return packet.from == Side::network && !packet.made_here && !c.has(Connection::kInbound) &&
         !shard.policy().is_outside(packet.ingress);
}

}  // namespace

Verdict confirm(Shard& shard, Packet& packet) {
  conntrack::Connection* connection = packet.connection;
  if (connection == nullptr || connection->has(conntrack::Connection::kConfirmed))
    return Verdict::accept();
  if (is_of_host(shard, packet)) connection->set(Connection::kOfHost);
  const Duration timeout = first_lifetime(shard, *connection);
  if (!shard.connections().confirm(*connection, shard.now(), timeout))
    return Verdict::drop(DropReason::tuple_clash);
  shard.entered(*connection, packet);
  if (connection->is_helped()) shard.helpers().keep(*connection, shard.now());
  if (connection->is_expected()) shard.helpers().fulfilled(*connection, shard.now());
  return Verdict::accept();
}

}  // namespace masqgate::path::stages
