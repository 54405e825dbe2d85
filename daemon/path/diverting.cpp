#include "daemon/path/diverting.hpp"

#include <algorithm>

#include "daemon/conntrack/track.hpp"
#include "daemon/divert/rewrite.hpp"
#include "daemon/divert/segmenter.hpp"
#include "daemon/path/divert_tools.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/path/stages.hpp"
#include "daemon/wire/ethernet.hpp"

namespace masqgate::path {
namespace {

namespace format = divert::format;
using conntrack::Connection;
using divert::Release;
using divert::View;
using firewall::Hook;

// With another key than the table's: programs see it.
std::uint64_t flow_of(const Tuple& tuple, HashKey key) {
  return tuple.hash64({key.second, ~key.first});
}

// The same both ways. Of a connection its first tuple: several first packets may be away before one
// of them is confirmed, and they belong together.
std::uint64_t flow_of(const Packet& packet, HashKey key) {
  Tuple tuple = packet.tuple;
  if (packet.connection != nullptr)
    tuple = packet.connection->original;
  else
    tuple = std::min(tuple, tuple.inverted());
  const bool no_ports = packet.is_fragment && tuple.source_port == 0;
  const std::uint64_t fragment = no_ports ? packet.fragment_id : 0;
  return flow_of(tuple, key) ^ fragment;
}

divert::FlowFacts flow_facts(const Connection& connection, HashKey key) {
  divert::FlowFacts facts;
  facts.flow = flow_of(connection.original, key);
  facts.original = connection.original;
  facts.reply = connection.reply;
  for (std::size_t i = 0; i < 2; ++i) {
    facts.packets[i] = connection.halves[i].packets;
    facts.bytes[i] = connection.halves[i].bytes;
  }
  facts.confirmed = connection.has(Connection::kConfirmed);
  return facts;
}

format::FlowEnd flow_end(const Connection& connection, Time now) {
  using enum conntrack::TcpState;
  const auto state = connection.tcp_state;
  const bool is_tcp = connection.original.protocol == net::Protocol::tcp;
  if (is_tcp && (state == time_wait || state == close || state == last_ack))
    return format::FlowEnd::closed;
  return connection.expires() <= now ? format::FlowEnd::timed_out : format::FlowEnd::removed;
}

std::uint32_t tracking_of(const Packet& packet) {
  std::uint32_t bits = 0;
  if (packet.state == ConnState::new_) bits |= format::kNew;
  if (packet.state == ConnState::established) bits |= format::kEstablished;
  if (packet.state == ConnState::related) bits |= format::kRelated;
  const Connection* connection = packet.connection;
  if (connection == nullptr) return bits;
  if (packet.direction == Direction::reply) bits |= format::kReply;
  if (connection->has(Connection::kSourceNat)) bits |= format::kSourceTranslated;
  if (connection->reply.source() != connection->original.destination())
    bits |= format::kDestinationTranslated;
  if (connection->has(Connection::kAssured)) bits |= format::kAssured;
  return bits;
}

// Where a packet made from another one stands, all but what parse() finds.
void stand_alike(const Packet& from, Packet& to) {
  come_alike(from, to);
  to.egress = from.egress;
  to.ttl_taken = from.ttl_taken;
  to.next_hop = from.next_hop;
  to.route_mtu = from.route_mtu;
  to.connection = from.connection;
  to.connection_serial = from.connection_serial;
  to.direction = from.direction;
  to.state = from.state;
  to.mark = from.mark;
  to.is_final = from.is_final;
  to.later_count = from.later_count;
  to.later_hooks = from.later_hooks;
  to.later_rules = from.later_rules;
  to.list = from.list;
  to.stage = from.stage;
}

}  // namespace

Diverting::Diverting(Shard& shard, const divert::Limits& limits, HashKey key, Time now)
    : shard_{shard}, desk_{limits, key, *this, now} {}

void Diverting::tick(Time now) {
  injected_ = 0;
  desk_.tick(now);
}

std::size_t Diverting::end(bool pass, Time now) {
  shard_.set_now(now);
  return desk_.end(pass, now);
}

divert::Facts Diverting::facts_of(const Packet& packet, Hook hook, View view) const {
  divert::Facts facts;
  facts.view = view;
  const Connection* connection = packet.connection;
  facts.flow = flow_of(packet, shard_.connections().key());
  if (connection != nullptr && view == View::after)
    facts.first_of_flow = connection->halves[0].packets + connection->halves[1].packets == 1;
  else
    facts.first_of_flow = connection != nullptr && !connection->has(Connection::kConfirmed);
  facts.tracking = tracking_of(packet);
  facts.hook = number_of(hook);
  facts.direction = hook == Hook::output ? 1 : hook == Hook::input ? 0 : 2;
  return facts;
}

std::optional<Verdict> Diverting::take(Packet& packet, Hook hook,
                                       const firewall::Decision& decision,
                                       const divert::Place& place) {
  const divert::Terms& terms = *decision.terms;
  if (terms.first != 0 && packet.connection != nullptr) {
    const auto& halves = packet.connection->halves;
    // Behind the first packets the connection needs the rule no more, and may take the short cut.
    if (halves[0].packets + halves[1].packets > terms.first) return std::nullopt;
  }
  if (terms.defragment && packet.is_fragment) return put_together(packet);
  const bool is_copy = decision.kind == firewall::Decision::Kind::tee;
  if (terms.view == View::after) return put_off(packet, hook, is_copy, place);
  divert::Facts facts = facts_of(packet, hook, terms.view);
  if (terms.view == View::before) show_as_it_came(packet, facts);
  if (is_copy) {
    packet.not_remembered = true;
    if (packet.connection != nullptr) packet.connection_serial = packet.connection->serial;
    desk_.tee(packet, terms, place, facts, shard_.now());
    show_inside_again(packet, facts);
    return std::nullopt;
  }
  return hand_over(packet, terms, place, facts);
}

std::optional<Verdict> Diverting::hand_over(Packet& packet, const divert::Terms& terms,
                                            const divert::Place& place,
                                            const divert::Facts& facts) {
  if (packet.connection != nullptr) packet.connection_serial = packet.connection->serial;
  shard_.settle(packet);  // there may be other rules when it goes on
  const auto fate = desk_.divert(packet, terms_for(packet, terms), place, facts, shard_.now());
  using Kind = divert::Desk::Fate::Kind;
  switch (fate.kind) {
    case Kind::held:
      return Verdict::stolen();
    case Kind::segment:
      return cut(packet, terms, place, facts);
    case Kind::drop:
      return Verdict::drop(fate.reason);
    case Kind::reject:
      show_inside_again(packet, facts);
      return refuse(packet, {Release::Kind::reject, fate.reason});
    case Kind::pass:
      break;
  }
  show_inside_again(packet, facts);
  if (!fate.remember) packet.not_remembered = true;
  return std::nullopt;
}

// Who manages the router must not be shut out by a program that is not there or does not answer.
divert::Terms Diverting::terms_for(const Packet& packet, const divert::Terms& terms) const {
  divert::Terms safe = terms;
  if (!shard_.policy().is_management(packet)) return safe;
  safe.nobody = divert::Nobody::pass;
  safe.full = divert::Full::pass;
  safe.late = divert::Late::pass;
  return safe;
}

// A packet that stands for many, before a listener that wants each of them.
Verdict Diverting::cut(Packet& packet, const divert::Terms& terms, const divert::Place& place,
                       const divert::Facts& facts) {
  divert::Segmenter segments{packet};
  shard_.count_consumed();
  for (;;) {
    Packet one;
    one.frame = shard_.frames().take();
    if (!one.frame) {
      shard_.count_made();
      shard_.count_drop(DropReason::no_frames);
      return Verdict::stolen();
    }
    if (!segments.next(one.frame)) return Verdict::stolen();
    shard_.count_made();
    stand_alike(packet, one);
    if (const auto problem = parse(one)) {
      shard_.count_drop(*problem);
      continue;
    }
    find_connection_again(one);  // an earlier one may have been dropped with it
    const auto verdict = hand_over(one, terms, place, facts);
    if (verdict)
      shard_.end(one, *verdict);
    else
      go_on(one, place, facts, {});
  }
}

Verdict Diverting::refuse(Packet& packet, const Release& release) {
  const bool is_tcp = packet.tuple.protocol == net::Protocol::tcp && !packet.is_fragment;
  using icmp::Unreachable;
  constexpr std::array kHow{Unreachable::port, Unreachable::host, Unreachable::no_route,
                            Unreachable::prohibited};
  if (release.how == format::kRejectReset && is_tcp)
    shard_.send_reset(packet);
  else
    shard_.send_error(packet, icmp::unreachable(packet.family,
                                                kHow[release.how < kHow.size() ? release.how : 0]));
  return Verdict::drop(release.reason);
}

// While it was away, its connection may have ended, or have been confirmed by another packet.
void Diverting::find_connection_again(Packet& packet) {
  Connection* connection = packet.connection;
  if (connection == nullptr) {
    // A later fragment begins no connection; its first one may have by now.
    if (packet.fragment_offset == 0) return;
    const conntrack::Found found = shard_.connections().find(packet.tuple);
    packet.connection = found.connection;
    packet.direction = found.direction;
    if (found.connection == nullptr) return;
    packet.connection_serial = found.connection->serial;
    packet.state =
        found.connection->has(Connection::kSeenReply) ? ConnState::established : ConnState::new_;
    return;
  }
  if (connection->serial != packet.connection_serial || !connection->has(Connection::kInUse)) {
    packet.connection = nullptr;
    return;
  }
  if (connection->has(Connection::kConfirmed)) return;
  const conntrack::Found found = shard_.connections().find(connection->original);
  if (found.connection == nullptr || found.direction != Direction::original) return;
  shard_.connections().discard(*connection);
  packet.connection = found.connection;
  packet.connection_serial = found.connection->serial;
}

void Diverting::go_on(Packet& packet, const divert::Place& place, const divert::Facts& facts,
                      const Release& release) noexcept {
  const auto list = static_cast<List>(packet.list);
  const auto gone = [](PortIndex port, const Shard& shard) {
    return port != kNoPort && !shard.is_port(port);
  };
  if (!release.remember) packet.not_remembered = true;
  find_connection_again(packet);
  if (gone(packet.ingress, shard_) || gone(packet.egress, shard_))
    return shard_.end(packet, Verdict::drop(DropReason::shutting_down));
  if (release.kind == Release::Kind::drop) {
    forget_beginning(packet, facts);
    return shard_.end(packet, Verdict::drop(release.reason));
  }
  if (const Verdict again = translate_again(packet, facts); !again.accepted())
    return shard_.end(packet, again);
  if (release.kind == Release::Kind::reject) {
    const Verdict refused = refuse(packet, release);
    forget_beginning(packet, facts);
    return shard_.end(packet, refused);
  }
  if (facts.view == View::after) return shard_.end(packet, leave_again(packet, facts));
  divert::Place behind = place;
  if (release.kind == Release::Kind::repeat_at) {
    behind.at_rule = true;
    behind.steps[0].rule = release.rule;
  }
  Verdict verdict = stages::judge(shard_, packet, hook_of(facts.hook), &behind);
  const bool routed = list == List::forward && hook_of(facts.hook) != Hook::prerouting;
  if (verdict.accepted() && std::exchange(packet.new_destination, false) && routed)
    verdict = stages::route(shard_, packet);
  if (verdict.kind() == Verdict::Kind::local)
    verdict = walk(shard_, packet, List::input);
  else if (verdict.accepted())
    verdict = walk(shard_, packet, list, packet.stage + 1u);
  shard_.end(packet, verdict);
}

void Diverting::complete_checksum(Packet& packet) noexcept {
  nat::complete_checksum(packet);
}

// A program has made it another packet. If it speaks between others now, it belongs to another
// connection.
bool Diverting::replace(Packet& packet, format::Bytes bytes, bool fix) noexcept {
  const Tuple before = packet.tuple;
  if (!divert::rewrite(packet, bytes, fix)) return false;
  if (packet.tuple == before) return true;
  packet.rewritten = true;
  packet.new_destination = packet.tuple.destination_address != before.destination_address;
  if (packet.is_final) {  // it leaves as the program has written it
    packet.connection = nullptr;
    return true;
  }
  if (packet.is_fragment) return true;
  packet.tracked_anew = true;
  return track_anew(packet);
}

bool Diverting::track_anew(Packet& packet) {
  find_connection_again(packet);
  Connection* connection = std::exchange(packet.connection, nullptr);
  if (connection != nullptr && !connection->has(Connection::kConfirmed))
    shard_.connections().discard(*connection);
  stages::forget_keys(shard_, packet);
  const auto problem =
      conntrack::track(packet, shard_.connections(), shard_.policy().timeouts, shard_.now());
  if (packet.connection != nullptr) packet.connection_serial = packet.connection->serial;
  return !problem;
}

std::string_view Diverting::port_name(PortIndex port) const noexcept {
  return shard_.is_port(port) ? std::string_view{shard_.port(port).name} : std::string_view{};
}

std::optional<net::IpAddress> Diverting::address_of(PortIndex port,
                                                    net::Family family) const noexcept {
  if (!shard_.is_port(port)) return std::nullopt;
  for (const net::InterfaceAddress& one : shard_.port(port).addresses)
    if (one.address.family() == family && !one.address.is_link_local()) return one.address;
  return std::nullopt;
}

bool Diverting::tuples(const Packet& packet, Tuple& original, Tuple& reply) const noexcept {
  const Connection* connection = packet.connection;
  if (connection == nullptr || connection->serial != packet.connection_serial) return false;
  original = connection->original;
  reply = connection->reply;
  return true;
}

bool Diverting::flow(const Packet& packet, divert::FlowFacts& facts) const noexcept {
  const Connection* connection = packet.connection;
  if (connection == nullptr || connection->serial != packet.connection_serial ||
      !connection->has(Connection::kInUse))
    return false;
  facts = flow_facts(*connection, shard_.connections().key());
  return true;
}

bool Diverting::is_flow(const Tuple& original) const noexcept {
  const conntrack::Found found = shard_.connections().find(original);
  return found.connection != nullptr && found.direction == Direction::original;
}

void Diverting::removed(const Connection& connection, Time now) noexcept {
  if (!desk_.watches_flows()) return;
  desk_.flow_ended(flow_facts(connection, shard_.connections().key()), flow_end(connection, now));
}

void Diverting::mark_connection(const Packet& packet, std::uint32_t mark,
                                std::uint32_t mask) noexcept {
  Connection* connection = packet.connection;
  if (connection == nullptr || connection->serial != packet.connection_serial) return;
  connection->mark = (connection->mark & ~mask) | (mark & mask);
}

std::string_view Diverting::rule_name(std::uint32_t rule) const noexcept {
  return shard_.policy().ruleset->name_of(rule);
}

// Asked once for a flow: the kernel's answer takes microseconds.
std::optional<std::uint32_t> Diverting::user_of(const Packet& packet) const noexcept {
  firewall::Owners* owners = shard_.rule_memory().owners;
  if (owners == nullptr || packet.made_here) return std::nullopt;
  return owners->uid_of(packet.connection == nullptr ? packet.tuple
                                                     : packet.connection->tuple(packet.direction));
}

// Injected packets are looked at as received ones are: nothing that a program writes is believed.
std::optional<format::Code> Diverting::inject(const divert::Injection& how,
                                              format::Bytes bytes) noexcept {
  using format::Code;
  if (injected_ >= kMostInjected) return Code::too_fast;
  if (how.hops > desk_.most_hops()) return Code::loop;
  Packet packet;
  packet.frame = shard_.frames().take();
  if (!packet.frame) return Code::too_fast;
  if (!divert::rewrite(packet, bytes, how.fix_checksums)) return Code::bad_packet;
  packet.mark = how.mark;
  packet.hops = how.hops;
  packet.divert_origin = how.port;
  packet.not_remembered = true;
  const Policy& policy = shard_.policy();
  const net::IpAddress source = packet.tuple.source_address;
  const bool own = policy.owner_of(source) != kNoPort;
  packet.ingress = how.in != kNoPort ? how.in : how.out;
  if (packet.ingress == kNoPort && how.in_address)
    packet.ingress = policy.owner_of(*how.in_address);
  if (packet.ingress == kNoPort && how.outward && !policy.ports.empty()) packet.ingress = 0;
  if (!shard_.is_port(packet.ingress)) return Code::no_interface;
  if (!how.may_spoof) {
    // As received: from where its source is. As sent: from an address of ours.
    const auto back = policy.routes->lookup(
        {packet.tuple.destination_address, source, kNoPort, 0, 0, packet.tuple.protocol, 0, 0});
    const bool from_there =
        !own && back.kind == route::Kind::unicast && back.egress == packet.ingress;
    if (how.outward ? !own : !from_there) return Code::not_allowed;
  }
  ++injected_;
  shard_.count_made();
  if (how.outward) {
    packet.from = Side::host;
    packet.made_here = true;
    shard_.end(packet, inject_outward(packet));
  } else {
    shard_.end(packet, inject_inward(packet, how));
  }
  return std::nullopt;
}

// Written as a translated connection looks outside, it is the router's word for that connection: it
// leaves as it is, and begins none.
Verdict Diverting::inject_outward(Packet& packet) {
  const conntrack::Table& connections = shard_.connections();
  const bool speaks_for_one = connections.find(packet.tuple).connection == nullptr &&
                              connections.find(packet.tuple.inverted()).connection != nullptr;
  constexpr std::size_t kBehindTrack = 1;
  return walk(shard_, packet, List::made_here, speaks_for_one ? kBehindTrack : 0);
}

Verdict Diverting::inject_inward(Packet& packet, const divert::Injection&) {
  packet.from = Side::network;
  // What is for the router itself goes to the host side with this header.
  if (shard_.port(packet.ingress).has_link_layer) {
    const net::MacAddress own = shard_.port(packet.ingress).mac;
    wire::MutableEthernet::parse(packet.frame.link())
        ->set(own, own, packet.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6);
  }
  return walk(shard_, packet, List::forward);
}

}  // namespace masqgate::path
