#include "daemon/conntrack/track.hpp"

#include "daemon/conntrack/tcp_state.hpp"
#include "daemon/wire/checksum.hpp"
#include "daemon/wire/icmp.hpp"

namespace masqgate::conntrack {
namespace {

// Not conversations: multicast and broadcast, later fragments without ports, and the ICMP messages
// that neither ask nor answer (neighbour discovery and its like).
bool is_trackable(const Packet& packet) {
  const Tuple& tuple = packet.tuple;
  if (packet.link_group) return false;
  if (tuple.destination_address.is_multicast() || tuple.destination_address.is_limited_broadcast())
    return false;
  if (tuple.is_icmp())
    return tuple.source_port != 0 || tuple.destination_port != 0 || tuple.is_icmp_reply != 0;
  return true;
}

bool is_icmp_error(const Packet& packet) {
  if (!packet.tuple.is_icmp() || packet.is_fragment) return false;
  const auto icmp = wire::Icmp::parse(packet.transport());
  return icmp && wire::icmp_kind(packet.family, icmp->type()) == wire::IcmpKind::error;
}

bool icmp_checksum_is_valid(const Packet& packet) {
  std::uint16_t total = wire::sum(packet.transport());
  if (!packet.is_v4())
    total = wire::add(
        total, wire::pseudo_header_sum(packet.tuple.source_address,
                                       packet.tuple.destination_address, packet.tuple.protocol,
                                       static_cast<std::uint32_t>(packet.transport().size())));
  return total == 0xffff;
}

// An error travels the way of an answer to the packet that it quotes.
std::optional<DropReason> relate(Packet& packet, const Table& table) {
  packet.state = ConnState::invalid;
  if (!packet.frame.offload.needs_checksum() && !icmp_checksum_is_valid(packet))
    return DropReason::bad_checksum;
  if (!packet.quoted) return std::nullopt;
  const Found found = table.find(packet.quoted->inverted());
  if (found.connection == nullptr) return std::nullopt;
  packet.connection = found.connection;
  packet.direction = found.direction;
  packet.state = ConnState::related;
  return std::nullopt;
}

// A SYN/ACK's sequence number is remembered, so that only the real client's ACK makes it assured.
void follow_handshake(Connection& c, const Packet& packet, TcpState before) {
  const wire::Tcp tcp = *wire::Tcp::parse(packet.transport());
  const wire::TcpFlags flags = packet.tcp_flags;
  if (before == TcpState::syn_sent && packet.direction == Direction::reply && flags.syn() &&
      flags.ack())
    c.handshake_ack = tcp.sequence() + 1;
  if (packet.direction == Direction::original && flags.ack() && !flags.syn() &&
      before == TcpState::syn_recv && tcp.acknowledgement() == c.handshake_ack)
    c.set(Connection::kAssured);
}

void follow_tcp(Connection& c, Packet& packet, bool answered, Table& table,
                const Timeouts& timeouts, Time now) {
  const TcpState before = c.tcp_state;
  const bool picked_up = before == TcpState::established && !c.has(Connection::kAssured);
  c.tcp_state = next_state(timeouts.profile, packet.direction, before, packet.tcp_flags);
  follow_handshake(c, packet, before);
  // Joined in the middle: both directions have spoken, nobody saw the handshake.
  if (picked_up && packet.direction == Direction::reply && packet.tcp_flags.ack())
    c.set(Connection::kAssured);
  // A reset as the only answer: the attempt has failed and nothing is worth keeping (history 2.9).
  if (!answered && packet.tcp_flags.rst())
    table.refresh_sooner(c, now, Duration{});
  else
    table.refresh_sooner(c, now, timeout_of(c, timeouts));
}

void follow(Connection& c, Packet& packet, Table& table, const Timeouts& timeouts, Time now) {
  const bool tcp = c.original.protocol == net::Protocol::tcp;
  if (tcp && !flags_are_valid(packet.tcp_flags, false)) {
    packet.state = ConnState::invalid;
    return;
  }
  const bool answered = c.has(Connection::kSeenReply);
  if (packet.direction == Direction::reply) c.set(Connection::kSeenReply);
  packet.state = c.has(Connection::kSeenReply) ? ConnState::established : ConnState::new_;
  packet.mark = c.mark;
  if (tcp) return follow_tcp(c, packet, answered, table, timeouts, now);
  if (answered && c.original.protocol == net::Protocol::udp) c.set(Connection::kAssured);
  table.refresh_sooner(c, now, timeout_of(c, timeouts));
}

// A later fragment changes nothing: it shares the state that its first one left.
std::nullopt_t follow_first_fragment(Packet& packet, Table& table, const Timeouts& timeouts,
                                     Time now) {
  Connection& c = *packet.connection;
  packet.state = c.has(Connection::kSeenReply) ? ConnState::established : ConnState::new_;
  packet.mark = c.mark;
  table.refresh(c, now, timeout_of(c, timeouts));
  return std::nullopt;
}

std::optional<DropReason> begin(Packet& packet, Table& table, const Timeouts& timeouts, Time now) {
  if (packet.tuple.is_icmp_reply != 0) {
    packet.state = ConnState::invalid;  // nobody asked
    return std::nullopt;
  }
  const bool tcp = packet.tuple.protocol == net::Protocol::tcp;
  if (tcp && !flags_are_valid(packet.tcp_flags, true)) {
    packet.state = ConnState::invalid;
    return std::nullopt;
  }
  Connection* c = table.create(packet.tuple, now);
  if (c == nullptr) return DropReason::table_full;
  if (tcp)
    c->tcp_state =
        next_state(timeouts.profile, Direction::original, TcpState::none, packet.tcp_flags);
  c->ingress = packet.ingress;
  if (packet.from == Side::host) c->set(Connection::kLocal);
  packet.connection = c;
  packet.direction = Direction::original;
  packet.state = ConnState::new_;
  return std::nullopt;
}

}  // namespace

std::optional<DropReason> track(Packet& packet, Table& table, const Timeouts& timeouts, Time now) {
  if (is_icmp_error(packet)) return relate(packet, table);
  if (!is_trackable(packet)) return std::nullopt;
  const Found found = table.find(packet.tuple);
  const bool later_fragment = packet.fragment_offset != 0;
  if (found.connection == nullptr && later_fragment) {
    packet.state = ConnState::invalid;  // its first fragment was not let in
    return std::nullopt;
  }
  if (found.connection == nullptr) return begin(packet, table, timeouts, now);
  packet.connection = found.connection;
  packet.direction = found.direction;
  if (later_fragment) return follow_first_fragment(packet, table, timeouts, now);
  follow(*found.connection, packet, table, timeouts, now);
  return std::nullopt;
}

void account(Packet& packet, std::size_t bytes) {
  Half& half = packet.connection->half(packet.direction);
  ++half.packets;
  half.bytes += bytes;
}

Duration timeout_of(const Connection& c, const Timeouts& timeouts) {
  switch (c.original.protocol) {
    case net::Protocol::tcp:
      return timeouts.tcp[static_cast<std::size_t>(c.tcp_state)];
    case net::Protocol::udp:
      return c.has(Connection::kAssured) ? timeouts.udp_stream : timeouts.udp;
    case net::Protocol::icmp:
      return timeouts.icmp;
    case net::Protocol::icmpv6:
      return timeouts.icmpv6;
    default:
      return timeouts.generic;
  }
}

bool is_steady(const Connection& c, const Packet& packet) {
  if (!c.has(Connection::kAssured)) return false;
  if (c.original.protocol == net::Protocol::udp) return true;
  constexpr std::uint8_t kSynFinRst = 0x07;
  return c.original.protocol == net::Protocol::tcp && c.tcp_state == TcpState::established &&
         (packet.tcp_flags.bits & kSynFinRst) == 0 && packet.tcp_flags.ack();
}

}  // namespace masqgate::conntrack
