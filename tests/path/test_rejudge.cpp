// Stories of connections that new rules would not admit: found in slices, by the corridor's own
// order, and ended.

#include <doctest/doctest.h>

#include "daemon/base/random.hpp"
#include "daemon/firewall/firewall_json.hpp"
#include "daemon/path/rejudge.hpp"
#include "tests/support/test_router.hpp"

namespace path_rejudge {

using namespace masqgate;
using namespace masqgate::test;

namespace {

constexpr auto kOurs = "203.0.113.7", kClient = "192.168.1.10", kServer = "198.51.100.1";

void rules(TestRouter& router, const std::string& text) {
  static const std::vector<std::string> kPorts{"lan", "wan"};
  const auto document = json::Json::parse(text);
  router.policy.ruleset = std::make_shared<const firewall::Ruleset>(
      firewall::from_json(json::Value{document, "/firewall"}, kPorts));
}

// Whose packets the chain would refuse: chain and rule; empty if nobody's.
std::string refused_by(TestRouter& router, const std::string& text) {
  rules(router, text);
  const auto slice = path::rejudge(router.shard, router.policy, 0, false);
  CHECK(slice.last);
  if (slice.refused.empty()) return "";
  return slice.refused.front().chain + "/" + slice.refused.front().rule;
}

}  // namespace

TEST_CASE("F7 rejudge: each chain sees the connection as it saw its first packet") {
  struct Row {
    const char* name;
    void (*begin)(TestRouter&);
    const char* rules;
    const char* by;
  };
  const auto masqueraded = [](TestRouter& router) {
    router.arrive(kLan, udp().from(kClient, 4000).to(kServer, 53));
  };
  const auto forwarded = [](TestRouter& router) {
    nat::DestinationRule rule;
    rule.owner = kWan;
    rule.selector.destination_ports = {80, 80};
    rule.to = {address(kClient), address(kClient)};
    rule.ports = {8080, 8080};
    router.policy.nat.destination = {rule};
    router.apply();
    router.arrive(kWan, tcp().from(kServer, 5000).to(kOurs, 80).flags("S"));
  };
  const auto for_us = [](TestRouter& router) {
    router.arrive(kLan, tcp().from(kClient, 4000).to("192.168.1.1", 22).flags("S"));
  };
  const auto own = [](TestRouter& router) {
    router.send_from_host(kWan, udp().from(kOurs, 123).to(kServer, 123));
  };
  for (
      const Row& row : {
          Row{"before translation", masqueraded,
              R"({"prerouting": {"rules": [{"id": "r", "source": "192.168.1.10", "action": "drop"}]}})",
              "prerouting/r"},
          Row{"forward sees the inside", masqueraded,
              R"({"forward": {"rules": [{"id": "r", "in": "lan", "out": "wan", "source": "192.168.1.10", "destination_port": 53, "action": "drop"}]}})",
              "forward/r"},
          Row{"postrouting too", masqueraded,
              R"({"postrouting": {"rules": [{"id": "r", "source": "203.0.113.7", "action": "drop"}]}})",
              ""},
          Row{"leaving sees the outside", masqueraded,
              R"({"leaving": {"rules": [{"id": "r", "source": "203.0.113.7", "action": "drop"}]}})",
              "leaving/r"},
          Row{"input does not see it", masqueraded, R"({"input": {"policy": "drop"}})", ""},
          Row{"a policy", masqueraded, R"({"forward": {"policy": "drop"}})", "forward/policy"},
          Row{"marks lead the way", masqueraded,
              R"({"prerouting": {"rules": [{"action": {"mark": 3}}]},
                   "forward": {"rules": [{"id": "r", "mark": 3, "state": ["new"], "action": "drop"}]}})",
              "forward/r"},
          Row{"untracked by new rules", masqueraded,
              R"({"prerouting": {"rules": [{"action": "notrack"}]},
                   "forward": {"rules": [{"id": "r", "state": ["untracked"], "action": "drop"}]}})",
              "forward/r"},
          Row{"a forward: outside first", forwarded,
              R"({"prerouting": {"rules": [{"id": "r", "destination": "203.0.113.7", "destination_port": 80, "action": "drop"}]}})",
              "prerouting/r"},
          Row{"a forward: then inside", forwarded,
              R"({"forward": {"rules": [{"id": "r", "destination": "192.168.1.10", "destination_port": 8080, "demasqueraded": true, "action": "drop"}]}})",
              "forward/r"},
          Row{"for the router", for_us,
              R"({"input": {"rules": [{"id": "r", "in": "lan", "destination_port": 22, "action": "reject"}]}})",
              "input/r"},
          Row{"forward does not see that", for_us, R"({"forward": {"policy": "drop"}})", ""},
          Row{"the router's own", own,
              R"({"output": {"rules": [{"id": "r", "out": "wan", "destination_port": 123, "action": "drop"}]}})",
              "output/r"},
          Row{"it came from no port", own,
              R"({"postrouting": {"rules": [{"id": "r", "in": "wan", "action": "drop"}]}})", ""},
      }) {
    CAPTURE(row.name);
    TestRouter router;
    row.begin(router);
    REQUIRE(router.shard.connections().size() == 1);
    CHECK(refused_by(router, row.rules) == row.by);
    CHECK(refused_by(router, "{}") == "");
    CHECK(router.shard.connections().size() == 1);  // only asked
  }
}

TEST_CASE("F7 rejudge: ended connections are gone and counted, and their packets are judged anew") {
  TestRouter router;
  for (const int port : {4000, 4001, 4002})
    router.arrive(kLan, udp().from(kClient, static_cast<net::Port>(port)).to(kServer, 53));
  router.arrive(kLan, udp().from(kClient, 5000).to(kServer, 80));
  router.left(kWan);
  rules(router,
        R"({"forward": {"rules": [{"id": "answers", "state": ["established"], "action": "accept"},
    {"id": "no-dns", "destination_port": 53, "action": "drop"}]}})");
  router.apply();
  const auto slice = path::rejudge(router.shard, router.shard.policy(), 0, true);
  CHECK(slice.judged == 4);
  CHECK(slice.refused.size() == 3);
  CHECK(router.shard.counters().connections_refused == 3);
  CHECK(router.shard.connections().size() == 1);
  router.arrive(kLan, udp().from(kClient, 4001).to(kServer, 53));
  CHECK(router.left(kWan).empty());
  CHECK(router.drops(DropReason::rule) == 1);
  router.arrive(kLan, udp().from(kClient, 5000).to(kServer, 80));
  CHECK(router.left(kWan).size() == 1);
  CHECK(path::rejudge(router.shard, router.shard.policy(), 0, true).refused.empty());
  CHECK(router.imbalance() == "");
}

TEST_CASE("F7 rejudge: a slice ends after so many records, or so many rules that were asked") {
  TestRouter router{{.region = {}, .max_connections = 8192}};
  constexpr net::Port kCount = 5000;
  for (net::Port i = 0; i < kCount; ++i) {
    router.arrive(kLan, udp().from(kClient, static_cast<net::Port>(1024 + i)).to(kServer, 53));
    router.left(kWan);
  }
  REQUIRE(router.shard.connections().size() == kCount);
  const auto count = [&](const std::string& text) {
    rules(router, text);
    std::size_t slices = 0, judged = 0, refused = 0, longest = 0;
    std::uint32_t from = 0;
    for (bool last = false; !last; ++slices) {
      const auto slice = path::rejudge(router.shard, router.policy, from, false);
      CHECK(slice.next > from);
      judged += slice.judged;
      refused += slice.refused.size();
      longest = std::max(longest, slice.judged);
      from = slice.next;
      last = slice.last;
    }
    CHECK(judged == kCount);
    CHECK(refused == kCount / 2);
    return std::pair{slices, longest};
  };
  const std::string rule = R"({"source_port": "1024-3523", "action": "drop"})";
  CHECK(count(R"({"forward": {"rules": [)" + rule + "]}}").first == 3);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += R"({"destination_port": "!53", "action": "drop"}, )";
  const auto [slices, longest] = count(R"({"forward": {"rules": [)" + many + rule + "]}}");
  CHECK(longest <= path::RejudgeSlice::kRules / 1000);
  CHECK(slices >= kCount / longest);
}

namespace {

const char* pick(Random& random, std::initializer_list<const char*> words) {
  return words.begin()[random.below(static_cast<std::uint32_t>(words.size()))];
}

// Rules that ask for what a connection shows, in all chains.
std::string random_rules(Random& random) {
  std::string text = "{";
  for (const char* chain : {"prerouting", "input", "forward", "postrouting", "leaving", "own"}) {
    const bool own = std::string{chain} == "own";
    text += std::string{text.size() > 1 ? ", " : ""} + "\"" + chain + "\": {";
    if (!own)
      text += std::string{R"("policy": ")"} + pick(random, {"accept", "accept", "drop"}) + "\", ";
    text += "\"rules\": [";
    for (std::uint32_t i = random.below(5); i > 0; --i) {
      text += "{";
      if (random.below(2) == 0)
        text +=
            std::string{R"("protocol": ")"} + pick(random, {"tcp", "udp", "icmp", "!tcp"}) + "\", ";
      if (random.below(3) == 0)
        text += std::string{R"("source": ")"} +
                pick(random, {"192.168.1.10", "!192.168.1.10", "203.0.113.0/24"}) + "\", ";
      if (random.below(3) == 0)
        text += std::string{R"("destination": ")"} +
                pick(random, {"198.51.100.1", "192.168.1.0/24", "!203.0.113.0/24"}) + "\", ";
      if (random.below(4) == 0)
        text += std::string{R"("mark": ")"} + pick(random, {"1", "!1"}) + "\", ";
      if (random.below(4) == 0)
        text += std::string{R"("state": [")"} + pick(random, {"new", "established", "untracked"}) +
                "\"], ";
      std::string action = pick(random, {"\"accept\"", "\"drop\"", "\"continue\"", "\"return\"",
                                         R"({"mark": 1})", R"({"connmark": "save"})"});
      if (!own && random.below(5) == 0) action = R"({"jump": "own"})";
      text += "\"action\": " + action + "}" + (i > 1 ? ", " : "");
    }
    text += "]}";
  }
  return text + "}";
}

PacketBuilder random_beginning(Random& random) {
  PacketBuilder packet = random.below(3) == 0   ? icmp_echo(7)
                         : random.below(2) == 0 ? udp()
                                                : tcp().flags("S");
  return packet.from(pick(random, {"192.168.1.10", "192.168.1.11"}), 4000)
      .to(pick(random, {kServer, "192.168.1.1", "203.0.113.50"}), 53);
}

}  // namespace

TEST_CASE("F7 rejudge: a connection is refused exactly where its first packet would have been") {
  Random random{{11, 12}};
  int refused = 0, admitted = 0;
  for (int round = 0; round < 600; ++round) {
    CAPTURE(round);
    const std::string text = random_rules(random);
    const PacketBuilder packet = random_beginning(random);
    TestRouter before, after;
    before.arrive(kLan, packet);
    REQUIRE(before.shard.connections().size() == 1);
    rules(after, text);
    after.apply();
    after.arrive(kLan, packet);
    const bool was_refused = after.drops(DropReason::rule) != 0;
    CAPTURE(text);
    REQUIRE((refused_by(before, text) != "") == was_refused);
    ++(was_refused ? refused : admitted);
  }
  CHECK(refused > 50);
  CHECK(admitted > 50);
}

}  // namespace path_rejudge
