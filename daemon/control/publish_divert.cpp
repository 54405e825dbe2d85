#include "daemon/control/publish_divert.hpp"

#include <algorithm>
#include <charconv>

#include "daemon/control/divert_events.hpp"
#include "daemon/control/divert_tables.hpp"

namespace masqgate::control {
namespace {

using divert::Desk;
using state::Json;

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
           {"tee", one.is_tee()},
           {"group", one.group},
           {"transport", one.transport},
           {"ordered", one.ordered},
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
           {"avg_batch", one.batch()},
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
  const auto question = [](path::Shard& shard) {
    return copy_desk(shard.diverting().desk(), shard.diverting().rules_gone());
  };
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

unsigned number_of(std::string_view name) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool is_number = error == std::errc{} && end == name.data() + name.size();
  if (!is_number) throw state::Error{state::Problem::not_found, "ports and listeners are numbers"};
  return number;
}

const DeskCopy::PortCopy& find_port(const DeskCopy& copy, unsigned number) {
  const auto port = std::ranges::find(copy.ports, number, &DeskCopy::PortCopy::number);
  if (port == copy.ports.end())
    throw state::Error{state::Problem::not_found,
                       "no rule diverts to that port, and nobody listens to it"};
  return *port;
}

const ListenerCopy& find_listener(const DeskCopy& copy, unsigned port, unsigned number) {
  for (const ListenerCopy& one : copy.listeners)
    if (one.port == port && one.member == number) return one;
  throw state::Error{state::Problem::not_found, "there is no such listener"};
}

asio::awaitable<Json> read_port(Router& router, std::string name) {
  const unsigned number = number_of(name);
  const DeskCopy copy = co_await ask_desk(router);
  Json out = port_document(find_port(copy, number));
  Json& listeners = out["listeners"] = Json::array();
  for (const ListenerCopy& one : copy.listeners)
    if (one.port == number) listeners.push_back(listener_document(one));
  co_return out;
}

asio::awaitable<Json> read_listener(Router& router, std::vector<std::string> names) {
  const unsigned port = number_of(names[0]), listener = number_of(names[1]);
  const DeskCopy copy = co_await ask_desk(router);
  co_return listener_document(find_listener(copy, port, listener));
}

// The listener gets no more, and is told when it has answered everything.
asio::awaitable<Json> drain(Router& router, std::vector<std::string> names) {
  const unsigned port = number_of(names[0]), number = number_of(names[1]);
  const auto question = [port, number](path::Shard& shard) {
    Desk& desk = shard.diverting().desk();
    if (number >= Desk::kMostListeners) return false;
    const auto member = static_cast<divert::Member>(number);
    return desk.listener(member).number == port && desk.drain(member);
  };
  const bool done = co_await router.shard().ask(question);
  if (!done) throw state::Error{state::Problem::not_found, "there is no such listener"};
  co_return Json{};
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
  const auto port = [&router](std::vector<std::string> names) {
    return state::Node{
        .summary = "One port with its listeners.",
        .read = [&router, name = names[0]](state::Query) { return read_port(router, name); }};
  };
  const auto listener = [&router](std::vector<std::string> names) {
    return state::Node{
        .summary = "One listener; DELETE drains it.",
        .read = [&router, names](state::Query) { return read_listener(router, names); },
        .erase = [&router, names](state::Query) { return drain(router, names); }};
  };
  node.branches = {{"{port}", port}, {"{port}/{listener}", listener}};
  tree.add("divert", std::move(node));
  tree.add("net/divert",
           text_node(router, "Programs for diverted packets, a row each.", divert_text));
  tree.add("net/netfilter/nfnetlink_queue",
           text_node(router, "The same as Linux lists its queues.", queue_text));
}

}  // namespace masqgate::control
