#include "daemon/control/publish_divert.hpp"

namespace masqgate::control {
namespace {

using divert::Desk;
using divert::Listener;
using state::Json;

// What the desk shows of a listener; the names are those of the columns.
struct ListenerCopy {
  divert::Peer peer;
  std::string name;
  std::uint16_t port = 0;
  bool tee = false, blocked = false, draining = false;
  std::int16_t priority = 0;
  std::uint16_t weight = 1;
  std::uint32_t credit = 0;
  std::size_t outstanding = 0, queued = 0, queued_bytes = 0;
  divert::ListenerCounters counters;
  divert::Latency latency;
};

struct DeskCopy {
  std::size_t held = 0, bytes = 0;
  std::uint64_t rules_gone = 0;
  struct PortCopy {
    std::uint16_t number = 0;
    std::size_t held = 0, bytes = 0, waiting = 0;
    divert::PortCounters counters;
  };
  std::vector<PortCopy> ports;
  std::vector<ListenerCopy> listeners;
};

DeskCopy copy_desk(const path::Shard& shard) {
  const Desk& desk = shard.diverting().desk();
  DeskCopy copy{desk.held(), desk.held_bytes(), shard.diverting().rules_gone(), {}, {}};
  for (const Desk::Port& port : desk.ports()) {
    copy.ports.push_back({port.number, port.held, port.bytes, port.orphans.count, port.counters});
    for (const divert::Member member : port.members) {
      const Listener& one = desk.listener(member);
      copy.listeners.push_back({one.peer, one.name, one.number, one.is_tee(), one.blocked,
                                one.draining, one.priority, one.weight, one.credit, one.given.count,
                                one.queue.count, one.queue.bytes, one.counters, one.latency});
    }
  }
  return copy;
}

Json port_document(const DeskCopy::PortCopy& port) {
  const divert::PortCounters& c = port.counters;
  return {{"port", port.number},
          {"held", port.held},
          {"held_bytes", port.bytes},
          {"without_listener", port.waiting},
          {"diverted", c.diverted},
          {"teed", c.teed},
          {"nobody_dropped", c.nobody_dropped},
          {"nobody_passed", c.nobody_passed},
          {"full_dropped", c.full_dropped},
          {"full_passed", c.full_passed},
          {"late_dropped", c.late_dropped},
          {"late_passed", c.late_passed},
          {"died_dropped", c.died_dropped},
          {"died_passed", c.died_passed},
          {"redelivered", c.redelivered},
          {"loops", c.loops},
          {"offloaded", c.offloaded},
          {"blocked", c.blocked},
          {"attached", c.attached},
          {"deaths", c.deaths}};
}

Json listener_document(const ListenerCopy& one) {
  const divert::ListenerCounters& c = one.counters;
  Json out{{"port", one.port},
           {"name", one.name},
           {"pid", one.peer.process},
           {"uid", one.peer.user},
           {"tee", one.tee},
           {"stopped", one.blocked},
           {"draining", one.draining},
           {"priority", one.priority},
           {"weight", one.weight},
           {"credit", one.credit},
           {"outstanding", one.outstanding},
           {"queued", one.queued},
           {"queued_bytes", one.queued_bytes},
           {"delivered", c.delivered},
           {"delivered_bytes", c.bytes},
           {"frames", c.frames},
           {"accepted", c.accepted},
           {"modified", c.modified},
           {"dropped", c.dropped},
           {"rejected", c.rejected},
           {"repeated", c.repeated},
           {"expired", c.expired},
           {"redelivered", c.redelivered},
           {"injected", c.injected},
           {"inject_refused", c.inject_refused},
           {"lost", c.lost},
           {"notices", c.notices},
           {"p50_us", one.latency.quantile(0.5)},
           {"p99_us", one.latency.quantile(0.99)}};
  // Up to 1, 2, 4 … microseconds.
  out["latency_us"] = one.latency.buckets();
  return out;
}

asio::awaitable<Json> read_divert_state(Router& router) {
  const auto question = [](path::Shard& shard) { return copy_desk(shard); };
  const DeskCopy copy = co_await router.shard().ask(question);
  Json out{{"held", copy.held}, {"held_bytes", copy.bytes}, {"rules_gone", copy.rules_gone}};
  Json& ports = out["ports"] = Json::array();
  for (const DeskCopy::PortCopy& port : copy.ports) ports.push_back(port_document(port));
  Json& listeners = out["listeners"] = Json::array();
  for (const ListenerCopy& one : copy.listeners) listeners.push_back(listener_document(one));
  co_return out;
}

}  // namespace

void publish_divert(state::Tree& tree, Router& router) {
  tree.add("divert", {.summary = "Diverted packets: ports, listeners, and what became of them.",
                      .read = [&router](state::Query) { return read_divert_state(router); }});
}

}  // namespace masqgate::control
