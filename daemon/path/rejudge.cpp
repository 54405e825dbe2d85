#include "daemon/path/rejudge.hpp"

#include <algorithm>

#include "daemon/path/shard.hpp"

namespace masqgate::path {
namespace {

using conntrack::Connection;
using firewall::Hook;

// The connection as its first packet found it, and what is known of that packet.
struct FirstPacket {
  Connection connection;
  Packet packet;

  explicit FirstPacket(const Connection& now) : connection{now} {
    const bool local = now.has(Connection::kLocal);
    if (!now.is_expected()) connection.mark = 0;  // the mark that was expected was there at once
    packet.connection = &connection;
    packet.mark = connection.mark;
    packet.tuple = now.original;
    packet.family = now.original.source_address.family();
    packet.from = local ? Side::host : Side::network;
    packet.ingress = now.ingress;
    packet.egress = local ? now.ingress : kNoPort;
    packet.state = now.is_expected() ? ConnState::related : ConnState::new_;
    const bool saw_syn =
        now.original.protocol == net::Protocol::tcp && !now.has(Connection::kTcpPickedUp);
    if (saw_syn) packet.tcp_flags.bits = wire::TcpFlags::kSyn;
  }
  FirstPacket(const FirstPacket&) = delete;

  void translate_destination() {
    const Tuple after = connection.translated(Direction::original);
    packet.tuple.destination_address = after.destination_address;
    packet.tuple.destination_port = after.destination_port;
    if (connection.has(Connection::kAdmitted)) packet.state = ConnState::related;
  }
  void translate_source() { packet.tuple = connection.translated(Direction::original); }
};

class Judgement {
 public:
  Judgement(FirstPacket& first, const Policy& policy, firewall::Memory& memory)
      : first_{first}, policy_{policy}, memory_{memory} {}

  firewall::Hindsight run() {
    if (first_.packet.from == Side::host) {
      ask(Hook::output);
      leave();
    } else {
      ask(Hook::prerouting);
      first_.translate_destination();
      follow_route();
    }
    return hindsight_;
  }

 private:
  void ask(Hook hook) {
    policy_.ruleset->reconsider(hook, first_.packet, memory_, hindsight_);
    if (!first_.packet.not_tracked) return;
    first_.packet.connection = nullptr;
    first_.packet.state = ConnState::untracked;
  }

  void follow_route() {
    const Tuple& tuple = first_.packet.tuple;
    const route::Decision way = policy_.routes->lookup(
        {tuple.source_address, tuple.destination_address, first_.packet.ingress, first_.packet.mark,
         0, tuple.protocol, tuple.source_port, tuple.destination_port});
    using route::Kind;
    if (way.kind == Kind::local || way.kind == Kind::multicast || way.kind == Kind::broadcast)
      return ask(Hook::input);
    if (way.kind != Kind::unicast || way.egress >= policy_.ports.size()) return;
    first_.packet.egress = way.egress;
    ask(Hook::forward);
    leave();
  }

  void leave() {
    ask(Hook::postrouting);
    first_.translate_source();
    ask(Hook::leaving);
  }

  FirstPacket& first_;
  const Policy& policy_;
  firewall::Memory& memory_;
  firewall::Hindsight hindsight_;
};

}  // namespace

std::optional<firewall::CounterIndex> refusal_of(const Connection& connection, const Policy& policy,
                                                 firewall::Memory& memory, std::size_t& asked) {
  FirstPacket first{connection};
  const firewall::Hindsight hindsight = Judgement{first, policy, memory}.run();
  asked += hindsight.asked;
  return hindsight.refused ? std::optional{hindsight.by} : std::nullopt;
}

RejudgeSlice rejudge(Shard& shard, const Policy& policy, std::uint32_t from, bool ends) {
  RejudgeSlice slice;
  const conntrack::Table& table = shard.connections();
  const std::uint32_t used = table.used_records();
  const std::uint32_t end = from < used ? std::min(used, from + RejudgeSlice::kRecords) : used;
  std::size_t asked = 0;
  std::uint32_t record = std::min(from, used);
  for (; record < end && asked < RejudgeSlice::kRules; ++record) {
    const Connection& connection = table.at(record);
    if (!connection.has(Connection::kConfirmed)) continue;
    ++slice.judged;
    const auto by = refusal_of(connection, policy, shard.rule_memory(), asked);
    if (!by) continue;
    const auto name = policy.ruleset->counter(*by);
    const std::uint64_t id = conntrack::connection_id(record, connection.serial);
    slice.refused.push_back({id, connection, std::string{name.chain}, std::string{name.rule}});
    if (ends) shard.end_refused(id);
  }
  slice.next = record;
  slice.last = record >= table.used_records();
  slice.now = shard.now();
  return slice;
}

}  // namespace masqgate::path
