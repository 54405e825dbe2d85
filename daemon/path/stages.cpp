#include "daemon/path/stages.hpp"

#include <algorithm>

#include "daemon/conntrack/track.hpp"
#include "daemon/fragment/fragmenter.hpp"
#include "daemon/nat/translate.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/wire/ethernet.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::path {

std::size_t size_on_link(const Packet& packet) {
  const wire::VnetHeader& offload = packet.frame.offload;
  const std::size_t whole = packet.frame.ip().size();
  if (offload.gso() == wire::VnetHeader::Gso::none) return whole;
  std::size_t headers = packet.transport_offset + wire::Udp::kHeaderSize;
  if (packet.tuple.protocol == net::Protocol::tcp)
    headers = packet.transport_offset + wire::Tcp::parse(packet.transport())->header_length();
  return std::min(whole, headers + offload.gso_size);
}

namespace stages {
namespace {

using conntrack::Connection;
using firewall::Hook;

Verdict judge(Shard& shard, Packet& packet, Hook hook) {
  const firewall::Decision decision = shard.policy().ruleset->evaluate(hook, packet);
  switch (decision.kind) {
    case firewall::Decision::Kind::accept:
      return Verdict::accept();
    case firewall::Decision::Kind::drop:
      return Verdict::drop(DropReason::rule);
    case firewall::Decision::Kind::reject:
      break;
  }
  using firewall::RejectWith;
  const auto tell = [&](icmp::Unreachable why) {
    shard.send_error(packet, icmp::unreachable(packet.family, why));
  };
  switch (decision.with) {
    case RejectWith::port_unreachable:
      tell(icmp::Unreachable::port);
      break;
    case RejectWith::host:
      tell(icmp::Unreachable::host);
      break;
    case RejectWith::net:
      tell(icmp::Unreachable::no_route);
      break;
    case RejectWith::prohibited:
      tell(icmp::Unreachable::prohibited);
      break;
    case RejectWith::tcp_reset:
      shard.send_reset(packet);
      break;
  }
  return Verdict::drop(DropReason::rejected);
}

// An ICMP error about a connection: what it quotes is translated, and its outer addresses with it.
bool is_error(const Packet& packet) {
  return packet.state == ConnState::related && packet.quoted;
}

bool is_group(net::IpAddress address) {
  return address.is_multicast() || address.is_limited_broadcast();
}

// Sources and destinations that no router passes on (RFC 1812 5.3.7, R-19).
bool is_martian(const Packet& packet) {
  const net::IpAddress source = packet.tuple.source_address;
  const net::IpAddress destination = packet.tuple.destination_address;
  const auto reserved = [](net::IpAddress a) {
    return a.is_loopback() || a.is_unspecified() ||
           (a.is_v4() && (a.v4_number() >> 24 == 0 || a.v4_number() >> 28 == 0xf));
  };
  // A host that speaks to itself by its outside endpoint comes back to itself (U-10).
  const bool came_so = packet.connection == nullptr ||
                       packet.connection->tuple(packet.direction).destination_address == source;
  return is_group(source) || reserved(source) || reserved(destination) ||
         (source == destination && came_so) || source.is_link_local() ||
         destination.is_link_local();
}

Verdict refuse(Shard& shard, const Packet& packet, icmp::Unreachable why, DropReason reason) {
  shard.send_error(packet, icmp::unreachable(packet.family, why));
  return Verdict::drop(reason);
}

Verdict follow(Shard& shard, Packet& packet, const route::Decision& decision) {
  if (decision.egress == kNoPort || !shard.is_port(decision.egress))
    return Verdict::drop(DropReason::egress_not_ours);
  if (!shard.port(decision.egress).up)
    return refuse(shard, packet, icmp::Unreachable::no_route, DropReason::egress_down);
  packet.egress = decision.egress;
  packet.next_hop = decision.next_hop;
  packet.route_mtu = static_cast<std::uint16_t>(std::min(decision.mtu, 65535u));
  return Verdict::accept();
}

bool is_our_own(const Shard& shard, net::IpAddress address) {
  return shard.policy().owner_of(address) != kNoPort;
}

// What forwarding asks beyond a route. Errors of our own are not forwarded, they are sent.
std::optional<DropReason> forwarding_objection(const Shard& shard, const Packet& packet) {
  if (packet.made_here) return std::nullopt;
  if (!shard.policy().forwarding) return DropReason::forwarding_off;
  if (packet.source_routed) return DropReason::source_route;
  if (is_martian(packet) || is_our_own(shard, packet.tuple.source_address))
    return DropReason::martian;
  return std::nullopt;
}

// What every IPv4 link must take (RFC 791 3.2): room for the longest header and eight bytes. A
// route may name less.
constexpr std::size_t kSmallestMtu = 68;

std::size_t mtu_of(const Shard& shard, const Packet& packet) {
  const std::size_t link = shard.port(packet.egress).mtu;
  const std::size_t mtu =
      packet.route_mtu == 0 ? link : std::min<std::size_t>(link, packet.route_mtu);
  return std::max(mtu, kSmallestMtu);
}

// The packet goes on as its fragments; they share its link header, so they are made behind resolve.
Verdict send_fragments(Shard& shard, Packet& packet, std::size_t mtu) {
  nat::complete_checksum(packet);
  if (shard.port(packet.egress).has_link_layer && packet.from == Side::network)
    write_link_header(shard, packet);
  fragment::Fragmenter fragmenter{packet, mtu};
  shard.count_consumed();
  for (;;) {
    Frame frame = shard.frames().take();
    if (!frame) {
      shard.count_made();
      shard.count_drop(DropReason::no_frames);
      return Verdict::accept();
    }
    if (!fragmenter.next(frame)) return Verdict::accept();
    shard.count_made();
    const Verdict sent = shard.send(packet.egress, Side::network, frame);
    if (!sent.accepted()) shard.count_drop(sent.reason());
  }
}

}  // namespace

void take_hop(Packet& packet) {
  --packet.hop_limit;
  packet.ttl_taken = true;
  if (packet.is_v4())
    wire::MutableIpv4::parse_header(packet.frame.ip())->set_ttl(packet.hop_limit);
  else
    wire::MutableIpv6::parse_header(packet.frame.ip())->set_hop_limit(packet.hop_limit);
}

void write_link_header(Shard& shard, Packet& packet) {
  wire::MutableEthernet::parse(packet.frame.link())
      ->set(shard.neighbours().at(packet.neighbour).mac, shard.port(packet.egress).mac,
            packet.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6);
}

Verdict defragment(Shard& shard, Packet& packet) {
  if (!packet.is_fragment) return Verdict::accept();
  switch (shard.fragments().pass(packet, shard.now())) {
    case fragment::Flows::Fate::known:
      return Verdict::accept();
    case fragment::Flows::Fate::parked:
      return Verdict::stolen();
    default:
      return Verdict::drop(DropReason::fragment);
  }
}

Verdict track(Shard& shard, Packet& packet) {
  if (const auto reason =
          conntrack::track(packet, shard.connections(), shard.policy().timeouts, shard.now()))
    return Verdict::drop(*reason);
  // An error of ours about a connection's first packet, which is not in the table yet.
  if (packet.made_here && packet.quoted && packet.state == ConnState::invalid)
    packet.state = ConnState::related;
  if (packet.connection != nullptr && packet.state != ConnState::related)
    conntrack::account(packet, packet.frame.ip().size());
  return Verdict::accept();
}

Verdict prerouting(Shard& shard, Packet& packet) {
  return judge(shard, packet, Hook::prerouting);
}
Verdict input(Shard& shard, Packet& packet) {
  return judge(shard, packet, Hook::input);
}
Verdict output(Shard& shard, Packet& packet) {
  return judge(shard, packet, Hook::output);
}
Verdict postrouting(Shard& shard, Packet& packet) {
  return judge(shard, packet, Hook::postrouting);
}

// An error about nothing that we know goes nowhere (I-09).
Verdict forward(Shard& shard, Packet& packet) {
  if (packet.state == ConnState::invalid && packet.tuple.is_icmp() &&
      packet.tuple.source_port == 0 && packet.tuple.is_icmp_reply == 0)
    return Verdict::drop(DropReason::unsolicited_error);
  return judge(shard, packet, Hook::forward);
}

namespace {

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

}  // namespace

Verdict dnat(Shard& shard, Packet& packet) {
  if (packet.connection == nullptr || packet.state == ConnState::invalid) return Verdict::accept();
  const bool first = !packet.connection->has(Connection::kConfirmed) && !packet.made_here &&
                     packet.direction == Direction::original && packet.state == ConnState::new_;
  if (first) choose_destination(shard, packet);
  // Who comes in by a mapping belongs to the connection that made it.
  if (packet.state == ConnState::new_ && packet.connection->has(Connection::kAdmitted))
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

// A DHCP server sends its offer to the address that it offers, which is nobody's yet (RFC 2131 4.1).
bool is_lease_offer(const Packet& packet, const route::Decision& decision) {
  constexpr net::Port kServer = 67, kClient = 68;
  const bool leads_elsewhere =
      decision.kind == route::Kind::unicast && decision.egress != packet.ingress;
  return packet.tuple.protocol == net::Protocol::udp && packet.state == ConnState::new_ &&
         packet.tuple.source_port == kServer && packet.tuple.destination_port == kClient &&
         !leads_elsewhere;
}

}  // namespace

Verdict route(Shard& shard, Packet& packet) {
  if (!packet.made_here && (packet.link_group || is_group(packet.tuple.destination_address)))
    return Verdict::local();
  const Tuple& tuple = packet.tuple;
  const route::Decision decision = shard.policy().routes->lookup(
      {tuple.source_address, tuple.destination_address, packet.made_here ? kNoPort : packet.ingress,
       packet.mark, packet.tos, tuple.protocol, tuple.source_port, tuple.destination_port});
  using route::Kind;
  switch (decision.kind) {
    case Kind::local:
      return Verdict::local();
    case Kind::multicast:
      return Verdict::local();
    case Kind::broadcast:
      return decision.egress == packet.ingress ? Verdict::local()
                                               : Verdict::drop(DropReason::group_destination);
    default:
      break;
  }
  if (is_lease_offer(packet, decision)) return Verdict::local();
  if (const auto objection = forwarding_objection(shard, packet)) return Verdict::drop(*objection);
  switch (decision.kind) {
    case Kind::unicast:
      return follow(shard, packet, decision);
    case Kind::blackhole:
      return Verdict::drop(DropReason::route_prohibits);
    case Kind::unreachable:
      return refuse(shard, packet, icmp::Unreachable::host, DropReason::route_prohibits);
    case Kind::prohibit:
      return refuse(shard, packet, icmp::Unreachable::prohibited, DropReason::route_prohibits);
    default:
      return refuse(shard, packet, icmp::Unreachable::no_route, DropReason::no_route);
  }
}

Verdict ttl(Shard& shard, Packet& packet) {
  if (packet.hop_limit <= 1) {
    shard.send_error(packet, icmp::time_exceeded(packet.family));
    return Verdict::drop(DropReason::ttl_exceeded);
  }
  take_hop(packet);
  return Verdict::accept();
}

namespace {

// Where the connection appears when this rule gives it its source.
std::optional<DropReason> take_source(Shard& shard, Packet& packet, const nat::SourceRule& rule,
                                      std::optional<net::IpAddress> own_address) {
  using Kind = nat::SourceRule::Kind;
  Connection& connection = *packet.connection;
  connection.set(Connection::kSourceNat);
  if (rule.kind == Kind::network) {
    connection.reply.destination_address =
        nat::map_network(packet.tuple.source_address, rule.network);
    return std::nullopt;
  }
  nat::Outside outside{rule.pool, rule.ports, &shard.policy().nat,
                       &shard.forwards().port_forwards()};
  nat::AddressRange own;
  if (rule.kind == Kind::masquerade) {
    if (!own_address) return DropReason::no_outside_address;
    own = {*own_address, *own_address};
    outside.addresses = {&own, 1};
  }
  nat::Behaviour behaviour = rule.behaviour;
  if (connection.original.has_ports() &&
      shard.forwards().auto_forwards().keeps_port(connection.original.destination_port))
    behaviour.ports = nat::PortChoice::preserve;
  return shard.mappings().choose(connection, outside, behaviour);
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

// The outside endpoint of a connection's first packet.
std::optional<DropReason> choose_source(Shard& shard, Packet& packet) {
  Connection& connection = *packet.connection;
  const Policy& policy = shard.policy();
  const auto* rule = policy.source_rule_for(packet.egress, packet.tuple);
  if (rule != nullptr && rule->kind != nat::SourceRule::Kind::none)
    return take_source(shard, packet, *rule,
                       shard.port(packet.egress).source_towards(packet.next_hop));
  if (const auto* own = hairpin_rule(policy, packet))
    return take_source(shard, packet, *own, connection.original.destination_address);
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
      if (const auto reason = choose_source(shard, packet)) return Verdict::drop(*reason);
    tell_forwards(shard, packet);
    const Tuple after = connection->translated(packet.direction);
    if (after != packet.tuple) nat::rewrite(packet, after);
  }
  // Nothing leaves with an address that masquerading should have hidden (K-29): not what could not
  // be tracked, and not what began before the rule was there.
  if (!packet.made_here && shard.policy().shows_inside(packet.egress, packet.tuple))
    return Verdict::drop(DropReason::untranslatable);
  return Verdict::accept();
}

Verdict confirm(Shard& shard, Packet& packet) {
  Connection* connection = packet.connection;
  if (connection == nullptr || connection->has(Connection::kConfirmed)) return Verdict::accept();
  connection->egress = packet.egress;
  const Duration timeout = conntrack::timeout_of(*connection, shard.policy().timeouts);
  if (!shard.connections().confirm(*connection, shard.now(), timeout))
    return Verdict::drop(DropReason::tuple_clash);
  shard.mappings().hold(*connection);
  return Verdict::accept();
}

Verdict fit(Shard& shard, Packet& packet) {
  const std::size_t mtu = mtu_of(shard, packet);
  const std::size_t size = size_on_link(packet);
  if (size <= mtu) return Verdict::accept();
  wire::VnetHeader& offload = packet.frame.offload;
  if (packet.dont_fragment) {
    shard.send_error(packet, icmp::too_big(packet.family, static_cast<unsigned>(mtu)));
    return Verdict::drop(DropReason::too_big);
  }
  // TCP may be cut into smaller segments than asked for; nobody sees the difference.
  if (offload.gso() == wire::VnetHeader::Gso::tcp4 && offload.gso_size > size - mtu) {
    offload.gso_size = static_cast<std::uint16_t>(offload.gso_size - (size - mtu));
    return Verdict::accept();
  }
  if (offload.gso() != wire::VnetHeader::Gso::none) return Verdict::drop(DropReason::too_big);
  return Verdict::accept();
}

Verdict resolve(Shard& shard, Packet& packet) {
  if (!shard.port(packet.egress).has_link_layer) return Verdict::accept();
  const auto entry = shard.neighbours().resolve(packet.egress, packet.next_hop, shard.now());
  if (!entry) return Verdict::drop(DropReason::neighbour_unresolved);
  packet.neighbour = *entry;
  switch (shard.neighbours().at(*entry).state) {
    case neighbour::State::usable:
    case neighbour::State::stale:
      return Verdict::accept();
    case neighbour::State::failed:
      return refuse(shard, packet, icmp::Unreachable::host, DropReason::neighbour_failed);
    case neighbour::State::unresolved:
      break;
  }
  if (packet.connection != nullptr) packet.connection_serial = packet.connection->serial;
  shard.settle(packet);  // there may be other rules when it goes on
  return shard.neighbours().park(*entry, packet) ? Verdict::stolen()
                                                 : Verdict::drop(DropReason::neighbour_unresolved);
}

Verdict transmit(Shard& shard, Packet& packet) {
  const std::size_t mtu = mtu_of(shard, packet);
  if (size_on_link(packet) > mtu) {
    // Asked again: the link may have become smaller while the packet waited for its next hop.
    if (const Verdict verdict = fit(shard, packet); !verdict.accepted()) return verdict;
    if (size_on_link(packet) > mtu) return send_fragments(shard, packet, mtu);
  }
  // What Linux sends has its link header already.
  const bool from_linux = packet.from == Side::host && !packet.made_here;
  if (!from_linux && shard.port(packet.egress).has_link_layer) write_link_header(shard, packet);
  shard.remember(packet);
  return shard.send(packet.egress, Side::network, packet.frame);
}

Verdict deliver(Shard& shard, Packet& packet) {
  if (packet.made_here && shard.port(packet.ingress).has_link_layer) {
    const net::MacAddress own = shard.port(packet.ingress).mac;
    wire::MutableEthernet::parse(packet.frame.link())
        ->set(own, own, packet.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6);
  }
  return shard.send(packet.ingress, Side::host, packet.frame);
}

}  // namespace stages
}  // namespace masqgate::path
