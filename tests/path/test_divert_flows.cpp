// Flows as listeners are told of them, with a real connection table behind: begins, ends, and what
// went through.

#include "tests/path/divert_router.hpp"

namespace path_divert_flows {

using namespace masqgate;
using namespace masqgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kRules =
    R"({"forward": {"policy": "accept", "rules": [{"id": "look", "action": {"divert": 2222}}]}})";
constexpr const char* kTee =
    R"({"forward": {"policy": "accept", "rules": [{"id": "look", "action": {"tee": 2222}}]}})";

// All records of flows, with every packet accepted.
std::vector<format::FlowHeader> accept_all(DivertRouter& lab) {
  Heard heard = lab.listen();
  for (const auto& packet : heard.packets)
    if ((packet.flags & format::kTee) == 0) lab.say(packet.id, Action::accept);
  Heard more = lab.listen();
  heard.flows.insert(heard.flows.end(), more.flows.begin(), more.flows.end());
  return heard.flows;
}

bool is_end(const format::FlowHeader& flow, format::FlowEnd how) {
  return flow.event == static_cast<std::uint8_t>(format::FlowEvent::end) &&
         flow.end == static_cast<std::uint8_t>(how);
}

}  // namespace

TEST_CASE("a flow is told with the number that its packets have, and ends with its connection") {
  for (const char* rules : {kRules, kTee}) {
    DivertRouter lab{rules};
    lab.connect(Access::kEverything, format::kBindFlows);
    lab.router.arrive(kLan, question());
    Heard heard = lab.listen();
    REQUIRE(heard.packets.size() == 1);
    REQUIRE(heard.flows.size() == 1);
    CHECK(heard.flows[0].flow == heard.packets[0].flow);
    CHECK(heard.flows[0].original.source_port == 4000);
    if (rules == kRules) lab.say(heard.packets[0].id, Action::accept);
    lab.router.arrive(kLan, question());
    CHECK(accept_all(lab).empty());
    lab.router.pass(10min);
    const auto ended = accept_all(lab);
    REQUIRE(ended.size() == 1);
    CHECK(is_end(ended[0], format::FlowEnd::timed_out));
    CHECK(ended[0].flow == heard.flows[0].flow);
    CHECK(ended[0].packets[0] == 2);
    CHECK(ended[0].bytes[0] == 2 * heard.packets[0].original_length);
    CHECK(ended[0].packets[1] == 0);
  }
}

TEST_CASE("a connection that is removed ends its flow; one whose packet is dropped never began") {
  DivertRouter lab{kRules};
  lab.connect(Access::kEverything, format::kBindFlows);
  lab.router.arrive(kLan, question());
  CHECK(accept_all(lab).size() == 1);
  const auto& table = lab.router.shard.connections();
  REQUIRE(lab.router.shard.remove_connection(conntrack::connection_id(0, table.at(0).serial)));
  auto told = accept_all(lab);
  REQUIRE(told.size() == 1);
  CHECK(is_end(told[0], format::FlowEnd::removed));
  lab.router.arrive(kLan, question());
  const Heard heard = lab.listen();
  REQUIRE(heard.flows.size() == 1);
  lab.say(heard.packets.at(0).id, Action::drop);
  for (int i = 0; i < 100; ++i) lab.router.pass(200ms);
  told = accept_all(lab);
  REQUIRE(told.size() == 1);
  CHECK(is_end(told[0], format::FlowEnd::not_admitted));
  CHECK(told[0].flow == heard.flows[0].flow);
}

}  // namespace path_divert_flows
