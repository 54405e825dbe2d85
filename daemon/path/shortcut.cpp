// The short cut: packets of established connections go from parse to transmit with what the stages
// decided for an earlier packet of the same direction.
//
// It must never give another answer than the corridor (tests/path/test_shortcut.cpp runs both). So
// it only serves packets for which every stage's answer is known beforehand: the connection's state
// cannot change, no rule must see single packets, the next hop is fresh, the packet fits and lives
// on.

#include "daemon/conntrack/track.hpp"
#include "daemon/nat/translate.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/path/stages.hpp"
#include "daemon/path/trace.hpp"

namespace masqgate::path {

std::optional<Verdict> Shard::take_shortcut(Packet& packet) {
  if (!take_shortcuts_ || packet.is_fragment || packet.source_routed || packet.link_group ||
      !packet.tuple.has_ports())
    return std::nullopt;
  const conntrack::Found found = connections_.find(packet.tuple);
  if (found.connection == nullptr) return std::nullopt;
  conntrack::Connection& connection = *found.connection;
  const conntrack::Shortcut& shortcut = connection.half(found.direction).shortcut;
  if (shortcut.generation != generation() || !conntrack::is_steady(connection, packet) ||
      packet.hop_limit <= 1 || size_on_link(packet) > port(shortcut.egress).mtu)
    return std::nullopt;
  const bool has_link = port(shortcut.egress).has_link_layer;
  if (has_link && neighbours_.at(shortcut.neighbour).state != neighbour::State::usable)
    return std::nullopt;
  // Last, because from here on the packet is ours.
  if (!conntrack::follow_steadily(connection, found.direction, packet, policy_->timeouts))
    return std::nullopt;

  packet.connection = &connection;
  packet.direction = found.direction;
  const std::size_t bytes = packet.frame.ip().size();
  conntrack::account(packet, bytes);
  if (connection.refreshed_by(found.direction))
    connections_.refresh(connection, now_,
                         conntrack::timeout_of(connection, policy_->timeouts_in_force()));
  trails_.count(shortcut.trail, bytes, now_);
  nat::rewrite(packet, connection.translated(found.direction),
               {shortcut.address_delta, shortcut.transport_delta});
  stages::take_hop(packet);
  packet.egress = shortcut.egress;
  packet.neighbour = shortcut.neighbour;
  ++counters_.shortcuts;
  if (trace_ != nullptr) trace_->shortcut();
  if (has_link) stages::write_link_header(*this, packet);
  return send(shortcut.egress, Side::network, packet.frame);
}

// Called when a packet has reached the end of the corridor.
void Shard::remember(const Packet& packet) {
  // Where routes ask for the type of service, each packet must be asked.
  if (!take_shortcuts_ || packet.not_remembered || policy_->routes->looks_at_tos() ||
      packet.connection == nullptr || packet.from != Side::network ||
      packet.state != ConnState::established || packet.route_mtu != 0 || packet.is_fragment ||
      !packet.tuple.has_ports())
    return;
  conntrack::Connection& connection = *packet.connection;
  if (connection.is_helped()) return;
  // AUTOFW counts its 15 s from the last packet to a control port.
  const Tuple& original = connection.original;
  if (packet.direction == Direction::original &&
      forwards_.auto_forwards().watches(original.protocol, original.destination_port))
    return;
  const auto trail = trails_.intern(packet.trail);
  if (!trail) return;
  const nat::Delta delta = nat::delta_between(connection.tuple(packet.direction), packet.tuple);
  connection.half(packet.direction).shortcut = {generation(),  packet.neighbour, packet.egress,
                                                delta.address, delta.transport,  *trail};
}

}  // namespace masqgate::path
