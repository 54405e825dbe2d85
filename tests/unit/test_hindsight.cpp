// Unit tests of rules in hindsight: connections judged by what is left of their first packets.

#include <doctest/doctest.h>

#include "daemon/base/random.hpp"
#include "daemon/firewall/hindsight.hpp"
#include "tests/support/rule_lab.hpp"

using namespace masqgate;
using namespace masqgate::firewall;
using namespace masqgate::test;

namespace {

// A TCP connection's first packet from lan to wan, as far as the connection shows it.
Packet first_packet() {
  Packet p;
  p.tuple = {*net::IpAddress::parse("192.168.1.10"), *net::IpAddress::parse("198.51.100.1"), 4000,
             80, net::Protocol::tcp};
  p.ingress = 0;
  p.egress = 1;
  p.state = ConnState::new_;
  p.tcp_flags.bits = wire::TcpFlags::kSyn;
  return p;
}

struct Outcome {
  bool refused = false;
  std::string by;
};

Outcome reconsider(RuleLab& lab, Packet packet = first_packet()) {
  Hindsight hindsight;
  lab.ruleset().reconsider(Hook::forward, packet, lab.memory, hindsight);
  if (!hindsight.refused) return {};
  const auto name = lab.ruleset().counter(hindsight.by);
  return {true, std::string{name.chain} + "/" + std::string{name.rule}};
}

// Rules of forward, each by its number; policy drop or accept.
std::string forward(const std::string& rules, const char* policy = "accept") {
  return std::string{
             R"({"own": {"rules": [{"id": "own", "destination_port": 80, "action": "drop"}]},)"} +
         R"("forward": {"policy": ")" + policy + R"(", "rules": [)" + rules + "]}}";
}

}  // namespace

TEST_CASE("F7 rejudge: what a connection shows is judged as its first packet was") {
  struct Row {
    const char* rules;
    const char* policy;
    const char* by;  // empty: it stays
  };
  for (
      const Row& row :
      {Row{"", "accept", ""}, Row{"", "drop", "forward/policy"},
       Row{R"({"id": "r", "destination_port": 80, "action": "drop"})", "accept", "forward/r"},
       Row{R"({"id": "r", "destination_port": 81, "action": "drop"})", "accept", ""},
       Row{R"({"id": "r", "source": "192.168.1.0/24", "action": "accept"})", "drop", ""},
       Row{R"({"id": "r", "in": "lan", "out": "wan", "action": "reject"})", "accept", "forward/r"},
       Row{R"({"id": "r", "state": ["established"], "action": "accept"})", "drop",
           "forward/policy"},
       Row{R"({"id": "r", "state": ["new"], "action": "mirror"})", "accept", "forward/r"},
       Row{R"({"id": "r", "action": {"jump": "own"}})", "accept", "own/own"},
       Row{R"({"id": "r", "action": "return"}, {"action": "drop"})", "accept", ""},
       Row{R"({"id": "m", "action": {"mark": 5}}, {"id": "r", "mark": 5, "action": "drop"})",
           "accept", "forward/r"},
       Row{R"({"id": "r", "protocol": "tcp", "tcp_flags": "syn/syn,ack,rst,fin", "action": "drop"})",
           "accept", "forward/r"},
       Row{R"({"id": "r", "protocol": "tcp", "tcp_flags": "!syn/syn,ack", "action": "drop"})",
           "accept", ""},
       Row{R"({"id": "r", "fragment": true, "action": "drop"})", "accept", ""},
       Row{R"({"id": "r", "action": "log"}, {"id": "s", "action": {"divert": 7}})", "accept",
           ""}}) {
    CAPTURE(std::string{row.rules});
    RuleLab lab{forward(row.rules, row.policy)};
    const Outcome outcome = reconsider(lab);
    CHECK(outcome.by == row.by);
    CHECK(outcome.refused == (std::string{row.by} != ""));
  }
}

TEST_CASE("F7 rejudge: in doubt rules count where they accept, and not where they refuse") {
  const std::string kDoubts[] = {R"("length": "0-100")",
                                 R"("ttl": 1)",
                                 R"("tos": 8)",
                                 R"("dscp": 3)",
                                 R"("unclean": true)",
                                 R"("limit": "1/hour")",
                                 R"("limit": "!1/hour")",
                                 R"("source_limit": {"rate": "1/hour"})",
                                 R"("quota": 10)",
                                 R"("connections": {"above": 5})",
                                 R"("port_scan": true)",
                                 R"("source_mac": "02:00:00:00:00:05")",
                                 R"("protocol": "tcp", "tcp_mss": "0-5")",
                                 R"("protocol": "tcp", "tcp_flags": "psh/psh")"};
  for (const std::string& doubt : kDoubts) {
    CAPTURE(doubt);
    const auto rule = [&](const char* action) {
      return R"({"id": "r", )" + doubt + R"(, "action": )" + action + "}";
    };
    RuleLab drops{forward(rule("\"drop\""))}, accepts{forward(rule("\"accept\""), "drop")};
    CHECK_FALSE(reconsider(drops).refused);
    CHECK_FALSE(reconsider(accepts).refused);
    // Whatever the answer, what surely does not match does not count.
    RuleLab other{forward(
        R"({"id": "r", "destination_port": 81, )" + doubt + R"(, "action": "accept"})", "drop")};
    CHECK(reconsider(other).by == "forward/policy");
    RuleLab jumps{forward(rule(R"({"jump": "own"})"))},
        jumps_first{forward(rule(R"({"jump": "own"})"), "drop")};
    CHECK_FALSE(reconsider(jumps).refused);
    CHECK(reconsider(jumps_first).by == "forward/policy");
    RuleLab returns{forward(rule("\"return\"") + R"(, {"id": "s", "action": "drop"})")};
    CHECK_FALSE(reconsider(returns).refused);
    RuleLab marks{
        forward(rule(R"({"mark": 5})") + R"(, {"id": "s", "mark": "!5", "action": "drop"})")};
    CHECK_FALSE(reconsider(marks).refused);
  }
  // A handshake that nobody saw may have begun with anything.
  Packet picked_up = first_packet();
  picked_up.tcp_flags.bits = 0;
  RuleLab syn{
      forward(R"({"protocol": "tcp", "tcp_flags": "syn/syn,ack,rst,fin", "action": "drop"})")};
  CHECK_FALSE(reconsider(syn, std::move(picked_up)).refused);
  Packet ping = first_packet();
  ping.tuple.protocol = net::Protocol::icmp;
  RuleLab echo{forward(R"({"protocol": "icmp", "icmp_type": 8, "action": "drop"})")};
  CHECK_FALSE(reconsider(echo, std::move(ping)).refused);
}

TEST_CASE("F7 rejudge: nothing is counted, logged or used up") {
  RuleLab lab{
      forward(R"({"id": "l", "action": "log"}, {"id": "q", "quota": 10, "action": "continue"},
    {"id": "b", "limit": {"rate": "1/hour", "burst": 1}, "action": "accept"})",
              "drop")};
  for (int i = 0; i < 10; ++i) CHECK_FALSE(reconsider(lab).refused);
  Packet packet = first_packet();
  Hindsight hindsight;
  lab.ruleset().reconsider(Hook::forward, packet, lab.memory, hindsight);
  CHECK(packet.trail.size == 0);
  CHECK(hindsight.asked == 3);
  std::uint64_t left_out = 0;
  CHECK(lab.memory.log.take(left_out).empty());
  CHECK(left_out == 0);
}

namespace {

// Up to eight rules ask for a bit of the type of service each, which a connection does not show.
class RandomChains {
 public:
  explicit RandomChains(Random& random, bool marks) : random_{random}, marks_{marks} {}

  std::vector<Chain> make() {
    const Policy policy = random_.below(2) == 0 ? Policy::accept : Policy::drop;
    std::vector<Chain> chains{{"forward", policy, {}}, {"own", Policy::accept, {}}};
    for (std::size_t c = 0; c < chains.size(); ++c)
      for (std::size_t i = 1 + random_.below(7); i > 0; --i) chains[c].rules.push_back(rule(c));
    return chains;
  }

 private:
  Rule rule(std::size_t chain) {
    Rule rule;
    rule.id = std::to_string(number_++);
    if (marks_ && random_.below(3) == 0)
      rule.matches.emplace_back(MarkMatch{{1, 1}, random_.below(2) == 0});
    if (random_.below(3) == 0) {
      const auto port = static_cast<net::Port>(79 + random_.below(3));
      rule.matches.emplace_back(DestinationPortMatch{{{port, port}}, random_.below(2) == 0});
    }
    if (bit_ < 8 && random_.below(2) == 0) {
      const auto bit = static_cast<std::uint8_t>(1u << bit_++);
      rule.matches.emplace_back(TosMatch{bit, bit, random_.below(2) == 0});
    }
    rule.action = action(chain);
    return rule;
  }

  Action action(std::size_t chain) {
    switch (random_.below(6)) {
      case 0:
        return Accept{};
      case 1:
        return Drop{};
      case 2:
        return Return{};
      case 3:
        if (chain == 0 && !jumped_) {
          jumped_ = !marks_;  // the same question twice has the same answer twice
          return Jump{1};
        }
        return Continue{};
      case 4:
        if (marks_) return SetMark{{random_.below(2), 1}};
        return Continue{};
      default:
        return Continue{};
    }
  }

  Random& random_;
  bool marks_;
  bool jumped_ = false;
  unsigned bit_ = 0, number_ = 0;
};

// What all packets would meet that this connection may have begun with.
bool always_refused(RuleLab& lab) {
  for (unsigned tos = 0; tos < 256; ++tos) {
    Packet packet = first_packet();
    packet.tos = static_cast<std::uint8_t>(tos);
    if (lab.judge(Hook::forward, packet).kind == Decision::Kind::accept) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("F7 rejudge: refused is what every packet would be that it may have begun with") {
  Random random{{7, 8}};
  int refused = 0, stays = 0;
  for (int round = 0; round < 3000; ++round) {
    CAPTURE(round);
    const bool marks = round % 3 == 0;
    RuleLab lab{std::get<Ruleset>(Ruleset::build(RandomChains{random, marks}.make()))};
    const bool hindsight = reconsider(lab).refused;
    const bool truth = always_refused(lab);
    // Doubtful marks make it milder than it need be, never harder.
    if (marks)
      REQUIRE((truth || !hindsight));
    else
      REQUIRE(hindsight == truth);
    ++(hindsight ? refused : stays);
  }
  CHECK(refused > 300);
  CHECK(stays > 300);
}
