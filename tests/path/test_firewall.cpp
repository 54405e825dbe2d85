// Stories of the firewall in the corridor: what actions do to packets, connections and short cuts.

#include <doctest/doctest.h>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/support/test_router.hpp"

using namespace masqgate;
using namespace masqgate::test;

namespace {

constexpr auto kOurs = "203.0.113.7", kClient = "192.168.1.10", kServer = "198.51.100.1";

void rules(TestRouter& router, const char* text) {
  static const std::vector<std::string> kPorts{"lan", "wan"};
  const auto document = json::Json::parse(text);
  router.policy.ruleset = std::make_shared<const firewall::Ruleset>(
      firewall::from_json(json::Value{document, "/firewall"}, kPorts));
  router.apply();
}

// An open UDP conversation that is on its short cut, both ways.
Octets converse(TestRouter& router) {
  Octets out;
  for (int i = 0; i < 3; ++i) {
    router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53).payload("question"));
    out = router.one(kWan);
    router.arrive(kWan, answer_to(out, udp().payload("answer")));
    router.one(kLan);
  }
  return out;
}

}  // namespace

TEST_CASE("F3 mark: MFW sends what a rule has marked to the hosts inside") {
  TestRouter router;
  REQUIRE(router.shard.change_forwards(
              {nat::ForwardOrder::Act::add, nat::MarkForward{7, {address(kClient), 8080}}}) ==
          nat::ForwardProblem::none);
  const auto request = tcp().from(kServer, 5000).to(kOurs, 80).flags("S");
  router.arrive(kWan, request);
  CHECK(router.left(kLan).empty());
  router.shard.connections().remove(*router.connection(request.tuple()));
  rules(router, R"({"prerouting": {"rules": [
    {"in": "wan", "protocol": "tcp", "destination_port": 80, "action": {"mark": "0x7"}}]}})");
  router.arrive(kWan, request);
  CHECK(mismatch(router.one(kLan),
                 {source(kServer, 5000), destination(kClient, 8080), good_checksums()}) == "");
  // A part of the mark only, which is not the list's.
  rules(router, R"({"prerouting": {"rules": [
    {"in": "wan", "action": {"mark": "0x3/0x3"}}]}})");
  router.arrive(kWan, tcp().from(kServer, 5001).to(kOurs, 80).flags("S"));
  CHECK(router.left(kLan).empty());
  CHECK(router.imbalance() == "");
}

TEST_CASE("F3 mark: a routing rule sends marked packets another way") {
  TestRouter router;
  auto table = std::vector<route::Route>(router.policy.routes->routes().begin(),
                                         router.policy.routes->routes().end());
  route::Route other;
  other.destination = *net::Prefix::parse("0.0.0.0/0");
  other.table = 100;
  route::NextHop hop;
  hop.egress = kWan;
  hop.gateway = address("203.0.113.60");
  other.next_hops = {hop};
  table.push_back(other);
  auto by = route::default_rules();
  by.push_back({.priority = 100, .mark = 1, .mark_mask = 0xff, .table = 100});
  router.policy.routes = std::make_shared<route::Table>(table, by);
  rules(router, R"({"prerouting": {"rules": [
    {"destination_port": 53, "action": {"mark": "0x01/0xff"}}]},
    "forward": {"rules": [{"mark": "0x1/0x0f", "destination_port": "!53", "action": "drop"}]}})");
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 54));
  router.one(kWan);
  CHECK(router.asker.asked.empty());
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  CHECK(router.left(kWan).empty());
  REQUIRE(router.asker.asked.size() == 1);
  CHECK(router.asker.asked[0].second == address("203.0.113.60"));
  CHECK(router.imbalance() == "");
}

TEST_CASE("F3 connmark: saved by one packet, restored for the next, and asked for") {
  TestRouter router;
  rules(router, R"({"prerouting": {"rules": [
      {"connmark": "!0", "action": {"connmark": "restore"}},
      {"state": "new", "in": "lan", "action": {"mark": "0x105"}},
      {"state": "new", "action": {"connmark": "save/0xff"}}]},
    "forward": {"rules": [{"mark": "0x5", "state": "established", "action": "accept"},
                          {"mark": "0x105", "action": "accept"}, {"action": "drop"}]}})");
  const Octets out = converse(router);
  const auto* connection = router.connection(udp().from(kClient, 4000).to(kServer, 53).tuple());
  REQUIRE(connection != nullptr);
  CHECK(connection->mark == 5);
  CHECK(router.shard.counters().shortcuts > 0);
  CHECK(router.drops(DropReason::rule) == 0);
}

TEST_CASE("F3 connmark: who changes it is not judged by what was decided under the old mark") {
  // The first packet of a direction marks, the second drops: with a short cut it would pass.
  for (const bool shortcuts : {false, true}) {
    CAPTURE(shortcuts);
    TestRouter router{{.region = {}, .max_connections = 256, .take_shortcuts = shortcuts}};
    rules(router, R"({"forward": {"rules": [
      {"in": "wan", "connmark": "2/0xf", "action": {"connmark": "3/0xf"}},
      {"in": "wan", "connmark": "1/0xf", "action": {"connmark": "2/0xf"}},
      {"in": "wan", "connmark": "0/0xf", "action": {"connmark": "1/0xf"}},
      {"in": "lan", "connmark": "3/0xf", "action": "drop"}]}})");
    converse(router);
    router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53).payload("question"));
    CHECK(router.left(kWan).empty());
    CHECK(router.drops(DropReason::rule) == 1);
  }
}
