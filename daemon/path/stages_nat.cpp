// Stages dnat and snat: the packet's final destination, and its final source.

#include "daemon/path/stages.hpp"

#include "daemon/nat/translate.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/path/stage_tools.hpp"
#include "daemon/wire/ipv4.hpp"

namespace masqgate::path::stages {
namespace {

using conntrack::Connection;

// The redirected packet's new destination: the router itself, as its sender sees it.
std::optional<net::IpAddress> redirect_address(const Shard& shard, const Packet& packet) {
  return shard.port(packet.ingress).source_towards(packet.tuple.source_address);
}

// One of the hosts of a rule; a source always gets the same one.
net::IpAddress forward_address(Shard& shard, const Packet& packet, const nat::AddressRange& to) {
  const net::IpAddress source = packet.tuple.source_address;
  SipHash hash{shard.connections().key()};
  return to.at(hash.add(source.high()).add(source.low()).finish() % to.size());
}

void apply(Shard& shard, const Packet& packet, const nat::DestinationRule& rule) {
  using Kind = nat::DestinationRule::Kind;
  shard.count_translation(rule.number, packet);
  Tuple& reply = packet.connection->reply;
  if (rule.kind == Kind::network)
    reply.source_address = nat::map_network(packet.tuple.destination_address, rule.network);
  else if (rule.kind == Kind::forward)
    reply.source_address = forward_address(shard, packet, rule.to);
  else
    reply.source_address = redirect_address(shard, packet).value_or(reply.source_address);
  if (rule.ports.last != 0 && reply.has_ports()) {
    const unsigned offset =
        packet.tuple.destination_port - unsigned{rule.selector.destination_ports.first};
    const unsigned count = rule.ports.last - unsigned{rule.ports.first} + 1;
    reply.source_port = static_cast<net::Port>(rule.ports.first + offset % count);
  }
}

// PORTFW, AUTOFW and MFW: whom they know inside for what came to an address of ours.
void ask_forwards(Shard& shard, const Packet& packet) {
  if (shard.forwards().empty() || packet.from != Side::network) return;
  const Tuple& tuple = packet.tuple;
  const bool bare_ack =
      tuple.protocol == net::Protocol::tcp && !packet.tcp_flags.syn() && packet.tcp_flags.ack();
  const auto inside = shard.forwards().incoming(
      {tuple.protocol, tuple.source(), tuple.destination(), packet.mark, bare_ack}, shard.now());
  if (!inside) return;
  packet.connection->reply.source_address = inside->address;
  packet.connection->reply.source_port = inside->port;
}

// Where a connection's first packet goes: to whoever has a mapping there, as the masquerade table
// was always asked first (history 10), else where a rule sends it.
void choose_destination(Shard& shard, Packet& packet) {
  Connection& connection = *packet.connection;
  const Policy& policy = shard.policy();
  const auto* own = policy.hairpin_rule_for(packet.ingress, packet.tuple);
  const bool hairpin_is_off = own != nullptr && own->behaviour.hairpin == nat::Hairpin::off;
  // Of TCP only a beginning: whatever else comes out of the blue opens nothing (TS-09).
  const bool begins = packet.tuple.protocol != net::Protocol::tcp ||
                      (packet.tcp_flags.syn() && !packet.tcp_flags.ack());
  if (begins && !hairpin_is_off && shard.mappings().admit(connection, own != nullptr)) return;
  const PortIndex owner = policy.owner_of(packet.tuple.destination_address);
  const auto* rule = policy.nat.destination_for(packet.ingress, owner, packet.tuple);
  if (hairpin_is_off) return;
  if (rule != nullptr)
    apply(shard, packet, *rule);
  else if (owner != kNoPort)
    ask_forwards(shard, packet);
  if (own == nullptr && connection.reply != connection.original.inverted())
    connection.set(Connection::kInbound);
}

// From outside to an address of a pool that is not Linux' own, and nobody there. It would be routed
// back to where it came from.
bool is_stray(const Shard& shard, const Packet& packet) {
  const net::IpAddress to = packet.tuple.destination_address;
  return packet.connection->reply == packet.connection->original.inverted() &&
         packet.from == Side::network &&
         shard.policy().rule_giving(packet.ingress, to) != nullptr &&
         shard.policy().owner_of(to) == kNoPort;
}

}  // namespace

Verdict dnat(Shard& shard, Packet& packet) {
  if (packet.connection == nullptr || packet.state == ConnState::invalid) return Verdict::accept();
  const bool first = !packet.connection->has(Connection::kConfirmed) && !packet.made_here &&
                     packet.direction == Direction::original && packet.state == ConnState::new_;
  if (first && !packet.connection->is_expected()) choose_destination(shard, packet);
  if (first && is_stray(shard, packet)) {
    shard.note_stray(packet);
    return Verdict::drop(DropReason::unsolicited);
  }
  // Who comes in by a mapping, or was announced, belongs to another connection.
  if (packet.state == ConnState::new_ &&
      (packet.connection->has(Connection::kAdmitted) || packet.connection->is_expected()))
    packet.state = ConnState::related;
  const Tuple before = packet.connection->tuple(packet.direction);
  const Tuple after = packet.connection->translated(packet.direction);
  Tuple to = packet.tuple;
  if (!is_error(packet)) {
    to.destination_address = after.destination_address;
    to.destination_port = after.destination_port;
  } else if (before.destination_address != after.destination_address) {
    to.destination_address = after.destination_address;
  }
  if (to != packet.tuple) nat::rewrite(packet, to);
  return Verdict::accept();
}

namespace {

// Where the connection appears when this rule gives it its source.
std::optional<DropReason> take_source(Shard& shard, Packet& packet, const nat::SourceRule& rule,
                                      std::optional<net::IpAddress> own_address) {
  using Kind = nat::SourceRule::Kind;
  Connection& connection = *packet.connection;
  connection.set(Connection::kSourceNat);
  connection.timeout_set = rule.timeout_set;
  if (rule.behaviour.refresh == nat::Refresh::outbound)
    connection.set(Connection::kOutboundRefresh);
  if (rule.kind == Kind::network) {
    connection.reply.destination_address =
        nat::map_network(packet.tuple.source_address, rule.network);
    return std::nullopt;
  }
  nat::Outside outside{rule.pool, rule.ports, rule.egress, &shard.policy().nat,
                       &shard.forwards().port_forwards()};
  outside.may_take_port =
      shard.hosts().may_take_port(nat::inside_of(connection).address, shard.policy().limits.hosts);
  nat::AddressRange own;
  if (rule.kind == Kind::masquerade) {
    if (!own_address) return DropReason::no_outside_address;
    own = {*own_address, *own_address};
    outside.addresses = {&own, 1};
  }
  nat::Behaviour behaviour = shard.policy().nat.behaviour_for(rule, connection.original.protocol);
  if (connection.original.has_ports() &&
      shard.forwards().auto_forwards().keeps_port(connection.original.destination_port))
    behaviour.ports = nat::PortChoice::preserve;
  const auto problem = shard.mappings().choose(connection, outside, behaviour);
  if (problem == DropReason::host_ports)
    shard.hosts().refuse_port(nat::inside_of(connection).address,
                              shard.policy().limits.hosts.prefix_v6);
  return problem;
}

// What a host inside says outside may open a range of AUTOFW for it, each time anew.
void tell_forwards(Shard& shard, const Packet& packet) {
  const Connection& connection = *packet.connection;
  if (shard.forwards().empty() || packet.direction != Direction::original ||
      !connection.has(Connection::kSourceNat))
    return;
  const Tuple& original = connection.original;
  shard.forwards().auto_forwards().on_outgoing(original.protocol, original.source_address,
                                               original.destination(), shard.now());
}

// Sender and receiver are inside, and the sender asked for an outside address: it is shown with its
// own one, so that the answers come back this way (U-10, U-11).
const nat::SourceRule* hairpin_rule(const Policy& policy, const Packet& packet) {
  const Tuple& original = packet.connection->original;
  if (packet.connection->reply.source() == original.destination()) return nullptr;
  const auto* rule = policy.hairpin_rule_for(packet.ingress, original);
  return rule != nullptr && rule->behaviour.hairpin == nat::Hairpin::external ? rule : nullptr;
}

// Whose side of the port matters for its address: the next hop's; but a router that is known by its
// link-local address says nothing of the networks there.
net::IpAddress visible_from(const Packet& packet) {
  return packet.next_hop.is_link_local() ? packet.tuple.destination_address : packet.next_hop;
}

// A connection that was announced appears where its master does. rule: that would hold else.
std::optional<DropReason> follow_master(Shard& shard, Packet& packet, const nat::SourceRule* rule) {
  Connection& connection = *packet.connection;
  const nat::AddressRange own{connection.reply.destination_address,
                              connection.reply.destination_address};
  if (rule != nullptr) connection.set(Connection::kSourceNat);
  return shard.mappings().choose(connection,
                                 {{&own, 1},
                                  rule != nullptr ? rule->ports : net::PortRange{0, 0},
                                  packet.egress,
                                  &shard.policy().nat,
                                  &shard.forwards().port_forwards()},
                                 rule != nullptr ? rule->behaviour : nat::kRfc);
}

// The outside endpoint of a connection's first packet.
std::optional<DropReason> choose_source(Shard& shard, Packet& packet) {
  Connection& connection = *packet.connection;
  const Policy& policy = shard.policy();
  const auto* rule = policy.source_rule_for(packet.egress, packet.tuple);
  if (rule != nullptr) shard.count_translation(rule->number, packet);
  if (connection.is_expected() &&
      connection.reply.destination_address != connection.original.source_address)
    return follow_master(shard, packet, rule);
  if (rule != nullptr && rule->kind != nat::SourceRule::Kind::none)
    return take_source(shard, packet, *rule,
                       shard.port(packet.egress).source_towards(visible_from(packet)));
  if (const auto* seen_outside = hairpin_rule(policy, packet)) {
    shard.count_translation(seen_outside->number, packet);
    return take_source(shard, packet, *seen_outside, connection.original.destination_address);
  }
  // The router's own connections hold their ports against masqueraded ones (M9).
  if (connection.has(Connection::kLocal)) {
    const nat::AddressRange own{packet.tuple.source_address, packet.tuple.source_address};
    return shard.mappings().choose(connection, {{&own, 1}}, nat::kRfc);
  }
  // Who is hidden from a port cannot be reached from there by its inside address: its answers would
  // show it (K-29).
  const bool by_inside_address = connection.reply.source() == connection.original.destination();
  if (by_inside_address && packet.ingress != packet.egress &&
      policy.shows_inside(packet.ingress, packet.tuple.inverted()))
    return DropReason::untranslatable;
  return std::nullopt;
}

// Two hosts inside may use one identification towards the same host (N-06): the fragments of each
// datagram get another.
void number_anew(Packet& packet) {
  packet.fragment_id = packet.fresh_id;
  wire::MutableIpv4::parse_header(packet.frame.ip())->set_identification(packet.fresh_id);
}

// AH signs the addresses: changed, its receiver would throw it away (RFC 4302 3.3.3, history 5.19).
std::optional<DropReason> translate_first(Shard& shard, Packet& packet) {
  if (const auto reason = choose_source(shard, packet)) return reason;
  const Connection& connection = *packet.connection;
  const bool is_spoilt = connection.original.protocol == net::Protocol::ah &&
                         connection.reply != connection.original.inverted();
  return is_spoilt ? std::optional{DropReason::untranslatable} : std::nullopt;
}

// Source and quote of an error about a connection's packet (I-10, I-12, I-13).
void translate_related(Packet& packet) {
  const Connection& connection = *packet.connection;
  const Tuple before = connection.tuple(packet.direction);
  const Tuple after = connection.translated(packet.direction);
  if (before == after) return;
  Tuple to = packet.tuple;
  if (before.source_address != after.source_address) to.source_address = after.source_address;
  if (to != packet.tuple) nat::rewrite(packet, to);
  nat::rewrite_quote(packet, after.inverted());
}

}  // namespace

Verdict snat(Shard& shard, Packet& packet) {
  Connection* connection = packet.connection;
  const bool tracked = connection != nullptr && packet.state != ConnState::invalid;
  if (tracked && is_error(packet)) {
    translate_related(packet);
  } else if (tracked) {
    if (!connection->has(Connection::kConfirmed) && packet.direction == Direction::original)
      if (const auto reason = translate_first(shard, packet))
        return refuse_beginning(shard, packet, *reason);
    tell_forwards(shard, packet);
    const Tuple after = connection->translated(packet.direction);
    const bool renumber =
        packet.is_fragment && packet.is_v4() && after.source_address != packet.tuple.source_address;
    if (after != packet.tuple) nat::rewrite(packet, after);
    if (renumber) number_anew(packet);
  }
  // Nothing leaves with an address that masquerading should have hidden (K-29): not what could not
  // be tracked, and not what began before the rule was there.
  if (!packet.made_here && shard.policy().shows_inside(packet.egress, packet.tuple))
    return Verdict::drop(DropReason::untranslatable);
  return Verdict::accept();
}

}  // namespace masqgate::path::stages
