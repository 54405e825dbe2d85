// Unit tests of daemon/firewall: matches, chains, counters, and the words of documents.

#include <doctest/doctest.h>

#include "tests/support/rule_lab.hpp"

using namespace masqgate;
using namespace masqgate::firewall;
using namespace masqgate::test;
using json::Json;

namespace {

constexpr PortIndex kLan = 0, kWan = 1;

net::IpAddress ip(const char* text) {
  return *net::IpAddress::parse(text);
}

// A TCP packet from the network of lan to wan, as forward sees it; tests change what they ask for.
Packet packet() {
  Packet p;
  p.tuple = {ip("192.168.0.7"), ip("198.51.100.1"), 4000, 80, net::Protocol::tcp};
  p.ingress = kLan;
  p.egress = kWan;
  p.state = ConnState::new_;
  return p;
}

std::vector<std::string> trail(const Ruleset& ruleset, const Packet& p) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < p.trail.size; ++i) {
    const auto name = ruleset.counter(p.trail.counters[i]);
    names.push_back(std::string{name.chain} + "/" + std::string{name.rule});
  }
  return names;
}

Decision decide(const Ruleset& ruleset, Hook hook, Packet& packet) {
  return RuleLab{ruleset}.judge(hook, packet);
}

constexpr Decision kAccept{Decision::Kind::accept}, kDrop{Decision::Kind::drop};

}  // namespace

TEST_CASE("firewall: each match, positive, negative and negated") {
  using Change = void (*)(Packet&);
  constexpr Change same = [](Packet&) {};
  struct Case {
    const char* match;
    Change change;
    bool matches;
  };
  static constexpr Case kCases[] = {
      {R"("source": "192.168.0.0/24")", same, true},
      {R"("source": "192.168.1.0/24")", same, false},
      {R"("source": "!192.168.0.0/24")", same, false},
      {R"("source": "!192.168.1.0/24")", same, true},
      {R"("source": "192.168.0.7")", same, true},
      {R"("source": "2001:db8::/32")", same, false},
      {R"("source": "!2001:db8::/32")", same, false},
      {R"("source": "::/0")", same, false},
      {R"("source": "2001:db8::/32")",
       [](Packet& p) { p.tuple.source_address = ip("2001:db8::9"); }, true},
      {R"("source": "!192.168.0.0/24")",
       [](Packet& p) { p.tuple.source_address = ip("2001:db8::9"); }, false},
      {R"("destination": "198.51.100.0/24")", same, true},
      {R"("destination": "192.168.0.7")", same, false},
      {R"("destination": "!198.51.100.1")", same, false},
      {R"("destination": "!10.0.0.0/8")", same, true},
      {R"("protocol": "tcp")", same, true},
      {R"("protocol": "6")", same, true},
      {R"("protocol": "udp")", same, false},
      {R"("protocol": "!tcp")", same, false},
      {R"("protocol": "!udp")", same, true},
      {R"("protocol": "47")", [](Packet& p) { p.tuple.protocol = net::Protocol::gre; }, true},
      {R"("source_port": "4000")", same, true},
      {R"("source_port": 4000)", same, true},
      {R"("source_port": 80)", same, false},
      {R"("source_port": "4000-4001")", same, true},
      {R"("source_port": "3999-4000")", same, true},
      {R"("source_port": "4001-65535")", same, false},
      {R"("source_port": "!4000")", same, false},
      {R"("source_port": "!80")", same, true},
      {R"("destination_port": "80")", same, true},
      {R"("destination_port": "4000")", same, false},
      {R"("destination_port": ["22", "80-81", "443"])", same, true},
      {R"("destination_port": ["22", "443"])", same, false},
      {R"("destination_port": ["!22", "!443"])", same, true},
      {R"("destination_port": ["!22", "!80"])", same, false},
      {R"("destination_port": "80")", [](Packet& p) { p.tuple.protocol = net::Protocol::udp; },
       true},
      // An ICMP echo has its identifier in place of ports, and must not be taken for them.
      {R"("destination_port": "80")", [](Packet& p) { p.tuple.protocol = net::Protocol::icmp; },
       false},
      {R"("destination_port": "!22")", [](Packet& p) { p.tuple.protocol = net::Protocol::icmp; },
       false},
      {R"("source_port": "0-65535")", [](Packet& p) { p.tuple.protocol = net::Protocol::gre; },
       false},
      // Only the first fragment has ports.
      {R"("destination_port": "80")", [](Packet& p) { p.is_fragment = true; }, true},
      {R"("destination_port": "80")",
       [](Packet& p) {
         p.is_fragment = true;
         p.fragment_offset = 1480;
       },
       false},
      {R"("destination_port": "!22")",
       [](Packet& p) {
         p.is_fragment = true;
         p.fragment_offset = 8;
       },
       false},
      {R"("source_port": "0-65535")",
       [](Packet& p) {
         p.is_fragment = true;
         p.fragment_offset = 8;
       },
       false},
      {R"("in": "lan")", same, true},
      {R"("in": "wan")", same, false},
      {R"("in": "!lan")", same, false},
      {R"("in": "!wan")", same, true},
      {R"("in": "lan")", [](Packet& p) { p.from = Side::host; }, false},
      {R"("in": "!lan")", [](Packet& p) { p.from = Side::host; }, true},
      {R"("out": "wan")", same, true},
      {R"("out": "lan")", same, false},
      {R"("out": "!wan")", same, false},
      {R"("out": "!dmz")", same, true},
      {R"("state": "new")", same, true},
      {R"("state": "established")", same, false},
      {R"("state": ["established", "new"])", same, true},
      {R"("state": "!new")", same, false},
      {R"("state": ["!established", "!related"])", same, true},
      {R"("state": ["!established", "!new"])", same, false},
      {R"("state": "invalid")", [](Packet& p) { p.state = ConnState::invalid; }, true},
      {R"("state": "related")", [](Packet& p) { p.state = ConnState::related; }, true},
      {R"("state": "untracked")", [](Packet& p) { p.state = ConnState::untracked; }, true},
      {R"("mark": 5)", [](Packet& p) { p.mark = 5; }, true},
      {R"("mark": "0x5")", same, false},
      {R"("mark": "!5")", same, true},
      {R"("mark": "0x10/0xf0")", [](Packet& p) { p.mark = 0x715; }, true},
      {R"("mark": "!0x10/0xf0")", [](Packet& p) { p.mark = 0x715; }, false},
      {R"("connmark": "0")", same, true},  // no connection, no mark
      {R"("connmark": "!0/0xff")", same, false},
      // All of them must hold.
      {R"("source": "192.168.0.0/24", "destination_port": "80", "in": "lan")", same, true},
      {R"("source": "192.168.0.0/24", "destination_port": "81", "in": "lan")", same, false}};
  for (const Case& c : kCases) {
    CAPTURE(std::string{c.match});
    const std::string text =
        std::string{R"({"forward": {"rules": [{)"} + c.match + R"(, "action": "drop"}]}})";
    const Ruleset ruleset = rules(text.c_str());
    Packet p = packet();
    c.change(p);
    CHECK(decide(ruleset, Hook::forward, p) == (c.matches ? kDrop : kAccept));
  }
}

TEST_CASE("firewall: chains, jumps, returns, policies, and what they leave in the trail") {
  using Names = std::vector<std::string>;
  const Decision reject{Decision::Kind::reject};
  const Decision reset{Decision::Kind::reject, {RejectWith::Kind::tcp_reset}};
  struct Case {
    const char* name;
    const char* text;
    Decision decision;
    Names trail;
  };
  for (const Case& c : {
           Case{"an empty document accepts and counts nothing", "{}", kAccept, {}},
           Case{"an empty chain accepts and counts nothing", R"({"forward": {}})", kAccept, {}},
           Case{"a policy decides and counts",
                R"({"forward": {"policy": "drop"}})",
                kDrop,
                {"forward/policy"}},
           Case{"a policy that accepts counts behind rules",
                R"({"forward": {"rules": [{"state": "invalid", "action": "drop"}]}})",
                kAccept,
                {"forward/policy"}},
           Case{"the first rule that matches decides",
                R"({"forward": {"rules": [
                  {"id": "no", "protocol": "udp", "action": "reject"},
                  {"id": "first", "protocol": "tcp", "action": "drop"},
                  {"id": "second", "action": "accept"}]}})",
                kDrop,
                {"forward/first"}},
           Case{"rules without an id are called by chain and place",
                R"({"forward": {"rules": [{"protocol": "udp", "action": "drop"},
                                          {"action": "drop"}]}})",
                kDrop,
                {"forward/forward-2"}},
           Case{"reject says port unreachable",
                R"({"forward": {"rules": [{"action": "reject"}]}})",
                reject,
                {"forward/forward-1"}},
           Case{"reject with a reset",
                R"({"forward": {"rules": [
                  {"protocol": "tcp", "action": {"reject": "tcp_reset"}}]}})",
                reset,
                {"forward/forward-1"}},
           Case{"a jump that decides",
                R"({"forward": {"rules": [{"action": {"jump": "web"}}, {"action": "accept"}]},
                    "web": {"rules": [{"destination_port": 80, "action": "drop"}]}})",
                kDrop,
                {"forward/forward-1", "web/web-1"}},
           Case{"the end of a chain goes on behind the jump",
                R"({"web": {"rules": [{"destination_port": 443, "action": "accept"}]},
                    "forward": {"rules": [{"action": {"jump": "web"}}, {"action": "drop"}]}})",
                kDrop,
                {"forward/forward-1", "forward/forward-2"}},
           Case{"return goes on behind the jump",
                R"({"web": {"rules": [{"action": "return"}, {"action": "accept"}]},
                    "forward": {"rules": [{"action": {"jump": "web"}}, {"action": "drop"}]}})",
                kDrop,
                {"forward/forward-1", "web/web-1", "forward/forward-2"}},
           Case{"return in a built-in chain leaves it to the policy",
                R"({"forward": {"policy": "drop",
                                "rules": [{"action": "return"}, {"action": "accept"}]}})",
                kDrop,
                {"forward/forward-1", "forward/policy"}},
           Case{"a jump in a jump, met twice",
                R"({"a": {"rules": [{"action": {"jump": "b"}}]},
                    "b": {"rules": [{"protocol": "udp", "action": "accept"}]},
                    "forward": {"policy": "drop", "rules": [{"action": {"jump": "a"}},
                                                            {"action": {"jump": "b"}}]}})",
                kDrop,
                {"forward/forward-1", "a/a-1", "forward/forward-2", "forward/policy"}},
           Case{"other hooks are not asked",
                R"({"input": {"policy": "drop"}, "output": {"policy": "drop"},
                    "prerouting": {"policy": "drop"}, "postrouting": {"policy": "drop"}})",
                kAccept,
                {}},
       }) {
    CAPTURE(std::string{c.name});
    const Ruleset ruleset = rules(c.text);
    Packet p = packet();
    CHECK(decide(ruleset, Hook::forward, p) == c.decision);
    CHECK(trail(ruleset, p) == c.trail);
  }
}

TEST_CASE("firewall: every hook has its own chain") {
  for (std::size_t hook = 0; hook < kHookNames.size(); ++hook) {
    CAPTURE(kHookNames[hook]);
    const std::string text = "{\"" + std::string{kHookNames[hook]} + R"(": {"policy": "drop"}})";
    const Ruleset ruleset = rules(text.c_str());
    for (std::size_t other = 0; other < kHookNames.size(); ++other) {
      Packet p = packet();
      CHECK(decide(ruleset, static_cast<Hook>(other), p) == (other == hook ? kDrop : kAccept));
      CHECK(ruleset.is_empty(static_cast<Hook>(other)) == (other != hook));
    }
  }
}

TEST_CASE("firewall: a full trail says so, and the decision stands") {
  std::string text = R"({"forward": {"rules": [)";
  for (std::size_t i = 0; i <= Trail::kMost; ++i) text += R"({"action": {"jump": "empty"}},)";
  text += R"({"action": "drop"}]}, "empty": {}})";
  const Ruleset ruleset = rules(text.c_str());
  Packet p = packet();
  CHECK(decide(ruleset, Hook::forward, p) == kDrop);
  CHECK(p.trail.overflowed);
  CHECK(p.trail.size == Trail::kMost);
}

TEST_CASE("firewall: every rule and every policy in use has a counter of its own") {
  const Ruleset ruleset = rules(R"({"input": {}, "a": {"rules": [{"id": "x", "action": "drop"}]},
    "forward": {"rules": [{"id": "x", "action": "drop"}, {"action": {"jump": "a"}}]}})");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < ruleset.counters(); ++i) {
    const auto name = ruleset.counter(static_cast<CounterIndex>(i));
    names.push_back(std::string{name.chain} + "/" + std::string{name.rule});
  }
  CHECK(names ==
        std::vector<std::string>{"a/x", "forward/x", "forward/forward-2", "forward/policy"});
  for (const Chain& chain : ruleset.chains())
    for (const Rule& rule : chain.rules) CHECK(ruleset.counter(rule.counter).rule == rule.id);
}

TEST_CASE("firewall: bad documents are refused where they are wrong") {
  struct Case {
    const char* text;
    const char* pointer;
    const char* says;  // a part of the sentence
  };
  static constexpr Case kCases[] = {
      {R"([])", "/firewall", "must be an object in { }, and is a list"},
      {R"({"a/b": {}})", "/firewall/a~1b", "1 to 32 letters"},
      {R"({"": {}})", "/firewall/", "1 to 32 letters"},
      {R"({"a": []})", "/firewall/a", "must be an object"},
      {R"({"a": {"rule": []}})", "/firewall/a/rule", "known here: policy, rules"},
      {R"({"a": {"rules": [{"action": {"mark": 4294967296}}]}})", "/firewall/a/rules/0/action/mark",
       "4294967295"},
      {R"({"a": {"rules": [{"action": {"mark": "0x1ffffffff"}}]}})",
       "/firewall/a/rules/0/action/mark", "4294967295"},
      {R"({"a": {"rules": [{"action": {"mark": "0x10/0xf"}}]}})", "/firewall/a/rules/0/action/mark",
       "not in its mask"},
      {R"({"a": {"rules": [{"action": {"connmark": "keep"}}]}})",
       "/firewall/a/rules/0/action/connmark", "no number"},
      {R"({"a": {"rules": [{"helper": ["ftp", "gopher"], "action": "drop"}]}})",
       "/firewall/a/rules/0/helper/1", "\"gopher\" is no helper"},
      {R"({"a": {"rules": [{"helper": ["ftp", "!irc"], "action": "drop"}]}})",
       "/firewall/a/rules/0/helper/1", "some of the list are negated"},
      {R"({"a": {"rules": [{"mark": "1/", "action": "accept"}]}})", "/firewall/a/rules/0/mark",
       "no number"},
      {R"({"a": {"rules": [{"action": {"mark": 1, "connmark": 1}}]}})",
       "/firewall/a/rules/0/action", "one member"},
      {R"({"a": {"policy": "drop"}})", "/firewall/a/policy", "only the built-in chains"},
      {R"({"input": {"policy": "reject"}})", "/firewall/input/policy",
       "\"reject\" is none of: accept, drop"},
      {R"({"input": {"policy": 1}})", "/firewall/input/policy", "text in quotes"},
      {R"({"input": {"rules": {}}})", "/firewall/input/rules", "list in [ ]"},
      {R"({"input": {"rules": [1]}})", "/firewall/input/rules/0", "object in { }"},
      {R"({"input": {"rules": [{}]}})", "/firewall/input/rules/0", "\"action\" is missing"},
      {R"({"input": {"rules": [{"action": "accept"}, {"action": "ACCEPT"}]}})",
       "/firewall/input/rules/1/action", "accept, drop, reject, mirror, return"},
      {R"({"input": {"rules": [{"action": "accept", "sorce": "1.1.1.1"}]}})",
       "/firewall/input/rules/0/sorce", "known here: id, state, in, out, protocol"},
      {R"({"input": {"rules": [{"action": {}}]}})", "/firewall/input/rules/0/action", "one of"},
      {R"({"input": {"rules": [{"action": {"goto": "a"}}]}})",
       "/firewall/input/rules/0/action/goto", "reject, jump"},
      {R"({"a": {}, "input": {"rules": [{"action": {"jump": "a", "reject": "net"}}]}})",
       "/firewall/input/rules/0/action", "one of"},
      {R"({"input": {"rules": [{"action": {"jump": "a"}}]}})",
       "/firewall/input/rules/0/action/jump", "no chain \"a\""},
      {R"({"input": {"rules": [{"action": {"jump": "output"}}]}, "output": {}})",
       "/firewall/input/rules/0/action", "built in"},
      {R"({"input": {"rules": [{"action": {"reject": "rudely"}}]}})",
       "/firewall/input/rules/0/action/reject", "port_unreachable, host, net, protocol"},
      {R"({"input": {"rules": [{"action": {"reject": "tcp_reset"}}]}})",
       "/firewall/input/rules/0/action", "add \"protocol\": \"tcp\""},
      {R"({"input": {"rules": [{"protocol": "!tcp", "action": {"reject": "tcp_reset"}}]}})",
       "/firewall/input/rules/0/action", "answers TCP only"},
      {R"({"a": {"rules": [{"action": {"jump": "a"}}]}})", "/firewall/a/rules/0/action", "a loop"},
      {R"({"a": {"rules": [{"action": "drop"}, {"action": {"jump": "b"}}]},
               "b": {"rules": [{"action": {"jump": "a"}}]}})",
       "/firewall/b/rules/0/action", "a loop"},
      {R"({"input": {"rules": [{"id": "a b", "action": "drop"}]}})", "/firewall/input/rules/0/id",
       "1 to 64 letters"},
      {R"({"input": {"rules": [{"id": "", "action": "drop"}]}})", "/firewall/input/rules/0/id",
       "1 to 64 letters"},
      {R"({"input": {"rules": [{"id": "policy", "action": "drop"}]}})",
       "/firewall/input/rules/0/id", "chain's policy"},
      {R"({"input": {"rules": [{"id": "x", "action": "drop"}, {"id": "x", "action": "drop"}]}})",
       "/firewall/input/rules/1/id", "rules 1 and 2"},
      {R"({"input": {"rules": [{"id": "input-2", "action": "drop"}, {"action": "drop"}]}})",
       "/firewall/input/rules/0/id", "rules 1 and 2"},
      {R"({"input": {"rules": [{"comment": 5, "action": "drop"}]}})",
       "/firewall/input/rules/0/comment", "text in quotes, and is the number 5"},
      {R"({"input": {"rules": [{"source": "10.0.0.1/8", "action": "drop"}]}})",
       "/firewall/input/rules/0/source", "the network is 10.0.0.0/8"},
      {R"({"input": {"rules": [{"source": "10.0.0.0/33", "action": "drop"}]}})",
       "/firewall/input/rules/0/source", "no address or network"},
      {R"({"input": {"rules": [{"source": "!!10.0.0.0/8", "action": "drop"}]}})",
       "/firewall/input/rules/0/source", "no address or network"},
      {R"({"input": {"rules": [{"source": ["10.0.0.0/8"], "action": "drop"}]}})",
       "/firewall/input/rules/0/source", "text in quotes, and is a list"},
      {R"({"input": {"rules": [{"source": "10.0.0.0/8", "destination": "::/0",
                                      "action": "drop"}]}})",
       "/firewall/input/rules/0/destination", "another address family"},
      {R"({"input": {"rules": [{"protocol": "tpc", "action": "drop"}]}})",
       "/firewall/input/rules/0/protocol", "no protocol"},
      {R"({"input": {"rules": [{"protocol": "256", "action": "drop"}]}})",
       "/firewall/input/rules/0/protocol", "0 to 255"},
      {R"({"input": {"rules": [{"destination_port": "http", "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port", "no port or range"},
      {R"({"input": {"rules": [{"destination_port": "90-80", "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port", "no port or range"},
      {R"({"input": {"rules": [{"destination_port": 65536, "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port", "0 to 65535"},
      {R"({"input": {"rules": [{"destination_port": -1, "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port", "0 to 65535"},
      {R"({"input": {"rules": [{"destination_port": 8.5, "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port", "whole number"},
      {R"({"input": {"rules": [{"destination_port": [], "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port", "empty"},
      {R"({"input": {"rules": [{"destination_port": ["80", "!81"], "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port/1", "two rules"},
      {R"({"input": {"rules": [{"destination_port": ["80", "81-"], "action": "drop"}]}})",
       "/firewall/input/rules/0/destination_port/1", "no port or range"},
      {R"({"input": {"rules": [{"protocol": "icmp", "source_port": 1, "action": "drop"}]}})",
       "/firewall/input/rules/0/source_port", "only tcp and udp"},
      {R"({"input": {"rules": [{"state": "newish", "action": "drop"}]}})",
       "/firewall/input/rules/0/state", "new, established, related, invalid, untracked"},
      {R"({"input": {"rules": [{"state": ["new", "x"], "action": "drop"}]}})",
       "/firewall/input/rules/0/state/1", "none of"},
      {R"({"input": {"rules": [{"in": "eth0", "action": "drop"}]}})", "/firewall/input/rules/0/in",
       "no port \"eth0\""},
      {R"({"forward": {"rules": [{"out": "!", "action": "drop"}]}})",
       "/firewall/forward/rules/0/out", "no port"},
      // What a hook cannot know yet.
      {R"({"input": {"rules": [{"out": "wan", "action": "drop"}]}})", "/firewall/input/rules/0/out",
       "not known in chain \"input\""},
      {R"({"prerouting": {"rules": [{"out": "wan", "action": "drop"}]}})",
       "/firewall/prerouting/rules/0/out", "not known"},
      {R"({"output": {"rules": [{"protocol": "tcp", "in": "lan", "action": "drop"}]}})",
       "/firewall/output/rules/0/in", "not known in chain \"output\""},
      {R"({"a": {"rules": [{"action": "return"}, {"in": "lan", "action": "drop"}]},
               "output": {"rules": [{"action": {"jump": "b"}}]},
               "b": {"rules": [{"action": {"jump": "a"}}]}})",
       "/firewall/a/rules/1/in", "not known in chain \"output\""}};
  for (const Case& c : kCases) {
    CAPTURE(std::string{c.text});
    const Refusal refused = refusal(c.text);
    CAPTURE(refused.sentence);
    CHECK(refused.pointer == c.pointer);
    CHECK(refused.sentence.find(c.says) != std::string::npos);
  }
}

namespace {

// chain-0 jumps to chain-1 and so on; the last has no rules. In the order they are met or reversed.
std::string nest(std::size_t jumps, bool reversed) {
  Json document = Json::object();
  for (std::size_t i = 0; i <= jumps; ++i) {
    const std::size_t n = reversed ? jumps - i : i;
    Json chain = Json::object();
    if (n < jumps) chain["rules"] = {{{"action", {{"jump", "chain-" + std::to_string(n + 1)}}}}};
    document["chain-" + std::to_string(n)] = chain;
  }
  return document.dump();
}

}  // namespace

TEST_CASE("firewall: jumps nest so deep and no deeper, whatever the order of chains") {
  for (const bool reversed : {false, true}) {
    CAPTURE(reversed);
    CHECK(refusal(nest(kMaxJumps, reversed).c_str()).pointer == "accepted");
    const Refusal refused = refusal(nest(kMaxJumps + 1, reversed).c_str());
    CHECK(refused.sentence.find("flatten the chains") != std::string::npos);
    CHECK(refusal(nest(3000, reversed).c_str()).sentence == refused.sentence);
  }
}

TEST_CASE("firewall: build refuses jumps to chains that are not there") {
  Rule rule;
  rule.action = Jump{7};
  const auto built = Ruleset::build({Chain{"a", Policy::accept, {rule}}});
  REQUIRE(std::holds_alternative<BuildError>(built));
  CHECK(std::get<BuildError>(built).rule == 0);
}

TEST_CASE("firewall: what is written is read back to the same") {
  const Ruleset first = rules(R"({
    "forward": {"policy": "drop", "rules": [
      {"id": "est", "state": ["established", "related"], "action": "accept"},
      {"action": {"jump": "web"}, "destination_port": [80, "443", "8000-8080"], "comment": "w"},
      {"state": "!new", "in": "!lan", "out": "wan", "protocol": "!udp", "source": "!10.0.0.0/8",
       "destination": "192.0.2.1", "source_port": ["!1", "!2"], "action": "return"},
      {"protocol": "tcp", "action": {"reject": "tcp_reset"}},
      {"protocol": "132", "action": {"reject": "port_unreachable"}}]},
    "web": {"rules": [{"action": "accept"}]}, "output": {}})");
  const Json written = to_json(first, kRulePorts);
  CHECK(written == Json::parse(R"({
    "forward": {"policy": "drop", "rules": [
      {"id": "est", "state": ["established", "related"], "action": "accept"},
      {"id": "forward-2", "destination_port": ["80", "443", "8000-8080"],
       "action": {"jump": "web"}, "comment": "w"},
      {"id": "forward-3", "state": "!new", "in": "!lan", "out": "wan", "protocol": "!udp",
       "source": "!10.0.0.0/8", "destination": "192.0.2.1/32", "source_port": ["!1", "!2"],
       "action": "return"},
      {"id": "forward-4", "protocol": "tcp", "action": {"reject": "tcp_reset"}},
      {"id": "forward-5", "protocol": "sctp", "action": "reject"}]},
    "web": {"rules": [{"id": "web-1", "action": "accept"}]},
    "output": {"policy": "accept", "rules": []}})"));
  CHECK(to_json(rules(written.dump().c_str()), kRulePorts) == written);
}
