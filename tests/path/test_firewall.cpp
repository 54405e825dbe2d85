// Stories of the firewall in the corridor: what actions do to packets, connections and short cuts.

#include <doctest/doctest.h>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/support/test_router.hpp"

namespace path_firewall {

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
  router.route_marked(1, kWan, "203.0.113.60");
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

TEST_CASE("F3 reject: every code of ICMP and ICMPv6, and the reply types of Linux 2.2") {
  struct Case {
    const char* with;
    unsigned v4, v6;
  };
  for (const Case& c :
       {Case{"\"port_unreachable\"", 3, 4}, Case{"\"host\"", 1, 3}, Case{"\"net\"", 0, 0},
        Case{"\"protocol\"", 2, 4}, Case{"\"prohibited\"", 13, 1}, Case{"\"net_prohibited\"", 9, 1},
        Case{"\"host_prohibited\"", 10, 1}, Case{"\"policy\"", 13, 5}, Case{"\"classic\"", 1, 3},
        Case{"15", 15, 1}, Case{"6", 6, 6}}) {
    CAPTURE(std::string{c.with});
    TestRouter router;
    rules(router,
          (std::string{R"({"forward": {"rules": [{"action": {"reject": )"} + c.with + "}}]}}")
              .c_str());
    router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
    CHECK(mismatch(router.one(kLan),
                   {icmp_type(3, c.v4), destination(kClient), good_checksums()}) == "");
    router.arrive(kLan, udp().from("fd00:1::10", 4000).to("2001:db8:9::1", 53));
    CHECK(mismatch(router.one(kLan),
                   {icmp_type(1, c.v6), destination("fd00:1::10"), good_checksums()}) == "");
    CHECK(router.drops(DropReason::rejected) == 2);
    CHECK(router.imbalance() == "");
  }
  // A damaged packet tells of nobody who may be answered (history 7.2); a first fragment does.
  for (const auto& [packet, answers] :
       {std::pair{udp().bad_checksum(), 0u}, std::pair{udp().no_checksum(), 1u},
        std::pair{tcp().flags("S").bad_checksum(), 0u}, std::pair{icmp_echo(1).bad_checksum(), 0u},
        std::pair{udp().partial_checksum(), 1u},
        std::pair{udp().fragment(0, true).payload_size(160), 1u}}) {
    TestRouter router;
    rules(router, R"({"forward": {"rules": [{"action": "reject"}]}})");
    router.arrive(kLan, PacketBuilder{packet}.from(kClient, 4000).to(kServer, 53));
    CHECK(router.left(kLan).size() == answers);
    CHECK(router.drops(DropReason::rejected) == 1);
  }
  // In chain input the classic answer is "port".
  TestRouter router;
  rules(router, R"({"input": {"rules": [{"action": {"reject": "classic"}}]}})");
  router.arrive(kLan, udp().from(kClient, 4000).to("192.168.1.1", 53));
  CHECK(mismatch(router.one(kLan), {icmp_type(3, 3), destination(kClient)}) == "");
}

TEST_CASE(
    "F3 mirror: the packet goes back with its addresses exchanged, a hop taken, past all chains") {
  for (const char* chain : {"prerouting", "forward"}) {
    CAPTURE(std::string{chain});
    TestRouter router;
    rules(router, (std::string{R"({")"} + chain +
                   R"(": {"rules": [{"protocol": "udp", "action": "mirror"}]},
      "output": {"policy": "drop"}, "postrouting": {"policy": "drop"}})")
                      .c_str());
    router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53).payload("hello").ttl(9));
    CHECK(mismatch(router.one(kLan), {source(kServer, 4000), destination(kClient, 53), ttl(8),
                                      payload("hello"), good_checksums()}) == "");
    CHECK(router.drops(DropReason::mirrored) == 1);
    CHECK(router.shard.connections().size() == 0);
    // Two mirrors come to an end.
    router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53).ttl(1));
    CHECK(router.drops(DropReason::ttl_exceeded) == 1);
    // Nothing goes to where no sender can be.
    router.left(kLan);
    router.arrive(kLan, udp().from("127.0.0.1", 4000).to(kServer, 53));
    CHECK(router.left(kLan).empty());
    CHECK(router.left(kWan).empty());
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("F3 notrack: the packet passes, and nobody remembers it") {
  TestRouter router;
  rules(router, R"({"prerouting": {"rules": [{"destination_port": 53, "action": "notrack"}]},
    "forward": {"rules": [{"state": "untracked", "action": "accept"},
                          {"destination_port": 53, "action": "drop"}]}})");
  router.policy.nat.source.clear();
  router.apply();
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  CHECK(mismatch(router.one(kWan), {source(kClient, 4000), good_checksums()}) == "");
  CHECK(router.shard.connections().size() == 0);
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 54));
  router.one(kWan);
  CHECK(router.shard.connections().size() == 1);
  CHECK(router.imbalance() == "");
}

TEST_CASE("F3 notrack: with masquerading an untracked packet is not let out (K-29)") {
  TestRouter router;
  rules(router, R"({"prerouting": {"rules": [{"action": "notrack"}]}})");
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  CHECK(router.left(kWan).empty());
  CHECK(router.drops(DropReason::untranslatable) == 1);
}

TEST_CASE("F1: counters and last hits go on over a reload where the rule stayed the same") {
  TestRouter router;
  constexpr auto kRules = R"({"forward": {"rules": [
    {"id": "same", "destination_port": 53, "action": "continue"},
    {"id": "other", "destination_port": 53, "action": "accept"}]}})";
  rules(router, kRules);
  converse(router);
  const auto before = router.shard.rule_counters();
  CHECK(before[0].packets == 3);
  CHECK(before[0].last == router.now());
  router.pass(std::chrono::seconds{5});
  rules(router, R"({"forward": {"rules": [
    {"id": "new", "action": "continue"}, {"id": "other", "destination_port": 54, "action": "accept"},
    {"id": "same", "comment": "moved", "destination_port": 53, "action": "continue"}]}})");
  const auto after = router.shard.rule_counters();
  CHECK(after[0].packets == 0);
  CHECK(after[0].last == Time{});
  CHECK(after[1].packets == 0);
  CHECK(after[2].packets == 3);
  CHECK(after[2].bytes == before[0].bytes);
  CHECK(after[2].last == before[0].last);
}

TEST_CASE(
    "F2 limit: of an established conversation sees every packet; others keep their short cut") {
  TestRouter router;
  rules(router, R"({"forward": {"rules": [
    {"destination_port": 53, "limit": {"rate": "1/day", "burst": 2}, "action": "accept"},
    {"destination_port": 53, "action": "drop"}]}})");
  for (int i = 0; i < 4; ++i) {
    router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
    if (!router.left(kWan).empty()) router.arrive(kWan, udp().from(kServer, 53).to(kOurs, 4000));
    router.left(kLan);
  }
  CHECK(router.drops(DropReason::rule) == 2);
  const auto before = router.shard.counters().shortcuts;
  for (int i = 0; i < 4; ++i) {
    router.arrive(kLan, udp().from(kClient, 4001).to(kServer, 54));
    router.one(kWan);
    router.arrive(kWan, udp().from(kServer, 54).to(kOurs, 4001));
    router.one(kLan);
  }
  CHECK(router.shard.counters().shortcuts > before + 3);
}

TEST_CASE("F2 time: a full minute makes the short cuts void") {
  TestRouter router;
  constexpr std::int64_t kMonday = 4 * 24 * 3600;  // 1970-01-05
  router.shard.tell_wall_clock(kMonday + 8 * 3600 - 1);
  rules(
      router,
      R"({"forward": {"rules": [{"time": {"from": "08:00", "to": "09:00"}, "action": "drop"}]}})");
  converse(router);
  CHECK(router.shard.counters().shortcuts > 0);
  router.shard.tell_wall_clock(kMonday + 8 * 3600);
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  CHECK(router.left(kWan).empty());
  router.shard.tell_wall_clock(kMonday + 9 * 3600);
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  router.one(kWan);
}

TEST_CASE(
    "K-20 leaving: sees the masqueraded source, refuses in the name of the sender, and holds no "
    "port") {
  TestRouter router;
  rules(router, R"({"leaving": {"rules": [
    {"id": "inside", "out": "wan", "source": "192.168.1.0/24", "action": "drop"},
    {"id": "refuse", "out": "wan", "source": "203.0.113.7", "protocol": "udp", "destination_port": 99,
     "action": {"reject": "host"}}]}})");
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  const Octets out = router.one(kWan);
  CHECK(mismatch(out, {source(kOurs)}) == "");
  router.arrive(kWan, answer_to(out, udp()));
  CHECK(mismatch(router.one(kLan), {destination(kClient, 4000)}) == "");
  const std::size_t before = router.shard.connections().size();
  router.arrive(kLan, udp().from(kClient, 4001).to(kServer, 99).payload("question"));
  CHECK(router.left(kWan).empty());
  // The error goes to who asked, and quotes what he asked.
  CHECK(mismatch(router.one(kLan), {destination(kClient), icmp_type(3, 1),
                                    quotes({source(kClient, 4001), destination(kServer, 99)})}) ==
        "");
  CHECK(router.shard.connections().size() == before);
  CHECK(router.imbalance() == "");
}

TEST_CASE("F2 demasqueraded: answers and their errors, not what begins") {
  TestRouter router;
  rules(router, R"({"forward": {"policy": "drop", "rules": [
    {"demasqueraded": true, "action": "accept"}, {"in": "lan", "action": "accept"}]}})");
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  const Octets out = router.one(kWan);
  router.arrive(kWan, answer_to(out, udp()));
  CHECK(mismatch(router.one(kLan), {destination(kClient, 4000)}) == "");
  router.arrive(kWan, icmp_error(3, 3).from(kServer).to(kOurs).quoting(out));
  CHECK(mismatch(router.one(kLan), {destination(kClient)}) == "");
  rules(router,
        R"({"forward": {"rules": [{"in": "lan", "demasqueraded": true, "action": "drop"}]}})");
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  router.one(kWan);
  rules(router, R"({"forward": {"rules": [{"demasqueraded": false, "action": "drop"}]}})");
  router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  CHECK(router.left(kWan).empty());
  CHECK(router.drops(DropReason::rule) == 1);
}

TEST_CASE("F2 sets: what an element let through ends with it, short cut or not") {
  for (const bool shortcuts : {false, true}) {
    CAPTURE(shortcuts);
    TestRouter router{{.region = {}, .max_connections = 256, .take_shortcuts = shortcuts}};
    static const std::vector<std::string> kPorts{"lan", "wan"};
    const auto sets = json::Json::parse(
        R"({"guests": {"addresses": [{"element": "192.168.1.10", "timeout": 10}]}})");
    const auto chains = json::Json::parse(R"({"forward": {"policy": "drop", "rules": [
        {"id": "guests", "source_set": "guests", "action": "accept"},
        {"id": "answers", "in": "wan", "action": "accept"}]}})");
    router.policy.ruleset = std::make_shared<const firewall::Ruleset>(
        firewall::from_json(json::Value{chains, "/firewall"}, kPorts,
                            firewall::read_sets(json::Value{sets, "/sets"}, router.now())));
    router.apply();
    converse(router);
    const auto speak = [&] {
      router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53).payload("question"));
      return router.left(kWan).size();
    };
    const auto before = router.shard.counters().shortcuts;
    router.pass(std::chrono::seconds{10} - Duration{1});
    CHECK(speak() == 1);
    CHECK((router.shard.counters().shortcuts > before) == shortcuts);
    router.pass(Duration{1});
    CHECK(speak() == 0);
    CHECK(router.drops(DropReason::rule) == 1);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("F1: counters begin at zero again where that is wanted, those on short cuts too") {
  TestRouter router;
  rules(router, R"({"forward": {"rules": [
    {"id": "zeroed", "action": "continue"}, {"id": "other", "action": "accept"}]}})");
  converse(router);
  REQUIRE(router.shard.counters().shortcuts > 0);
  CHECK(router.shard.rule_counters()[0].packets == 6);
  router.shard.zero_rule_counters({true, false, false});
  CHECK(router.shard.rule_counters()[0].packets == 0);
  CHECK(router.shard.rule_counters()[0].last == Time{});
  CHECK(router.shard.rule_counters()[1].packets == 6);
  converse(router);
  CHECK(router.shard.rule_counters()[0].packets == 6);
  CHECK(router.shard.rule_counters()[1].packets == 12);
}

TEST_CASE("F1: rules of translation count the connections that begin by them") {
  TestRouter router;
  nat::DestinationRule forward;
  forward.owner = kWan;
  forward.selector.destination_ports = {80, 80};
  forward.to = {address(kClient), address(kClient)};
  forward.number = 1;
  router.policy.nat.destination = {forward};
  router.policy.nat.fingerprints = {7, 8};
  router.apply();
  converse(router);
  router.arrive(kWan, udp().from(kServer, 5000).to(kOurs, 80));
  router.one(kLan);
  auto counters = router.shard.nat_counters();
  REQUIRE(counters.size() == 2);
  CHECK(counters[0].packets == 1);
  CHECK(counters[0].bytes ==
        udp().from(kClient, 4000).to(kServer, 53).payload("question").ip_bytes().size());
  CHECK(counters[1].packets == 1);
  router.policy.nat.fingerprints = {8};  // the first is gone
  router.apply();
  counters = router.shard.nat_counters();
  REQUIRE(counters.size() == 1);
  CHECK(counters[0].packets == 1);
  router.shard.zero_nat_counters({true});
  CHECK(router.shard.nat_counters()[0].packets == 0);
}

}  // namespace path_firewall
