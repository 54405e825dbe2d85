#include "daemon/control/publish_divert.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "daemon/control/divert_events.hpp"

namespace masqgate::control {
namespace {

using divert::Desk;
using divert::Listener;
using state::Json;

// What the desk shows of a listener; the names are those of the columns.
struct ListenerCopy {
  divert::Member member = divert::kNoMember;
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
      copy.listeners.push_back({member, one.peer, one.name, one.number, one.is_tee(), one.blocked,
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
  Json out{{"id", std::to_string(one.member)},
           {"port", one.port},
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

asio::awaitable<DeskCopy> ask_desk(Router& router) {
  const auto question = [](path::Shard& shard) { return copy_desk(shard); };
  co_return co_await router.shard().ask(question);
}

asio::awaitable<Json> read_divert_state(Router& router) {
  const DeskCopy copy = co_await ask_desk(router);
  Json out{{"held", copy.held}, {"held_bytes", copy.bytes}, {"rules_gone", copy.rules_gone}};
  Json& ports = out["ports"] = Json::array();
  for (const DeskCopy::PortCopy& port : copy.ports) ports.push_back(port_document(port));
  Json& listeners = out["listeners"] = Json::array();
  for (const ListenerCopy& one : copy.listeners) listeners.push_back(listener_document(one));
  co_return out;
}

const DeskCopy::PortCopy& port_of(const DeskCopy& copy, const ListenerCopy& one) {
  return *std::ranges::find(copy.ports, one.port, &DeskCopy::PortCopy::number);
}

// The listener gets no more, and is told when it has answered everything.
asio::awaitable<void> drain(Router& router, std::string name) {
  unsigned member = divert::kNoMember;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), member);
  const bool is_number = error == std::errc{} && end == name.data() + name.size();
  bool done = false;
  if (is_number && member < Desk::kMostListeners) {
    const auto question = [member](path::Shard& shard) {
      return shard.diverting().desk().drain(static_cast<divert::Member>(member));
    };
    done = co_await router.shard().ask(question);
  }
  if (!done) throw state::Error{state::Problem::not_found, "there is no such listener"};
}

// A row for each listener, and one for each port without any.
std::string divert_text(const DeskCopy& copy) {
  std::string text =
      " port   pid   uid name            prio tee outstanding queued  queued_bytes    delivered "
      "    accepted     modified      dropped     rejected     repeated      expired    full_drop "
      "   full_pass nobody_drop nobody_pass  redelivered     injected   inject_err        loops   "
      "      lost avg_batch  p50_us  p99_us\n";
  const auto add = [&](const ListenerCopy& one, const DeskCopy::PortCopy& port) {
    const divert::ListenerCounters& c = one.counters;
    const divert::PortCounters& p = port.counters;
    const auto wide = [](std::uint64_t number) { return static_cast<unsigned long long>(number); };
    std::array<char, 512> line{};
    std::snprintf(
        line.data(), line.size(),
        "%5u %5u %5u %-15s %4d %3d %11llu %6llu %13llu %12llu %12llu %12llu %12llu %12llu %12llu "
        "%12llu %12llu %12llu %11llu %11llu %12llu %12llu %12llu %12llu %12llu %9.1f %7llu %7llu\n",
        one.port, one.peer.process, one.peer.user, one.name.empty() ? "-" : one.name.c_str(),
        one.priority, one.tee ? 1 : 0, wide(one.outstanding), wide(one.queued),
        wide(one.queued_bytes), wide(c.delivered), wide(c.accepted), wide(c.modified),
        wide(c.dropped), wide(c.rejected), wide(c.repeated), wide(c.expired), wide(p.full_dropped),
        wide(p.full_passed), wide(p.nobody_dropped), wide(p.nobody_passed), wide(c.redelivered),
        wide(c.injected), wide(c.inject_refused), wide(p.loops), wide(c.lost),
        c.frames == 0 ? 0.0 : static_cast<double>(c.delivered) / static_cast<double>(c.frames),
        wide(one.latency.quantile(0.5)), wide(one.latency.quantile(0.99)));
    text += line.data();
  };
  for (const ListenerCopy& one : copy.listeners) add(one, port_of(copy, one));
  for (const DeskCopy::PortCopy& port : copy.ports) {
    const bool has_one =
        std::ranges::find(copy.listeners, port.number, &ListenerCopy::port) != copy.listeners.end();
    ListenerCopy nobody;
    nobody.port = port.number;
    if (!has_one) add(nobody, port);
  }
  return text;
}

// As Linux' /proc/net/netfilter/nfnetlink_queue, for scripts that watch queues there.
std::string queue_text(const DeskCopy& copy) {
  constexpr unsigned kWholePackets = 2, kLongest = 65535;
  std::string text;
  for (const ListenerCopy& one : copy.listeners) {
    if (one.tee) continue;
    const divert::PortCounters& port = port_of(copy, one).counters;
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%5u %6u %5zu %1u %5u %5llu %5llu %8llu %2d\n",
                  one.port, one.peer.process, one.outstanding + one.queued, kWholePackets, kLongest,
                  static_cast<unsigned long long>(port.full_dropped),
                  static_cast<unsigned long long>(port.died_dropped),
                  static_cast<unsigned long long>(one.counters.delivered), 1);
    text += line.data();
  }
  return text;
}

state::Node text_node(Router& router, const char* summary, std::string (*text)(const DeskCopy&)) {
  state::Node node{.summary = summary};
  node.read_text = [&router, text]() -> asio::awaitable<std::string> {
    const DeskCopy copy = co_await ask_desk(router);
    co_return text(copy);
  };
  return node;
}

}  // namespace

void publish_divert(state::Tree& tree, Router& router) {
  declare_divert_events(*router.events());
  state::Node node{.summary = "Diverted packets: ports, listeners, and what became of them.",
                   .read = [&router](state::Query) { return read_divert_state(router); }};
  node.remove = [&router](std::string name) { return drain(router, std::move(name)); };
  tree.add("divert", std::move(node));
  tree.add("net/divert",
           text_node(router, "Programs for diverted packets, a row each.", divert_text));
  tree.add("net/netfilter/nfnetlink_queue",
           text_node(router, "The same as Linux lists its queues.", queue_text));
}

}  // namespace masqgate::control
