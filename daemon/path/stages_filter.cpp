// Stages prerouting, input, forward, output and postrouting: each asks the chain of its name.

#include "daemon/path/stages.hpp"

#include "daemon/path/shard.hpp"

namespace masqgate::path::stages {
namespace {

using firewall::Hook;

Verdict judge(Shard& shard, Packet& packet, Hook hook) {
  const firewall::Decision decision = shard.policy().ruleset->evaluate(hook, packet);
  switch (decision.kind) {
    case firewall::Decision::Kind::accept:
      return Verdict::accept();
    case firewall::Decision::Kind::drop:
      if (hook == Hook::input && decision.by_policy) shard.note_stray(packet);
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

}  // namespace

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

}  // namespace masqgate::path::stages
