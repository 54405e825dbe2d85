// Stages route, ttl and resolve: where the packet goes, and whether it may.

#include "daemon/path/stages.hpp"

#include <algorithm>

#include "daemon/path/shard.hpp"
#include "daemon/path/stage_tools.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"

namespace masqgate::path::stages {
namespace {

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
  return is_group(source) || reserved(source) || reserved(destination) || source.is_link_local() ||
         destination.is_link_local();
}

// A packet that its receiver would answer to itself (K-28). A host that speaks to itself by its
// outside endpoint comes back to itself (U-10): that is none.
bool is_land(const Packet& packet) {
  const net::IpAddress source = packet.tuple.source_address;
  return source == packet.tuple.destination_address &&
         (packet.connection == nullptr ||
          packet.connection->tuple(packet.direction).destination_address == source);
}

// The sender of a connection that is known has been judged when it began; who tells of an error on
// its way may be any router.
bool is_spoofed(const Shard& shard, const Packet& packet) {
  const bool is_known =
      packet.state == ConnState::established || packet.state == ConnState::related;
  return !is_known && !packet.rewritten &&
         !shard.policy().admits_source(packet.ingress, packet.tuple, packet.mark, packet.tos);
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
  if (is_martian(packet)) return DropReason::martian;
  if (is_land(packet)) return DropReason::land;
  // A program may give a packet an address of ours, as natd does.
  if (!packet.rewritten && is_our_own(shard, packet.tuple.source_address))
    return DropReason::martian;
  if (is_spoofed(shard, packet)) return DropReason::spoofed_source;
  return std::nullopt;
}

}  // namespace

namespace {

// A DHCP server sends its offer to the address that it offers, which is nobody's yet (RFC 2131
// 4.1).
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
  packet.former_expiry = 0;  // nobody refused it
  shard.settle(packet);      // there may be other rules when it goes on
  return shard.neighbours().park(*entry, packet) ? Verdict::stolen()
                                                 : Verdict::drop(DropReason::neighbour_unresolved);
}

}  // namespace masqgate::path::stages
