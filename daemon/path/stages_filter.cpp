// Stages prerouting, input, forward, output, postrouting and leaving: each asks the chain of its
// name. Stage show hands out what they wanted to be seen later.

#include "daemon/path/stages.hpp"

#include <algorithm>
#include <utility>

#include "daemon/firewall/unclean.hpp"
#include "daemon/icmp/sender.hpp"
#include "daemon/nat/translate.hpp"
#include "daemon/path/path.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/wire/icmp.hpp"

namespace masqgate::path::stages {
namespace {

using firewall::Hook;

icmp::Message unreachable(const Packet& packet, const firewall::RejectWith& with, Hook hook) {
  using Kind = firewall::RejectWith::Kind;
  if (with.kind == Kind::classic)
    return icmp::unreachable(
        packet.family, hook == Hook::input ? icmp::Unreachable::port : icmp::Unreachable::host);
  return packet.is_v4() ? icmp::Message{wire::icmp::kUnreachable, with.v4}
                        : icmp::Message{wire::icmpv6::kUnreachable, with.v6};
}

// Whoever a damaged packet names as its sender may not be it: he is told nothing (history 7.2).
Verdict reject(Shard& shard, const Packet& packet, const firewall::RejectWith& with, Hook hook) {
  if (with.kind == firewall::RejectWith::Kind::tcp_reset)
    shard.send_reset(packet);
  else if (firewall::transport_checksum_is_right(packet))
    shard.send_error(packet, unreachable(packet, with, hook));
  return Verdict::drop(DropReason::rejected);
}

// Forwarding has taken a hop already; before that it is taken here, so that two mirrors come to an
// end.
Verdict mirror(Shard& shard, Packet& packet, Hook hook) {
  if (hook != Hook::forward) {
    const Verdict verdict = ttl(shard, packet);
    if (!verdict.accepted()) return verdict;
  }
  shard.send_mirrored(packet);
  return Verdict::drop(DropReason::mirrored);
}

// Errors go to who sent the packet, and quote what he sent: the source is translated already.
void show_inside(Packet& packet) {
  if (packet.connection == nullptr || packet.made_here || packet.quoted) return;
  const Tuple& inside = packet.connection->tuple(packet.direction);
  Tuple to = packet.tuple;
  to.source_address = inside.source_address;
  to.source_port = inside.source_port;
  if (to != packet.tuple) nat::rewrite(packet, to);
}

// A rule wanted no connection for the packet: a new one is not made.
void forget_connection(Shard& shard, Packet& packet) {
  packet.not_tracked = false;
  conntrack::Connection* connection = std::exchange(packet.connection, nullptr);
  packet.state = ConnState::untracked;
  if (connection != nullptr && !connection->has(conntrack::Connection::kConfirmed))
    shard.connections().discard(*connection);
}

Verdict carry_out(Shard& shard, Packet& packet, Hook hook, const firewall::Decision& decision) {
  using Kind = firewall::Decision::Kind;
  if (packet.not_tracked) forget_connection(shard, packet);
  if (decision.kind == Kind::accept) return Verdict::accept();
  if (decision.kind == Kind::reject && hook == Hook::leaving) show_inside(packet);
  if (decision.kind == Kind::reject) return reject(shard, packet, decision.with, hook);
  if (decision.kind == Kind::mirror) return mirror(shard, packet, hook);
  if (hook == Hook::input && decision.by_policy) shard.note_stray(packet);
  return Verdict::drop(DropReason::rule);
}

// Each rule that diverts takes the packet out, or lets it on to the rules behind.
Verdict judge_step_by_step(Shard& shard, Packet& packet, Hook hook, const divert::Place* from) {
  divert::Place behind;
  for (;;) {
    divert::RuleWalk walk;
    if (from != nullptr) walk.begin(*from);
    packet.rules = &walk;
    const firewall::Decision decision =
        shard.policy().ruleset->evaluate(hook, packet, shard.rule_memory());
    packet.rules = nullptr;
    if (walk.rule_gone) shard.diverting().count_gone_rule();
    if (decision.terms == nullptr) return carry_out(shard, packet, hook, decision);
    if (packet.not_tracked) forget_connection(shard, packet);
    behind = walk.stopped;
    from = &behind;
    if (const auto verdict = shard.diverting().take(packet, hook, decision, behind))
      return *verdict;
  }
}

}  // namespace

Verdict send_back(Shard& shard, Packet& packet) {
  if (!icmp::is_single_sender(packet.tuple.source_address) || packet.link_group)
    return Verdict::drop(DropReason::martian);
  Tuple back = packet.tuple;
  std::swap(back.source_address, back.destination_address);
  nat::rewrite(packet, back);
  const Verdict verdict = route(shard, packet);
  if (verdict.kind() == Verdict::Kind::local) return Verdict::drop(DropReason::martian);
  if (!verdict.accepted()) return verdict;
  const auto stages = stages_of(List::made_here);
  const auto first = std::ranges::find(stages, "fit", &Stage::name);
  return walk(shard, packet, List::made_here, static_cast<std::size_t>(first - stages.begin()));
}

Verdict judge(Shard& shard, Packet& packet, Hook hook, const divert::Place* from) {
  const firewall::Ruleset& rules = *shard.policy().ruleset;
  if (from == nullptr && !rules.diverts(hook))
    return carry_out(shard, packet, hook, rules.evaluate(hook, packet, shard.rule_memory()));
  return judge_step_by_step(shard, packet, hook, from);
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

// What rules wanted to be seen with its final addresses.
Verdict show(Shard& shard, Packet& packet) {
  return packet.later_count == 0 ? Verdict::accept() : shard.diverting().show(packet);
}

Verdict leaving(Shard& shard, Packet& packet) {
  return judge(shard, packet, Hook::leaving);
}

// An error about nothing that we know goes nowhere (I-09).
Verdict forward(Shard& shard, Packet& packet) {
  if (packet.state == ConnState::invalid && packet.tuple.is_icmp() &&
      packet.tuple.source_port == 0 && packet.tuple.is_icmp_reply == 0)
    return Verdict::drop(DropReason::unsolicited_error);
  return judge(shard, packet, Hook::forward);
}

}  // namespace masqgate::path::stages
