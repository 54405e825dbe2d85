// Unit tests of daemon/language/document.hpp: what old rule sets become decides as they did.

#include <doctest/doctest.h>

#include <random>

#include "daemon/language/document.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/rule_lab.hpp"

using namespace masqgate;
using namespace masqgate::language;
using namespace masqgate::test;
using firewall::Decision;
using firewall::Hook;

namespace {

using Lines = std::vector<std::string>;

const std::vector<PortNames> kPorts{
    {"lan", {"eth0"}, {*net::Prefix::parse("192.168.0.0/24")}},
    {"wan", {"eth1"}, {*net::Prefix::parse("203.0.113.0/24")}},
    {"dmz", {"eth2"}, {*net::Prefix::parse("192.168.1.0/24")}},
};
constexpr std::array<const char*, 3> kNics{"eth0", "eth1", "eth2"};

firewall::Ruleset ruleset(const json::Json& document) {
  return firewall::from_json(json::Value{document, "/firewall"}, kRulePorts);
}

template <typename Compile>
std::string mistake(Compile compile) {
  try {
    compile();
  } catch (const Mistake& mistake) {
    return mistake.sentence;
  }
  return "taken";
}

// Random rules and packets out of few values, so that many match.
class Dice {
 public:
  explicit Dice(unsigned seed) : random_{seed} {}
  bool one_in(unsigned n) { return random_() % n == 0; }
  template <typename T, std::size_t n>
  const T& of(const std::array<T, n>& all) {
    return all[random_() % n];
  }
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

  std::string bang() { return one_in(4) ? "! " : ""; }
  std::string rule(const std::vector<std::string>& targets) {
    static constexpr std::array<const char*, 5> kPlaces{"10.0.0.0/8", "192.168.0.0/24",
                                                        "192.168.0.5", "203.0.113.7", "0/0"};
    static constexpr std::array<const char*, 4> kSpans{"22", "20:25", "1024:", ":79"};
    std::string text;
    const unsigned kind = below(4);
    if (kind > 0) text += std::string{" -p "} + (kind == 1 ? "tcp" : kind == 2 ? "udp" : "icmp");
    // A "!" behind an address would turn its ports round.
    if (kind == 1 && one_in(3)) text += " " + bang() + "-y";
    const bool fragments = kind != 1 && one_in(5);
    if (fragments) text += " " + bang() + "-f";
    const auto side = [&](const char* option) {
      if (one_in(2)) return;
      text += std::string{" "} + option + " " + (one_in(4) ? "! " : "") +
              kPlaces[below(kPlaces.size() - 1)];
      if ((kind == 1 || kind == 2) && !fragments && one_in(2)) text += " " + bang() + of(kSpans);
      if (kind == 3 && !fragments && one_in(2) && option[1] == 's') text += " 8";
    };
    side("-s");
    side("-d");
    if (one_in(3)) text += " -i " + bang() + of(kNics);
    if (one_in(5)) text += " -l";
    if (!one_in(6)) text += " -j " + targets[below(static_cast<unsigned>(targets.size()))];
    return text;
  }

 private:
  std::mt19937 random_;
};

Ipchains random_rules(Dice& dice) {
  Lines lines{":input " + std::string{dice.one_in(2) ? "ACCEPT" : "DENY"},
              ":forward " + std::string{dice.one_in(2) ? "ACCEPT" : "REJECT"},
              ":output " + std::string{dice.one_in(2) ? "ACCEPT" : "DENY"}, ":one -", ":two -"};
  const std::vector<std::string> ends{"ACCEPT", "DENY", "REJECT", "RETURN"};
  std::vector<std::string> low = ends, high = ends;
  low.push_back("two");
  high.insert(high.end(), {"one", "two"});
  for (int i = 0; i < 4; ++i) {
    lines.push_back("-A two" + dice.rule(ends));
    lines.push_back("-A one" + dice.rule(low));
  }
  for (const char* chain : {"input", "forward", "output"})
    for (int i = 0; i < 5; ++i) lines.push_back(std::string{"-A "} + chain + dice.rule(high));
  return read_ipchains(lines);
}

// The same packet for both.
struct Twin {
  FramePool pool{2};
  Packet packet;
  IpchainsPacket old;

  Twin(Dice& dice, Hook hook) {
    static constexpr std::array<const char*, 4> kHosts{"10.1.2.3", "192.168.0.5", "192.168.0.6",
                                                       "203.0.113.7"};
    static constexpr std::array<net::Port, 4> kNumbers{22, 24, 79, 2000};
    const std::string from = dice.of(kHosts), to = dice.of(kHosts);
    const net::Port source = dice.of(kNumbers), destination = dice.of(kNumbers);
    const unsigned kind = dice.below(3);
    const bool syn = kind == 0 && dice.one_in(2);
    auto builder = kind == 0 ? tcp().flags(syn ? "S" : "A") : kind == 1 ? udp() : icmp_echo(7, 1);
    if (kind == 2)
      builder.from(from).to(to);
    else
      builder.from(from, source).to(to, destination);
    packet.frame = pool.take();
    builder.fill(packet.frame);
    REQUIRE_FALSE(parse(packet));
    const bool fragment = dice.one_in(6);
    if (fragment) packet.fragment_offset = 8;
    packet.is_fragment = fragment;
    packet.ingress = static_cast<PortIndex>(dice.below(3));
    packet.egress = hook == Hook::prerouting ? kNoPort : static_cast<PortIndex>(dice.below(3));
    const PortIndex port = hook == Hook::prerouting ? packet.ingress : packet.egress;
    old = {packet.tuple.source_address,
           packet.tuple.destination_address,
           packet.tuple.protocol,
           kNics[port],
           kind == 2 ? net::Port{8} : source,
           kind == 2 ? net::Port{0} : destination,
           syn,
           fragment};
  }
};

std::string verdict(const Decision& decision) {
  if (decision.kind == Decision::Kind::accept) return "ACCEPT";
  return decision.kind == Decision::Kind::drop ? "DENY" : "REJECT";
}

}  // namespace

TEST_CASE("F6 ipchains: random rule sets decide about random packets as Linux 2.2 did") {
  Dice dice{4};
  int decided = 0;
  for (int round = 0; round < 150; ++round) {
    Ipchains rules;
    Document document;
    const std::string refused = mistake([&] {
      rules = random_rules(dice);
      document = ipchains_document(rules, kPorts);
    });
    REQUIRE(refused == "taken");
    RuleLab lab{ruleset(document.firewall)};
    for (int i = 0; i < 60; ++i)
      for (const auto& [chain, hook] : {std::pair{"input", Hook::prerouting},
                                        {"forward", Hook::forward},
                                        {"output", Hook::leaving}}) {
        Twin twin{dice, hook};
        const std::string expected = judge(rules, chain, twin.old);
        decided += expected != rules.find(chain)->policy ? 1 : 0;
        const std::string got = verdict(lab.judge(hook, twin.packet));
        if (got == expected) continue;
        std::string all;
        for (const std::string& line : write_ipchains(rules)) all += line + "\n";
        FAIL(chain << ": " << got << " instead of " << expected << "\n"
                   << twin.old.source.text() << " -> " << twin.old.destination.text() << " "
                   << twin.old.interface << "\n"
                   << all << document.firewall.dump(1));
      }
  }
  CHECK(decided > 5000);  // not by the policies alone
}

TEST_CASE("F6 ipchains: MASQ and REDIRECT become rules of translation, in their order") {
  const auto nat = [](const Lines& lines) {
    return ipchains_document(read_ipchains(lines), kPorts).nat.dump();
  };
  CHECK(nat({"-A forward -s 192.168.0.0/24 -d 10.0.0.0/8 -j ACCEPT",
             "-A forward -i eth1 -s 192.168.0.0/24 -j MASQ"}) ==
        R"([{"exclude":"lan","source":"192.168.0.0/24","destination":"10.0.0.0/8"},)"
        R"({"exclude":"wan","source":"192.168.0.0/24","destination":"10.0.0.0/8"},)"
        R"({"exclude":"dmz","source":"192.168.0.0/24","destination":"10.0.0.0/8"},)"
        R"({"masquerade":"wan","source":"192.168.0.0/24","profile":"classic-2.2"}])");
  // A network is not masqueraded towards itself.
  CHECK(nat({"-A forward -s 192.168.0.0/24 -j MASQ"}) ==
        R"([{"masquerade":"wan","source":"192.168.0.0/24","profile":"classic-2.2"},)"
        R"({"masquerade":"dmz","source":"192.168.0.0/24","profile":"classic-2.2"}])");
  CHECK(nat({"-A input -i eth0 -p tcp -d 0/0 80 -j REDIRECT 3128"}) ==
        R"([{"redirect":"lan","source":"0.0.0.0/0","protocol":"tcp","destination_port":"80",)"
        R"("to_port":"3128"}])");
}

TEST_CASE("F6 ipchains: what cannot be said is refused with chain and number") {
  struct Case {
    Lines lines;
    std::string_view words;
  };
  for (const Case& c : {
           Case{{"-A input -i eth7 -j DENY"},
                "chain input, rule 1: there is no port or NIC `eth7'"},
           Case{{"-A input -j DENY", "-A input -m +1"}, "chain input, rule 2: -m adds to a mark"},
           Case{{":mine -", "-A mine -j MASQ"}, "chain mine: MASQ in a chain of one's own"},
           Case{{"-A forward -s ! 10.0.0.0/8 -j MASQ"},
                "chain forward, rule 1: what is masqueraded"},
           Case{{":mine -", "-A mine -j ACCEPT", "-A forward -j mine", "-A forward -j MASQ"},
                "chain forward, rule 1: what chain mine accepts"},
       }) {
    const std::string got = mistake([&] { ipchains_document(read_ipchains(c.lines), kPorts); });
    CAPTURE(got);
    CHECK(got.find(c.words) != got.npos);
  }
}

TEST_CASE("F6 iptables: tables become chains and rules of translation") {
  const Lines lines{"*mangle",
                    ":PREROUTING ACCEPT [0:0]",
                    "-A FORWARD -p tcp --dport 22 -j TOS --set-tos 16",
                    "COMMIT",
                    "*nat",
                    "-A PREROUTING -i eth1 -p tcp --dport 8080 -j DNAT --to 192.168.0.5:80",
                    "-A POSTROUTING -o eth1 -j MASQUERADE",
                    "COMMIT",
                    "*filter",
                    ":FORWARD DROP [0:0]",
                    ":mine - [0:0]",
                    "-A FORWARD -m state --state ESTABLISHED,RELATED -j ACCEPT",
                    "-A FORWARD -i eth0 -j mine",
                    "-A mine -p tcp --syn -m limit --limit 3/minute -j LOG",
                    "-A mine -j ACCEPT",
                    "COMMIT"};
  const Document document = iptables_document(read_iptables(lines), kPorts);
  CHECK(document.firewall["forward"].dump() ==
        R"({"policy":"drop","rules":[{"id":"mangle","action":{"jump":"mangle-FORWARD"}},)"
        R"({"id":"1","state":["related","established"],"action":"accept"},)"
        R"({"id":"2","in":"lan","action":{"jump":"filter-mine"}}]})");
  CHECK(
      document.nat.dump() ==
      R"([{"dnat":"wan","to":"192.168.0.5","to_port":"80","source":"0.0.0.0/0","protocol":"tcp",)"
      R"("destination_port":"8080"},{"masquerade":"wan","profile":"linux","source":"0.0.0.0/0"}])");
  REQUIRE(document.origins.size() == document.nat.size());
  CHECK(document.origins[0].chain == "PREROUTING");
  CHECK(document.origins[1].chain == "POSTROUTING");
  CHECK(document.origins[1].rule == 1);
  CHECK(ruleset(document.firewall).chains().size() == document.firewall.size());
}

TEST_CASE("F6 iptables: what cannot be said is refused with table, chain and number") {
  struct Case {
    Lines lines;
    std::string_view words;
  };
  for (const Case& c : {
           Case{{"*filter", "-A INPUT -i eth7 -j DROP", "COMMIT"},
                "table filter, chain INPUT, rule 1: there is no port or NIC `eth7'"},
           Case{{"*nat", "-A POSTROUTING -s ! 10.0.0.0/8 -j MASQUERADE", "COMMIT"},
                "table nat, chain POSTROUTING, rule 1: what is translated"},
           Case{{"*nat", ":mine - [0:0]", "-A PREROUTING -j mine", "COMMIT"},
                "chains of one's own in nat"},
       }) {
    const std::string got = mistake([&] { iptables_document(read_iptables(c.lines), kPorts); });
    CAPTURE(got);
    CHECK(got.find(c.words) != got.npos);
  }
}

TEST_CASE("F6: what cannot be said is found in its line, of saved rules and of scripts") {
  const Lines saved{"# mine",
                    "*filter",
                    ":INPUT DROP [0:0]",
                    "-A INPUT -j ACCEPT",
                    "[1:60] -A FORWARD -j DROP",
                    "-A INPUT -j DROP",
                    "COMMIT",
                    "*nat",
                    "-A POSTROUTING -j ACCEPT",
                    "COMMIT",
                    "iptables -A INPUT -s 10.0.0.1 -j DROP"};
  const Lines old{":input DENY", "ipchains -A input -b -p tcp -s 10.0.0.1 80 -j DENY",
                  "-A output -j DENY", "-A input -j ACCEPT"};
  const Lines inserted{"-A input -j DENY", "-I input 1 -j ACCEPT", "-A input -j DENY"};
  struct Row {
    const Lines& lines;
    RulePlace place;
    std::size_t line;
  };
  for (const Row& row :
       {Row{saved, {"filter", "INPUT", 1}, 4}, Row{saved, {"filter", "INPUT", 2}, 6},
        Row{saved, {"filter", "FORWARD", 1}, 5}, Row{saved, {"filter", "INPUT", 3}, 11},
        Row{saved, {"nat", "POSTROUTING", 1}, 9}, Row{saved, {"nat", "INPUT", 1}, 0},
        Row{old, {"", "input", 1}, 2}, Row{old, {"", "input", 2}, 2}, Row{old, {"", "input", 3}, 4},
        Row{old, {"", "output", 1}, 3}, Row{inserted, {"", "input", 2}, 0}}) {
    CAPTURE(row.place.text());
    CHECK(line_of(row.lines, row.place) == row.line);
    if (row.line == 0 || (row.place.rule == 2 && &row.lines == &old)) continue;
    CHECK(place_of(row.lines, row.line).text() == row.place.text());
  }
  CHECK(place_of(saved, 1).rule == 0);
  CHECK(place_of(saved, 99).rule == 0);
}
