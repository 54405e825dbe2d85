// Diverted packets in chains that are long enough for the index of rules, and through jumps between
// such chains: they come back to the rule behind, no rule is asked twice and none is left out.

#include "daemon/base/random.hpp"
#include "tests/path/divert_router.hpp"

namespace path_divert_rules {

using namespace masqgate;
using namespace masqgate::test;
using json::Json;

namespace {

constexpr std::size_t kLong = firewall::RuleFinder::kLeastRules;

Json rule(const std::string& id, Json action, Json match = Json::object()) {
  match["id"] = id;
  match["action"] = std::move(action);
  return match;
}

// Rules of several shapes that this test's packets do not match.
void fill(Json& rules, const std::string& name, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    Json match = Json::object();
    if (i % 3 == 0) match["source"] = "10.1." + number + ".0/24";
    if (i % 3 != 1) match["protocol"] = "udp";
    if (i % 3 != 0) match["destination"] = "10.2.0." + number;
    if (match.contains("protocol")) match["destination_port"] = std::to_string(7000 + i);
    rules.push_back(rule(name + number, "drop", match));
  }
}

Json chain(Json rules, const char* policy = nullptr) {
  Json out{{"rules", std::move(rules)}};
  if (policy != nullptr) out["policy"] = policy;
  return out;
}

const Json kDivert = {{"divert", 2222}};

PacketBuilder packet(unsigned source, unsigned port) {
  return udp()
      .from("192.168.1." + std::to_string(source), 4000)
      .to("198.51.100.1", static_cast<net::Port>(port));
}

// How often each rule was met. A trail holds 32 of them, so few rules here match everything.
std::vector<std::uint64_t> met(DivertRouter& lab) {
  std::vector<std::uint64_t> all;
  for (const path::RuleCounter& one : lab.router.shard.rule_counters()) all.push_back(one.packets);
  return all;
}

// A chain in which rules name what some packets have; `others` are jumped to. Every rule that diverts
// stands beside one that only goes on, for the comparison.
Json random_chain(Random& random, const std::string& name, const std::vector<std::string>& others) {
  Json rules = Json::array();
  const std::uint32_t count = 12 + random.below(40);
  const std::uint32_t diverting = random.below(count), jumping = random.below(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    Json match = Json::object();
    if (random.below(8) != 0)
      match["source"] = "192.168.1." + std::to_string(random.below(4)) + "/32";
    if (random.below(8) != 0) {
      match["protocol"] = "udp";
      match["destination_port"] = std::to_string(50 + random.below(4));
    }
    Json action = "continue";
    if (i == diverting)
      action = kDivert;
    else if (i == jumping && !others.empty())
      action = {{"jump", others[random.below(static_cast<std::uint32_t>(others.size()))]}};
    else if (match.size() == 3 && random.below(4) == 0)
      action = random.below(2) == 0 ? "accept" : "drop";
    else if (match.size() == 3 && others.empty() && random.below(4) == 0)
      action = "return";
    rules.push_back(rule(name + std::to_string(i), action, match));
  }
  return rules;
}

// The same rules, and none of them diverts.
Json undiverted(Json rules) {
  for (Json& one : rules)
    for (Json& each : one["rules"])
      if (each["action"] == kDivert) each["action"] = "continue";
  return rules;
}

}  // namespace

TEST_CASE(
    "D2: a diverted packet goes on behind its rule in a chain that is long enough for the index") {
  Json rules = Json::array();
  fill(rules, "before", kLong);
  rules.push_back(rule("seen", "continue", {{"protocol", "udp"}}));
  rules.push_back(rule("look", kDivert, {{"destination", "198.51.100.1"}}));
  fill(rules, "between", kLong);
  rules.push_back(rule("again", kDivert, {{"protocol", "udp"}, {"destination_port", "53"}}));
  rules.push_back(rule("ok", "accept", {{"source", "192.168.1.0/24"}}));
  DivertRouter lab{Json{{"forward", chain(rules, "drop")}}.dump()};
  lab.connect();
  lab.router.arrive(kLan, packet(10, 53));
  const Heard first = lab.listen();
  CHECK(first.packets.at(0).rule_position == kLong + 2);
  lab.say(first.packets[0].id, Action::accept);
  const Heard second = lab.listen();
  CHECK(second.packets.at(0).rule_position == 2 * kLong + 3);
  lab.say(second.packets[0].id, Action::accept);
  lab.router.one(kWan);
  const auto counts = met(lab);
  CHECK(counts.at(kLong) == 1);          // seen
  CHECK(counts.at(kLong + 1) == 1);      // look
  CHECK(counts.at(2 * kLong + 2) == 1);  // again
  CHECK(counts.at(2 * kLong + 3) == 1);  // ok
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: a changed packet is looked for by what it has become") {
  Json rules = Json::array();
  fill(rules, "before", kLong);
  rules.push_back(rule("look", kDivert, {{"protocol", "udp"}, {"destination_port", "53"}}));
  rules.push_back(rule("old", "drop", {{"protocol", "udp"}, {"destination_port", "53"}}));
  rules.push_back(rule("new", "accept", {{"protocol", "udp"}, {"destination_port", "5353"}}));
  DivertRouter lab{Json{{"prerouting", chain(rules, "drop")}}.dump()};
  lab.connect();
  lab.router.arrive(kLan, packet(10, 53));
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          packet(10, 5353).ip_bytes());
  lab.router.one(kWan);
}

TEST_CASE("D2: through jumps between long chains, and repeat at a rule of one of them") {
  Json inner = Json::array(), middle = Json::array(), outer = Json::array();
  fill(inner, "inner", kLong);
  inner.push_back(rule("look", kDivert, {{"protocol", "udp"}}));
  inner.push_back(rule("back", "return", {{"protocol", "udp"}}));
  inner.push_back(rule("never", "drop"));
  fill(middle, "middle", kLong);
  middle.push_back(rule("down", {{"jump", "inner"}}, {{"destination", "198.51.100.0/24"}}));
  middle.push_back(rule("behind", "continue", {{"destination", "198.51.100.1"}}));
  outer.push_back(rule("down", {{"jump", "middle"}}));
  fill(outer, "outer", kLong);
  outer.push_back(rule("ok", "accept", {{"source", "192.168.1.10"}}));
  const Json document{
      {"inner", chain(inner)}, {"middle", chain(middle)}, {"forward", chain(outer, "drop")}};
  DivertRouter lab{document.dump()};
  lab.connect();
  lab.router.arrive(kLan, packet(10, 53));
  Heard heard = lab.listen();
  auto verdict = DivertLab::verdict(heard.packets.at(0).id, Action::repeat_at);
  verdict.rule = heard.packets[0].rule;  // this rule once more
  lab.say(verdict);
  heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK(heard.packets[0].rule == verdict.rule.value());
  lab.load(document.dump());  // rules are loaded anew meanwhile
  lab.say(heard.packets[0].id, Action::accept);
  lab.router.one(kWan);
  CHECK(lab.router.shard.diverting().rules_gone() == 0);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE(
    "R4: diverted and accepted, a packet meets the same rules and has the same end as without "
    "diverting") {
  Random random{{7, 8}};
  for (int round = 0; round < 60; ++round) {
    const Json document{{"low", chain(random_chain(random, "low", {}))},
                        {"middle", chain(random_chain(random, "middle", {"low"}))},
                        {"forward", chain(random_chain(random, "top", {"middle", "low"}),
                                          random.below(2) == 0 ? "accept" : "drop")}};
    DivertRouter with{document.dump()}, without{undiverted(document).dump()};
    with.connect();
    for (int i = 0; i < 40; ++i) {
      CAPTURE(round);
      CAPTURE(i);
      const auto one = packet(random.below(5), 50 + random.below(5));
      with.router.arrive(kLan, one);
      without.router.arrive(kLan, one);
      for (Heard heard = with.listen(); !heard.packets.empty(); heard = with.listen()) {
        if (random.below(3) == 0) with.load(document.dump());
        with.say(heard.packets.at(0).id, Action::accept);
      }
      REQUIRE(with.router.left(kWan).size() == without.router.left(kWan).size());
      REQUIRE(with.router.imbalance() == "");
    }
    REQUIRE(met(with) == met(without));
  }
}

}  // namespace path_divert_rules
