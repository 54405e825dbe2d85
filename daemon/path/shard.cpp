#include "daemon/path/shard.hpp"

#include <algorithm>
#include <utility>

#include "daemon/icmp/reset.hpp"
#include "daemon/path/stages.hpp"
#include "daemon/path/trace.hpp"
#include "daemon/wire/describe.hpp"
#include "daemon/wire/ethernet.hpp"

namespace masqgate::path {

Shard::Shard(const ShardOptions& options, HashKey seed, neighbour::Asker& asker, Time now)
    : now_{now},
      policy_{std::make_shared<Policy>()},
      take_shortcuts_{options.take_shortcuts},
      frames_{options.frames + options.divert.packets},
      connections_{conntrack::Region{options.region, options.max_connections}, now},
      mappings_{connections_, Random{seed}},
      lost_addresses_{connections_},
      hosts_{seed, options.max_connections},
      half_open_{connections_},
      stray_syns_{seed},
      helpers_{connections_, mappings_, forwards_.port_forwards(), seed, now},
      neighbours_{seed, asker},
      fragments_{seed},
      reassembly_{seed},
      diverting_{*this, options.divert, seed, now},
      syn_proxy_{*this, seed},
      error_limit_{seed},
      rule_memory_{seed, connections_} {
  connections_.set_observer(this);
  count_hosts();
}

void Shard::attach(PortIndex port, Side side, port::Interface* interface) {
  slot(port, side).interface = interface;
}

void Shard::set_policy(std::shared_ptr<const Policy> policy) {
  const bool same_rules = policy->ruleset == policy_->ruleset;
  const std::shared_ptr<const Policy> before = std::exchange(policy_, std::move(policy));
  ++policy_generation_;
  if (!same_rules) {
    trails_.adopt(policy_->ruleset->fingerprints());
    rule_memory_.adopt(*policy_->ruleset);
    diverting_.desk().set_rules(policy_->ruleset->divert_terms());
    sets_change_ = policy_->ruleset->next_end(now_);
  }
  for (std::size_t i = 0; i < policy_->ports.size(); ++i)
    rule_memory_.mtus[i] = static_cast<std::uint16_t>(std::min(policy_->ports[i].mtu, 65535u));
  nat_counters_.adopt(policy_->nat.fingerprints);
  helpers_.configure(policy_->helpers, policy_->nat, now_);
  connections_.set_reserve(policy_->limits.reserve);
  if (policy_->limits.hosts.prefix_v6 != before->limits.hosts.prefix_v6) count_hosts();
  lost_addresses_.update(*before, *policy_);
}

// What was decided with the help of the element is void.
void Shard::end_set_elements() {
  ++policy_generation_;
  sets_change_ = policy_->ruleset->next_end(now_);
}

void Shard::tell_wall_clock(std::int64_t seconds) {
  constexpr std::int64_t kWeek = 7 * 24 * 60, kThursday = 3 * 24 * 60;  // 1970 began on one
  const auto minute = static_cast<std::uint16_t>((seconds / 60 + kThursday) % kWeek);
  if (minute == rule_memory_.minute_of_week) return;
  rule_memory_.minute_of_week = minute;
  if (policy_->ruleset->asks_for_time()) ++policy_generation_;
}

std::size_t Shard::drain(PortIndex port, Side side, port::Interface& queue, std::size_t most,
                         Time now) {
  now_ = now;
  if (now >= sets_change_) end_set_elements();
  InterfaceCounters& counters = slot(port, side).counters;
  std::size_t count = 0;
  for (; count < most; ++count) {
    Packet packet;
    packet.frame = frames_.take();
    if (!packet.frame) break;  // all parked: the device keeps the rest until some come back
    const port::ReadResult result = queue.read(packet.frame);
    if (result == port::ReadResult::empty) break;
    ++counters_.frames_in;
    ++counters.frames_in;
    if (result == port::ReadResult::malformed) {
      count_drop(DropReason::malformed_frame);
      continue;
    }
    counters.bytes_in += packet.frame.ip().size();
    packet.ingress = port;
    packet.from = side;
    receive(packet);
  }
  return count;
}

void Shard::receive(Packet& packet) {
  finish(packet, handle(packet));
  resume_fragments();
}

void Shard::resume_fragments() {
  while (auto packet = fragments_.unpark()) {
    const auto list = static_cast<List>(packet->list);
    // A rule that met the first one may want them whole: then stage defragment has to see it again.
    const unsigned next = reassembly_.is_open(*packet) ? 0 : 1;
    finish(*packet, walk(*this, *packet, list, packet->stage + next));
  }
}

void Shard::drop_incomplete() {
  while (auto lost = reassembly_.give_up(now_)) {
    if (lost->first) send_error(*lost->first, icmp::reassembly_timeout(lost->first->family));
    count_made();
    count_drop(DropReason::fragment_timeout);
  }
}

// Frames for others, frames that are not IP, and packets that do not parse never see the corridor.
std::optional<Verdict> Shard::check_link(Packet& packet) {
  if (!is_port(packet.ingress)) return Verdict::drop(DropReason::shutting_down);
  const PortInfo& port = this->port(packet.ingress);
  if (!port.has_link_layer) {
    const auto version = packet.frame.ip().empty() ? 0 : wire::load8(packet.frame.ip(), 0) >> 4;
    if (version == 4 || version == 6) return std::nullopt;
    return Verdict::drop(DropReason::unknown_ethertype);
  }
  const wire::Ethernet ethernet = *wire::Ethernet::parse(packet.frame.link());
  packet.link_group = ethernet.destination().is_group();
  packet.has_link = true;
  const bool from_network = packet.from == Side::network;
  if (from_network && !packet.link_group && ethernet.destination() != port.mac)
    return Verdict::drop(DropReason::other_host);
  if (ethernet.type() == wire::EtherType::ipv4 || ethernet.type() == wire::EtherType::ipv6)
    return std::nullopt;
  // ARP and whatever else is not IP is Linux's own business with the link (ARCHITECTURE.md 1).
  return send(packet.ingress, from_network ? Side::host : Side::network, packet.frame);
}

Verdict Shard::handle(Packet& packet) {
  if (const auto verdict = check_link(packet)) return *verdict;
  if (const auto problem = parse(packet)) return Verdict::drop(*problem);
  if (trace_ != nullptr)
    trace_->packet(port(packet.ingress).name + ": " + wire::describe_ip(packet.frame.ip()));
  if (packet.from == Side::host) {
    packet.egress = packet.ingress;  // Linux has routed it
    packet.next_hop = packet.tuple.destination_address;
    return walk(*this, packet, List::output);
  }
  if (const auto verdict = take_shortcut(packet)) return *verdict;
  return walk(*this, packet, List::forward);
}

void Shard::finish(Packet& packet, Verdict verdict) {
  if (verdict.kind() == Verdict::Kind::stolen) return;
  settle(packet);
  if (verdict.kind() != Verdict::Kind::drop) return;
  count_drop(verdict.reason());
  conntrack::Connection* connection = packet.connection;
  if (connection == nullptr) return;
  if (!connection->has(conntrack::Connection::kConfirmed)) {
    helpers_.removed(*connection, now_);
    connections_.discard(*connection);
  } else if (packet.former_expiry != 0) {
    connection->expires_ns = packet.former_expiry;
  }
}

void Shard::count(List list, std::size_t index, const Stage& stage, Verdict verdict) {
  StageCounters& counters = counters_.stages[static_cast<std::size_t>(list)][index];
  ++counters.entered;
  if (verdict.kind() == Verdict::Kind::drop) ++counters.dropped;
  if (verdict.kind() == Verdict::Kind::stolen) ++counters.stolen;
  if (trace_ != nullptr) trace_->step(list, stage, verdict);
}

Verdict Shard::send(PortIndex port, Side side, Frame& frame) {
  Slot& to = slot(port, side);
  if (to.interface == nullptr) return Verdict::drop(DropReason::egress_down);
  if (!to.interface->write(frame)) return Verdict::drop(DropReason::egress_full);
  ++counters_.frames_out;
  ++to.counters.frames_out;
  to.counters.bytes_out += frame.ip().size();
  return Verdict::accept();
}

void Shard::tick(Time now) {
  now_ = now;
  connections_.expire(now, kExpireBudget);
  mappings_.tell_time(now);
  lost_addresses_.sweep(*policy_, kExpireBudget);
  helpers_.expire(now);
  neighbours_.expire(now);
  answer_stray_syns();
  diverting_.tick(now);
  syn_proxy_.expire(now);
  while (auto packet = fragments_.give_up(now))
    finish(*packet, Verdict::drop(DropReason::fragment));
  drop_incomplete();
  resume_parked();
}

void Shard::update_neighbour(PortIndex port, net::IpAddress address,
                             std::optional<net::MacAddress> mac, neighbour::State state, Time now) {
  now_ = now;
  neighbours_.update(port, address, mac, state);
  resume_parked();
}

// Whom an error about this packet goes to in the end: translation may have changed its source
// already.
net::IpAddress Shard::final_recipient(const Packet& about) {
  if (about.connection == nullptr) return about.tuple.source_address;
  return about.connection->tuple(about.direction).source_address;
}

// While a packet waited its connection may have gone, its port, and the rules that let it pass; so
// nothing is remembered of it. Its entry may even have been given to another next hop by the errors
// about those released before it.
void Shard::resume_parked() {
  using neighbour::State;
  while (auto packet = neighbours_.unpark()) {
    const conntrack::Connection* connection = packet->connection;
    if (connection != nullptr && (connection->serial != packet->connection_serial ||
                                  !connection->has(conntrack::Connection::kConfirmed)))
      packet->connection = nullptr;
    const neighbour::Neighbour& hop = neighbours_.at(packet->neighbour);
    const bool known = hop.port == packet->egress && hop.address == packet->next_hop &&
                       (hop.state == State::usable || hop.state == State::stale);
    if (!is_port(packet->egress)) {
      finish(*packet, Verdict::drop(DropReason::shutting_down));
    } else if (!known) {
      send_error(*packet, icmp::unreachable(packet->family, icmp::Unreachable::host));
      finish(*packet, Verdict::drop(DropReason::neighbour_failed));
    } else {
      packet->not_remembered = true;
      finish(*packet, walk(*this, *packet, static_cast<List>(packet->list), packet->stage + 1u));
    }
  }
}

bool Shard::remove_connection(std::uint64_t id) {
  const auto index = static_cast<std::uint32_t>(id);
  if (index >= connections_.capacity()) return false;
  conntrack::Connection& connection = connections_.at(index);
  if (!connection.has(conntrack::Connection::kConfirmed) || connection.serial != id >> 32)
    return false;
  connections_.remove(connection);
  return true;
}

bool Shard::end_refused(std::uint64_t id) {
  const bool ended = remove_connection(id);
  if (ended) ++counters_.connections_refused;
  return ended;
}

void Shard::send_error(const Packet& about, icmp::Message message) {
  if (!is_port(about.ingress) || !icmp::may_answer(about, message)) return;
  const net::IpAddress sender = about.tuple.source_address;
  // Linux takes nothing from an address of its own: it is told in the name of whom it spoke to.
  const bool of_this_machine = about.from == Side::host && !about.made_here;
  const auto source = of_this_machine ? std::optional{about.tuple.destination_address}
                                      : port(about.ingress).source_towards(sender);
  if (!source) return;
  const bool allowed = icmp::is_too_big(about.family, message)
                           ? error_limit_.allow_too_big(now_)
                           : error_limit_.allow(final_recipient(about), now_);
  if (!allowed) return;
  Packet error;
  error.frame = frames_.take();
  if (error.frame && icmp::build_error(error.frame, about, message, *source))
    send_made(error, about.ingress);
}

void Shard::send_reset(const Packet& about) {
  if (!is_port(about.ingress) || !error_limit_.allow(final_recipient(about), now_)) return;
  Packet reset;
  reset.frame = frames_.take();
  if (reset.frame && icmp::build_reset(reset.frame, about)) send_made(reset, about.ingress);
}

void Shard::send_mirrored(const Packet& packet) {
  Packet mirrored;
  mirrored.frame = frames_.take();
  if (!mirrored.frame) return;
  const auto ip = packet.frame.ip();
  mirrored.frame.set_ip_size(ip.size());
  std::ranges::copy(ip, mirrored.frame.ip().begin());
  mirrored.frame.offload = packet.frame.offload;
  count_made();
  mirrored.made_here = true;
  mirrored.from = Side::host;
  mirrored.ingress = packet.ingress;
  mirrored.link_group = packet.link_group;
  const auto problem = parse(mirrored);
  finish(mirrored, problem ? Verdict::drop(*problem) : stages::send_back(*this, mirrored));
}

void Shard::send_made(Packet& packet, PortIndex ingress) {
  count_made();
  packet.ingress = ingress;
  packet.from = Side::host;
  packet.made_here = true;
  const auto problem = parse(packet);
  finish(packet, problem ? Verdict::drop(*problem) : walk(*this, packet, List::made_here));
}

}  // namespace masqgate::path
