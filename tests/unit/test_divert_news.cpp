// Unit tests of what listeners are told beside packets: flows that begin and end, listeners that come
// and go, and what finds no room.

#include <doctest/doctest.h>

#include "tests/unit/divert_lab.hpp"

using namespace masqgate;
using namespace masqgate::test;
using namespace std::chrono_literals;

namespace {

format::BindHeader binding(std::uint16_t flags, std::uint16_t port = 2222,
                           std::string_view name = "") {
  format::BindHeader bind = DivertLab::binding();
  bind.flags = flags;
  bind.port = port;
  name.copy(bind.name, sizeof bind.name);
  return bind;
}

// "start 1 | end 1 2": kind, flow, and why it ended.
std::string flows(const Heard& heard) {
  std::string text;
  for (const format::FlowHeader& one : heard.flows) {
    const bool is_end = one.event == static_cast<std::uint8_t>(format::FlowEvent::end);
    text += (text.empty() ? "" : " | ") + std::string{is_end ? "end " : "start "} +
            std::to_string(one.flow) + (is_end ? " " + std::to_string(one.end) : "");
  }
  return text;
}

// "2 one": event and name; a third number says how it left.
std::string others(const Heard& heard) {
  std::string text;
  for (const format::ListenerHeader& one : heard.listeners)
    text += (text.empty() ? "" : " | ") + std::to_string(one.event) + " " + one.name +
            (one.end != 0 ? " " + std::to_string(one.end) : "");
  return text;
}

struct FlowLab : DivertLab {
  Desk::Fate divert(std::string_view text, std::uint64_t flow = 1) {
    corridor.next_flow = flow;
    return DivertLab::divert(text, flow);
  }
  void end(std::uint64_t flow, format::FlowEnd how = format::FlowEnd::closed) {
    FlowFacts facts;
    facts.flow = flow;
    facts.packets = {10, 20};
    facts.bytes = {1000, 2000};
    desk.flow_ended(facts, how);
  }
};

}  // namespace

TEST_CASE("flows: who asks is told the start once, and the end with its counters") {
  FlowLab lab;
  auto asks = lab.connect(binding(format::kBindFlows));
  lab.divert("a");
  lab.divert("b");
  Heard heard = lab.flush(*asks);
  CHECK(heard.packets.size() == 2);
  REQUIRE(flows(heard) == "start 1");
  CHECK(heard.flows[0].port == 2222);
  CHECK(heard.flows[0].original.source_port == 4000);
  CHECK(heard.flows[0].reply.source_port == 53);
  CHECK(heard.flows[0].packets[0] == 3);
  lab.divert("c", 2);
  CHECK(flows(lab.flush(*asks)) == "start 2");
  lab.end(1);
  lab.end(1);
  lab.end(77);
  heard = lab.flush(*asks);
  REQUIRE(flows(heard) == "end 1 1");
  CHECK(heard.flows[0].packets[1] == 20);
  CHECK(heard.flows[0].bytes[0] == 1000);
}

TEST_CASE("flows: who does not ask is told nothing, and then nobody has to watch") {
  FlowLab lab;
  CHECK_FALSE(lab.desk.watches_flows());
  auto plain = lab.connect(binding(0));
  lab.divert("a");
  CHECK(flows(lab.flush(*plain)).empty());
  auto asks = lab.connect(binding(format::kBindFlows));
  CHECK(lab.desk.watches_flows());
  lab.leave(*asks);
  CHECK_FALSE(lab.desk.watches_flows());
}

TEST_CASE("flows: a tee is told, too; what belongs to no connection has no flow") {
  FlowLab lab;
  auto bind = binding(format::kBindTee | format::kBindFlows);
  bind.permissions = format::kMayTee;
  auto tee = lab.connect(bind);
  REQUIRE(lab.alive);
  auto listener = lab.connect(binding(0));
  lab.divert("a", 0);
  CHECK(flows(lab.flush(*tee)).empty());
  lab.divert("b", 5);
  CHECK(flows(lab.flush(*tee)) == "start 5");
}

TEST_CASE("flows: a flow whose first packets were dropped ends, although it never began") {
  FlowLab lab;
  auto asks = lab.connect(binding(format::kBindFlows));
  lab.divert("a");
  lab.flush(*asks);
  lab.corridor.is_admitted = false;
  const auto sweep = [&](Duration time) {
    for (int i = 0; i < 40; ++i) lab.pass(time / 40);
  };
  sweep(4s);
  CHECK(flows(lab.flush(*asks)).empty());
  sweep(10s);
  CHECK(flows(lab.flush(*asks)) == "end 1 4");
  lab.corridor.is_admitted = true;
  lab.divert("b", 2);
  lab.flush(*asks);
  sweep(20s);
  lab.corridor.is_admitted = false;  // it was there once, so that its end will be told
  sweep(20s);
  CHECK(flows(lab.flush(*asks)).empty());
}

TEST_CASE("flows: more than can be watched are forgotten, and that is told") {
  FlowWatch watch;
  CHECK(watch.bucket(1).empty());
  watch.prepare();
  // So many of one bucket that it overflows.
  std::vector<std::uint64_t> same;
  for (std::uint64_t flow = 1; same.size() <= FlowWatch::kWays; ++flow)
    if (watch.bucket(flow).data() == watch.bucket(1).data()) same.push_back(flow);
  Time now{1h};
  for (std::size_t i = 0; i < FlowWatch::kWays; ++i) {
    FlowWatch::Entry entry{{}, now + std::chrono::seconds{i == 3 ? 0 : 10}, 1, 0};
    entry.facts.flow = same[i];
    CHECK_FALSE(watch.add(entry));
  }
  FlowWatch::Entry entry{{}, now, 1, 0};
  entry.facts.flow = same.back();
  const auto forgotten = watch.add(entry);
  REQUIRE(forgotten);
  CHECK(forgotten->facts.flow == same[3]);
  CHECK(watch.find(same[3], 0, 1) == nullptr);
  CHECK(watch.find(same.back(), 0, 1) != nullptr);
  CHECK(watch.find(same.back(), 0, 2) == nullptr);
  CHECK(watch.find(same.back(), 1, 1) == nullptr);
}

TEST_CASE("flows: another listener in the same place is told nothing of its predecessor's") {
  FlowLab lab;
  auto first = lab.connect(binding(format::kBindFlows));
  lab.divert("a");
  lab.flush(*first);
  lab.leave(*first);
  auto second = lab.connect(binding(format::kBindFlows));
  REQUIRE(second->member == first->member);
  lab.end(1);
  CHECK(flows(lab.flush(*second)).find("end") == std::string::npos);
}

TEST_CASE("news: bounded for who does not read, and what is lost is told by its number") {
  FlowLab lab;
  auto asks = lab.connect(binding(format::kBindFlows));
  lab.divert("a");
  lab.flush(*asks);
  asks->channel.is_full = true;
  for (std::uint64_t flow = 100; flow < 1100; ++flow) {
    lab.divert("x", flow);
    lab.end(flow);
    lab.desk.flush(lab.now);
  }
  // Its queue is full by now: flows are told for those packets only that it has.
  auto reflects = lab.connect(binding(format::kBindReflect, 3333));
  hear(reflects->channel);
  reflects->channel.is_full = true;
  for (int i = 0; i < 1000; ++i) {
    auto other = lab.connect(binding(0, 4444));
    lab.leave(*other);
  }
  reflects->channel.is_full = false;
  lab.desk.writable(reflects->member, lab.now);
  Heard heard = hear(reflects->channel);
  CHECK(heard.listeners.size() > 500);
  CHECK(heard.listeners.size() < 1000);
  CHECK(heard.notices.empty());
  lab.pass(100ms);
  const Heard later = lab.flush(*reflects);
  REQUIRE(later.notices.size() == 1);
  CHECK(later.notices[0].code == static_cast<std::uint32_t>(format::Code::lost));
  CHECK(later.notices[0].value + heard.listeners.size() == 2001);  // and the one that was there
}

TEST_CASE("listeners: who reflects learns who is there, who comes, and how they leave") {
  FlowLab lab;
  auto first = lab.connect(binding(0, 2222, "first"), {.process = 7, .user = 0, .group = 9});
  auto reflects = lab.connect(binding(format::kBindReflect, 3333, "me"));
  const Heard heard = lab.flush(*reflects);
  REQUIRE(others(heard) == "1 first");
  CHECK(heard.listeners[0].process == 7);
  CHECK(heard.listeners[0].group == 9);
  CHECK(heard.listeners[0].port == 2222);
  CHECK(heard.listeners[0].deadline_ms == 2000);
  auto second = lab.connect(binding(0, 4444, "second"));
  lab.leave(*second);
  auto third = lab.connect(binding(0, 4444, "third"));
  lab.desk.drain(third->member);
  lab.leave(*third);
  auto fourth = lab.connect(binding(0, 4444, "fourth"));
  lab.desk.receive(fourth->member, Octets(40), lab.now);
  lab.leave(*fourth);
  CHECK(others(lab.flush(*reflects)) ==
        "2 second | 3 second 2 | 2 third | 3 third 1 | 2 fourth | 3 fourth 3");
  CHECK(others(lab.flush(*first)).empty());
}

TEST_CASE("listeners: only of ports that he may listen to") {
  FlowLab lab;
  auto access = std::make_shared<Access>();
  access->rules = {{.first = 2222, .last = 2223, .user = 1000, .group = {}}};
  lab.desk.set_access(access);
  auto bind = binding(format::kBindReflect, 2222, "me");
  bind.permissions = format::kMayListen;
  auto hidden = lab.connect(binding(0, 4444, "hidden"));
  auto seen = lab.connect(binding(0, 2223, "seen"));
  auto reflects = lab.connect(bind, {.user = 1000});
  REQUIRE(lab.alive);
  lab.leave(*hidden);
  lab.leave(*seen);
  const Heard heard = lab.flush(*reflects);
  CHECK(heard.listeners.at(0).user == 0);
  CHECK(others(heard) == "1 seen | 3 seen 2");
}
