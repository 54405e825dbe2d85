// Who may begin a connection, and what it counts for: quotas of hosts inside, the router's reserve,
// the limit of half open ones (RFC 6888 REQ-3 to REQ-5, K-18 to K-20).
//
// Asked once for each new connection; packets of established ones never come here.

#include "daemon/path/shard.hpp"

namespace masqgate::path {

using conntrack::Connection;

// Its own connections, and what hosts inside ask of itself, as long as their quota allows.
conntrack::Gate::Answer Shard::ask(const Packet& packet) noexcept {
  if (packet.from == Side::host || packet.made_here)
    return {.refusal = {}, .may_use_reserve = true};
  if (policy_->is_outside(packet.ingress)) return {};
  const Tuple& tuple = packet.tuple;
  return {.refusal = hosts_.objection(tuple.source_address, policy_->limits.hosts, now_),
          .may_use_reserve = policy_->owner_of(tuple.destination_address) != kNoPort};
}

void Shard::entered(Connection& c, const Packet& packet) {
  const Limits& limits = policy_->limits;
  if (mappings_.hold(c) && !c.has(Connection::kLocal))
    hosts_.take_port(nat::inside_of(c).address, limits.hosts.prefix_v6);
  if (c.has(Connection::kOfHost))
    hosts_.take_session(c.original.source_address, limits.hosts, now_);
  const bool from_outside = packet.from == Side::network && policy_->is_outside(packet.ingress);
  if (c.original.protocol == net::Protocol::tcp) stray_syns_.cancel(c.reply);
  if (from_outside && c.original.protocol == net::Protocol::tcp)
    half_open_.entered(c, limits.half_open);
}

void Shard::removed(const Connection& c) noexcept {
  const unsigned prefix = policy_->limits.hosts.prefix_v6;
  if (mappings_.release(c) && !c.has(Connection::kLocal))
    hosts_.release_port(nat::inside_of(c).address, prefix);
  if (c.has(Connection::kOfHost)) hosts_.release_session(c.original.source_address, prefix);
  helpers_.removed(c, now_);
  diverting_.removed(c, now_);
}

// At an outside address whose rule says so; the firewall's rules have had their say.
void Shard::note_stray(const Packet& packet) {
  const bool is_syn = packet.tuple.protocol == net::Protocol::tcp && packet.tcp_flags.syn() &&
                      !packet.tcp_flags.ack() && packet.from == Side::network;
  if (!is_syn) return;
  const auto* rule = policy_->rule_giving(packet.ingress, packet.tuple.destination_address);
  if (rule != nullptr && rule->behaviour.unsolicited_syn == nat::UnsolicitedSyn::unreachable)
    stray_syns_.put(packet, now_);
}

void Shard::answer_stray_syns() {
  while (stray_syns_.is_due(now_)) {
    Packet syn;
    syn.frame = frames_.take();
    if (!syn.frame) return;
    if (!stray_syns_.take_due(syn, now_) || parse(syn)) continue;
    using icmp::Unreachable;
    send_error(syn, icmp::unreachable(syn.family,
                                      syn.is_v4() ? Unreachable::port : Unreachable::prohibited));
  }
}

// Anew: of connections that were taken over, and when a host is named by other bits.
void Shard::count_hosts() {
  nat::HostLimits plain;
  plain.prefix_v6 = policy_->limits.hosts.prefix_v6;
  hosts_.clear();
  for (std::uint32_t record = 0; record < connections_.used_records(); ++record) {
    const Connection& c = connections_.at(record);
    if (!c.has(Connection::kConfirmed)) continue;
    if (mappings_.leads(c) && !c.has(Connection::kLocal))
      hosts_.take_port(nat::inside_of(c).address, plain.prefix_v6);
    if (c.has(Connection::kOfHost)) hosts_.take_session(c.original.source_address, plain, now_);
  }
}

}  // namespace masqgate::path
