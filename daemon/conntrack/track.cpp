#include "daemon/conntrack/track.hpp"

#include "daemon/conntrack/tcp_state.hpp"
#include "daemon/conntrack/tcp_track.hpp"
#include "daemon/conntrack/tcp_window.hpp"
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

// An MTU that no link has: whoever believes it sends in crumbs (TS-08; RFC 791 3.2, RFC 8201 4).
bool mtu_is_plausible(const Packet& packet) {
  constexpr std::uint32_t kLeastV4 = 68, kLeastV6 = 1280;
  const auto icmp = wire::Icmp::parse(packet.transport());
  const std::uint32_t rest = wire::load32(packet.transport(), 4);
  if (!packet.is_v4()) return icmp->type() != wire::icmpv6::kTooBig || rest >= kLeastV6;
  const std::uint32_t mtu = rest & 0xffff;  // 0: the router is older than RFC 1191
  return icmp->type() != wire::icmp::kUnreachable ||
         icmp->code() != wire::icmp::kFragmentationNeeded || mtu == 0 || mtu >= kLeastV4;
}

// Who quotes a segment must have seen it: one that nobody has acknowledged yet (RFC 5927 4.1).
bool quote_is_plausible(const Packet& packet, const Found& found) {
  if (packet.quoted->protocol != net::Protocol::tcp) return true;
  const std::uint32_t sequence =
      wire::load32(packet.frame.ip(), packet.quote_transport_offset + std::size_t{4});
  return is_in_flight(*found.connection, opposite(found.direction), sequence);
}

// An error travels the way of an answer to the packet that it quotes.
std::optional<DropReason> relate(Packet& packet, const Table& table) {
  packet.state = ConnState::invalid;
  if (!packet.frame.offload.needs_checksum() && !icmp_checksum_is_valid(packet))
    return DropReason::bad_checksum;
  if (!packet.quoted) return std::nullopt;
  const Found found = table.find(packet.quoted->inverted());
  if (found.connection == nullptr) return std::nullopt;
  if (found.connection->is_helped() && !packet.made_here && table.renumbering() != nullptr)
    table.renumbering()->restore_quote(packet, *found.connection, found.direction);
  if (!packet.made_here && (!mtu_is_plausible(packet) || !quote_is_plausible(packet, found)))
    return DropReason::implausible_error;
  packet.connection = found.connection;
  packet.direction = found.direction;
  packet.state = ConnState::related;
  return std::nullopt;
}

// Linux 2.2 and its like: flags only. A SYN/ACK's sequence number is remembered, so that only the
// real client's ACK makes it assured.
void follow_flags(Connection& c, const Packet& packet, const Timeouts& timeouts) {
  const TcpState before = c.tcp_state;
  const wire::TcpFlags flags = packet.tcp_flags;
  const Segment segment = segment_of(packet);
  c.tcp_state = next_state(timeouts.profile, packet.direction, before, flags);
  if (is_tracked(c)) forget(c);  // what is not kept up is not known
  if (before == TcpState::syn_sent && packet.direction == Direction::reply && flags.syn() &&
      flags.ack())
    c.tcp_end[1] = segment.sequence + 1;
  if (packet.direction == Direction::original && flags.ack() && !flags.syn() &&
      before == TcpState::syn_recv && segment.acknowledgement == c.tcp_end[1])
    c.set(Connection::kAssured);
}

// What tracking says of a packet that passes.
void describe(Packet& packet, bool answered) {
  packet.state = answered ? ConnState::established : ConnState::new_;
  packet.mark = packet.connection->mark;
}

// A packet that changes nothing keeps its connection alive, unless only the other direction does
// (U-07), it is a RST, which may only shorten, or it is dropped later: then
// packet.former_expiry counts again.
void keep_alive(Connection& c, Packet& packet, Table& table, Duration timeout, Time now) {
  const bool is_end = packet.tcp_flags.rst();
  if (is_end ? now + timeout >= c.expires() : !c.refreshed_by(packet.direction)) return;
  packet.former_expiry = c.expires_ns;
  table.refresh_sooner(c, now, timeout);
}

std::optional<DropReason> follow_tcp(Connection& c, Packet& packet, Table& table,
                                     const TimeoutsInForce& in_force, Time now) {
  const Timeouts& timeouts = in_force.of(c);
  const TcpState before = c.tcp_state;
  const bool answered = c.has(Connection::kSeenReply), reply = packet.direction == Direction::reply;
  const bool open = c.tcp_state == TcpState::established && !c.has(Connection::kAssured);
  if (looks_at_numbers(timeouts)) {
    const Outcome outcome = follow_segment(c, packet, timeouts);
    if (outcome == Outcome::refused) {
      packet.state = ConnState::invalid;
      return DropReason::out_of_window;
    }
    describe(packet, reply || c.has(Connection::kSeenReply));  // a SYN may have begun anew
    if (outcome == Outcome::ignored) return std::nullopt;
  } else {
    follow_flags(c, packet, timeouts);
    describe(packet, reply || answered);
  }
  if (reply) c.set(Connection::kSeenReply);
  // Joined in the middle: both directions have spoken, nobody saw the handshake.
  if (open && reply && packet.tcp_flags.ack()) c.set(Connection::kAssured);
  // A reset as the only answer: the attempt has failed and nothing is worth keeping (history 2.9).
  const bool failed = !answered && packet.tcp_flags.rst();
  const Duration timeout = failed ? Duration{} : timeout_of(c, in_force);
  if (failed || c.tcp_state != before)
    table.refresh_sooner(c, now, timeout);
  else
    keep_alive(c, packet, table, timeout, now);
  return std::nullopt;
}

std::optional<DropReason> follow(Connection& c, Packet& packet, Table& table,
                                 const TimeoutsInForce& timeouts, Time now) {
  const bool tcp = c.original.protocol == net::Protocol::tcp;
  if (tcp && !flags_are_valid(packet.tcp_flags, false)) {
    packet.state = ConnState::invalid;
    return std::nullopt;
  }
  if (tcp) return follow_tcp(c, packet, table, timeouts, now);
  const bool answered = c.has(Connection::kSeenReply);
  if (packet.direction == Direction::reply) c.set(Connection::kSeenReply);
  describe(packet, c.has(Connection::kSeenReply));
  if (answered && c.original.protocol == net::Protocol::udp) c.set(Connection::kAssured);
  keep_alive(c, packet, table, timeout_of(c, timeouts), now);
  return std::nullopt;
}

// A later fragment changes nothing: it shares the state that its first one left. Of TCP it does not
// even prolong it, because the first may have been refused.
std::nullopt_t follow_first_fragment(Packet& packet, Table& table, const TimeoutsInForce& timeouts,
                                     Time now) {
  Connection& c = *packet.connection;
  describe(packet, c.has(Connection::kSeenReply));
  if (c.original.protocol != net::Protocol::tcp)
    keep_alive(c, packet, table, timeout_of(c, timeouts), now);
  return std::nullopt;
}

bool is_beginning(const Packet& packet, const Timeouts& timeouts) {
  if (packet.tuple.is_icmp_reply != 0) return false;  // nobody asked
  if (packet.tuple.protocol != net::Protocol::tcp) return true;
  return flags_are_valid(packet.tcp_flags, true) &&
         (!looks_at_numbers(timeouts) || may_begin(packet.tcp_flags, timeouts));
}

std::optional<DropReason> begin(Packet& packet, Table& table, const Timeouts& timeouts, Time now,
                                Gate* gate) {
  if (!is_beginning(packet, timeouts)) {
    packet.state = ConnState::invalid;
    return std::nullopt;
  }
  const Gate::Answer answer = gate != nullptr ? gate->ask(packet) : Gate::Answer{};
  if (answer.refusal) return answer.refusal;
  Connection* c = table.create(packet.tuple, now, answer.may_use_reserve);
  if (c == nullptr) return DropReason::table_full;
  if (packet.tuple.protocol == net::Protocol::tcp) {
    if (looks_at_numbers(timeouts))
      begin_segment(*c, packet, timeouts);
    else
      c->tcp_state =
          next_state(timeouts.profile, Direction::original, TcpState::none, packet.tcp_flags);
  }
  c->ingress = packet.ingress;
  if (packet.from == Side::host) c->set(Connection::kLocal);
  packet.connection = c;
  packet.direction = Direction::original;
  packet.state = ConnState::new_;
  return std::nullopt;
}

}  // namespace

std::optional<DropReason> track(Packet& packet, Table& table, const TimeoutsInForce& timeouts,
                                Time now, Gate* gate) {
  if (is_icmp_error(packet)) return relate(packet, table);
  if (!is_trackable(packet)) return std::nullopt;
  const Found found = table.find(packet.tuple);
  const bool later_fragment = packet.fragment_offset != 0;
  if (found.connection == nullptr && later_fragment) {
    packet.state = ConnState::invalid;  // its first fragment was not let in
    return std::nullopt;
  }
  if (found.connection == nullptr) return begin(packet, table, timeouts.all(), now, gate);
  packet.connection = found.connection;
  packet.direction = found.direction;
  if (found.connection->is_helped() && !later_fragment && table.renumbering() != nullptr)
    table.renumbering()->restore(packet, *found.connection, found.direction);
  if (later_fragment) return follow_first_fragment(packet, table, timeouts, now);
  return follow(*found.connection, packet, table, timeouts, now);
}

void account(Packet& packet, std::size_t bytes) {
  Half& half = packet.connection->half(packet.direction);
  half.packets = half.packets + 1;
  half.bytes += bytes;
}

Duration timeout_of(const Connection& c, const TimeoutsInForce& in_force) {
  const Timeouts& timeouts = in_force.of(c);
  switch (c.original.protocol) {
    case net::Protocol::tcp:
      if (c.tcp_state == TcpState::close && is_reset_in_doubt(c)) return timeouts.tcp_reset;
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

bool follow_steadily(Connection& c, Direction direction, const Packet& packet,
                     const Timeouts& timeouts) {
  return c.original.protocol != net::Protocol::tcp || !looks_at_numbers(timeouts) ||
         advance_steadily(c, direction, packet);
}

}  // namespace masqgate::conntrack
