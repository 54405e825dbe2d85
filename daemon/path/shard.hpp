// A Shard: everything that the packets of one thread need, owned by that thread alone.
//
// No locks, no atomics: frames, connections, mappings, neighbours, counters and the pointer to the
// policy belong to whoever runs the shard (loop.hpp; tests run it by hand). Others post to that
// thread. Time is handed in with each call.

#pragma once

#include <array>
#include <memory>
#include <vector>

#include "daemon/conntrack/half_open.hpp"
#include "daemon/conntrack/track.hpp"
#include "daemon/firewall/memory.hpp"
#include "daemon/fragment/flows.hpp"
#include "daemon/fragment/reassembly.hpp"
#include "daemon/helper/helpers.hpp"
#include "daemon/icmp/error.hpp"
#include "daemon/icmp/rate_limiter.hpp"
#include "daemon/nat/forwards.hpp"
#include "daemon/nat/hosts.hpp"
#include "daemon/nat/mappings.hpp"
#include "daemon/neighbour/neighbour_table.hpp"
#include "daemon/path/counters.hpp"
#include "daemon/path/diverting.hpp"
#include "daemon/path/lost_addresses.hpp"
#include "daemon/path/policy.hpp"
#include "daemon/path/stray_syns.hpp"
#include "daemon/path/syn_proxy.hpp"
#include "daemon/path/trail_book.hpp"
#include "daemon/port/interface.hpp"

namespace masqgate::path {

class Trace;

struct ShardOptions {
  std::string region;  // file of the connection table; empty: memory only
  std::size_t max_connections = 262144;
  std::size_t frames = 256;  // more than ever wait together, for neighbours and fragments
  divert::Limits divert{.packets = 64};  // their frames come on top
  bool take_shortcuts = true;            // off: every packet walks the corridor (the property test)
};

class Shard final : conntrack::Observer, conntrack::Gate {
 public:
  // Timer records looked at in one tick: bounds how long mass expiry keeps packets waiting (K-22).
  static constexpr std::size_t kExpireBudget = 4096;

  // asker: how Linux is asked for next hops; outlives the shard.
  Shard(const ShardOptions& options, HashKey seed, neighbour::Asker& asker, Time now);
  Shard(const Shard&) = delete;

  // What frames are written to: with several queues, one of them. A null interface detaches. The
  // interface outlives its attachment.
  void attach(PortIndex port, Side side, port::Interface* interface);
  // Takes effect for the next packet; short cuts of the old policy are void.
  void set_policy(std::shared_ptr<const Policy> policy);

  // Reads and handles up to most frames of one queue of a port; returns how many there were.
  std::size_t drain(PortIndex port, Side side, port::Interface& queue, std::size_t most, Time now);
  // Ages connections and neighbours; call every tenth of a second or so.
  void tick(Time now);

  void update_neighbour(PortIndex port, net::IpAddress address, std::optional<net::MacAddress> mac,
                        neighbour::State state, Time now);
  void forget_neighbours() { neighbours_.forget_all(); }
  // False if there is no such connection (any more).
  bool remove_connection(std::uint64_t id);

  // The same for one that the rules do not admit any more, and counts it.
  bool end_refused(std::uint64_t id);

  const Policy& policy() const { return *policy_; }
  conntrack::Table& connections() { return connections_; }
  const conntrack::Table& connections() const { return connections_; }
  nat::Mappings& mappings() { return mappings_; }
  nat::Forwards& forwards() { return forwards_; }
  nat::Hosts& hosts() { return hosts_; }
  const conntrack::HalfOpen& half_open() const { return half_open_; }
  // Takes effect for the next packet, short cuts included: AUTOFW may want to see more of them.
  nat::ForwardProblem change_forwards(const nat::ForwardOrder& order) {
    ++policy_generation_;
    return forwards_.execute(order);
  }
  LostAddresses& lost_addresses() { return lost_addresses_; }
  helper::Helpers& helpers() { return helpers_; }
  SynProxy& syn_proxy() { return syn_proxy_; }
  neighbour::Table& neighbours() { return neighbours_; }
  fragment::Flows& fragments() { return fragments_; }
  fragment::Reassembly& reassembly() { return reassembly_; }
  // Counts the datagrams that were not put together, and tells their senders.
  void drop_incomplete();
  // Packets that wait somewhere, for a next hop or for a first fragment.
  std::size_t parked() const {
    return neighbours_.waiting() + fragments_.waiting() + diverting_.desk().held();
  }
  Diverting& diverting() { return diverting_; }
  const Diverting& diverting() const { return diverting_; }
  // The end of a packet's walk, whoever made it walk.
  void end(Packet& packet, Verdict verdict) {
    finish(packet, verdict);
    resume_fragments();
  }
  // The desk is called with this time.
  void set_now(Time now) { now_ = now; }
  // Lets packets walk on whose first fragment has come.
  void resume_fragments();
  FramePool& frames() { return frames_; }
  Time now() const { return now_; }
  const Counters& counters() const { return counters_; }
  const InterfaceCounters& counters(PortIndex port, Side side) const {
    return slot(port, side).counters;
  }
  std::vector<RuleCounter> rule_counters() const { return trails_.totals(); }
  void zero_rule_counters(const std::vector<bool>& which) { trails_.zero(which); }
  // Of rules of translation, by their number: of first packets, which alone come to them.
  const std::vector<RuleCounter>& nat_counters() const { return nat_counters_.all(); }
  void zero_nat_counters(const std::vector<bool>& which) { nat_counters_.zero(which); }
  void count_translation(std::uint16_t rule, const Packet& packet) {
    nat_counters_.add(rule, {1, packet.frame.ip().size(), now_});
  }
  // What rules remember between packets.
  firewall::Memory& rule_memory() {
    rule_memory_.now = now_;
    return rule_memory_;
  }
  // Whom rules ask for the owner of local packets; before the first packet.
  void set_owners(firewall::Owners* owners) { rule_memory_.owners = owners; }
  // seconds: of the wall clock, since 1970 UTC. Rules by time of day go by it from the next minute.
  void tell_wall_clock(std::int64_t seconds);
  void set_trace(Trace* trace) { trace_ = trace; }

  // For the stages.
  conntrack::Gate& gate() { return *this; }
  // The packet's new connection has entered the table: counts it for whom it belongs to.
  void entered(conntrack::Connection& connection, const Packet& packet);
  const PortInfo& port(PortIndex index) const { return policy_->ports[index]; }
  bool is_port(PortIndex index) const { return index < policy_->ports.size(); }
  // Writes the frame as it is, link header included.
  Verdict send(PortIndex port, Side side, Frame& frame);
  void count(List list, std::size_t index, const Stage& stage, Verdict verdict);
  void count_made() { ++counters_.frames_made; }
  // Counts the packet for the rules that matched so far.
  void settle(Packet& packet) {
    trails_.count(packet.trail, packet.frame.ip().size(), now_);
    packet.trail.clear();
  }
  void count_consumed() { ++counters_.consumed; }
  void count_drop(DropReason reason) { ++counters_.drops[static_cast<std::size_t>(reason)]; }
  // Tells the packet's sender why it will not arrive, if it may be told (RFC 1812 4.3.2.7) and the
  // rate allows.
  void send_error(const Packet& about, icmp::Message message);
  void send_reset(const Packet& about);
  // Sends a packet of our own making to where its destination is. ingress: of what it answers.
  void send_made(Packet& packet, PortIndex ingress);
  // Sends a copy with source and destination exchanged to where its source is, past all chains.
  void send_mirrored(const Packet& packet);
  // Nobody waits for this packet: if it is a SYN its sender may be told later.
  void note_stray(const Packet& packet);
  // Lets the connection's next packets of this direction take the short cut, if they may.
  void remember(const Packet& packet);

 private:
  struct Slot {
    port::Interface* interface = nullptr;
    InterfaceCounters counters;
  };

  const Slot& slot(PortIndex port, Side side) const {
    return slots_[port][static_cast<std::size_t>(side)];
  }
  Slot& slot(PortIndex port, Side side) { return slots_[port][static_cast<std::size_t>(side)]; }
  void receive(Packet& packet);
  Verdict handle(Packet& packet);
  std::optional<Verdict> check_link(Packet& packet);
  std::optional<Verdict> take_shortcut(Packet& packet);
  void finish(Packet& packet, Verdict verdict);
  void resume_parked();
  void end_set_elements();
  static net::IpAddress final_recipient(const Packet& about);
  void removed(const conntrack::Connection& connection) noexcept override;
  Answer ask(const Packet& packet) noexcept override;
  void count_hosts();
  void answer_stray_syns();

  Time now_;
  std::shared_ptr<const Policy> policy_;
  std::uint32_t policy_generation_ = 1;
  std::uint32_t generation() const { return policy_generation_ + neighbours_.generation(); }
  bool take_shortcuts_;

  FramePool frames_;
  conntrack::Table connections_;
  nat::Mappings mappings_;
  nat::Forwards forwards_;
  LostAddresses lost_addresses_;
  nat::Hosts hosts_;
  conntrack::HalfOpen half_open_;
  StraySyns stray_syns_;
  helper::Helpers helpers_;
  neighbour::Table neighbours_;
  fragment::Flows fragments_;
  fragment::Reassembly reassembly_;
  Diverting diverting_;
  SynProxy syn_proxy_;
  icmp::RateLimiter error_limit_;
  TrailBook trails_;
  RuleCounters nat_counters_;
  firewall::Memory rule_memory_;
  Time sets_change_ = firewall::NamedSet::kNever;  // an element of a set ends
  Counters counters_;
  std::array<std::array<Slot, 2>, kMostPorts> slots_{};
  Trace* trace_ = nullptr;
};

}  // namespace masqgate::path
