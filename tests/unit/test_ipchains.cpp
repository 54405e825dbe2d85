// Unit tests of daemon/language: what ipchains took, refused, did, printed and decided (history 3).

#include <doctest/doctest.h>

#include <map>

#include "daemon/language/ipchains.hpp"

using namespace masqgate;
using namespace masqgate::language;

namespace {

struct Book final : Names {
  std::optional<net::IpAddress> address(std::string_view name) const override {
    if (name == "gate.example") return net::IpAddress::parse("203.0.113.7");
    return std::nullopt;
  }
  std::optional<net::Port> service(std::string_view name, net::Protocol) const override {
    const std::map<std::string_view, net::Port> known{{"www", 80}, {"telnet", 23}, {"domain", 53}};
    const auto found = known.find(name);
    return found == known.end() ? std::nullopt : std::optional{found->second};
  }
  std::string host(net::IpAddress address) const override {
    return address.text() == "203.0.113.7" ? "gate.example" : "";
  }
  std::string service(net::Port port, net::Protocol) const override {
    return port == 80 ? "www" : port == 23 ? "telnet" : "";
  }
};
const Book book;

struct Ran {
  int status = 0;
  std::string sentence;
  IpchainsOutcome outcome;
};

struct Lab {
  Ipchains rules;
  Ran run(std::string_view line, const Counts& counts = {}) {
    const auto words = split(line);
    try {
      return {0, "", run_ipchains(rules, words, book, counts)};
    } catch (const Mistake& mistake) {
      return {mistake.status, mistake.sentence, {}};
    }
  }
  // The one rule that the words make.
  std::string rule(std::string_view words) {
    const Ran ran = run("-A input " + std::string{words});
    CAPTURE(ran.sentence);
    REQUIRE(ran.status == 0);
    return rule_words(rules.find("input")->rules.back());
  }
};

}  // namespace

TEST_CASE("F6 ipchains: words of a rule, and the same rule as ipchains-save writes it") {
  struct Case {
    const char* words;
    const char* saved;
  };
  constexpr const char* kAll = "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0";
  for (const Case& c : {
           Case{"-j ACCEPT", "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -j ACCEPT"},
           Case{"-p tcp -s 192.168.0.0/24 -d 0/0 www -i eth0 -j DENY -l",
                "-s 192.168.0.0/255.255.255.0 -d 0.0.0.0/0.0.0.0 80:80 -i eth0 -p 6 -j DENY -l"},
           Case{"-s ! 10.0.0.1 -j REJECT",
                "-s ! 10.0.0.1/255.255.255.255 -d 0.0.0.0/0.0.0.0 -j REJECT"},
           Case{"-p tcp -s 0/0 ! 1024: -d gate.example 23 -y -j DENY",
                "-s 0.0.0.0/0.0.0.0 ! 1024:65535 -d 203.0.113.7/255.255.255.255 23:23 -p 6 -j DENY "
                "-y"},
           Case{"-p tcp ! -y -j ACCEPT",
                "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -p 6 -j ACCEPT ! -y"},
           Case{"! -f -j ACCEPT", "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -j ACCEPT ! -f"},
           Case{"-i ! ppp+ -j DENY", "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -i ! ppp+ -j DENY"},
           Case{"-p icmp --icmp-type host-unreachable -j ACCEPT",
                "-s 0.0.0.0/0.0.0.0 3:3 -d 0.0.0.0/0.0.0.0 1:1 -p 1 -j ACCEPT"},
           Case{"-p icmp -s 0/0 ping -j ACCEPT",
                "-s 0.0.0.0/0.0.0.0 8:8 -d 0.0.0.0/0.0.0.0 -p 1 -j ACCEPT"},
           Case{"-p icmp -s 0/0 3 -d 0/0 4 -j ACCEPT",
                "-s 0.0.0.0/0.0.0.0 3:3 -d 0.0.0.0/0.0.0.0 4:4 -p 1 -j ACCEPT"},
           Case{"-p udp --dport domain -m 3",
                "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 53:53 -p 17 -m 0x3"},
           Case{"-m +7", "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -m +7"},
           Case{"-m -1", "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -m +4294967295"},
           Case{"-t 0x01 0x10 -j ACCEPT",
                "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -j ACCEPT -t 0x01 0x10"},
           Case{"-p tcp -d 0/0 80 -j REDIRECT 3128",
                "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 80:80 -p 6 -j REDIRECT 3128"},
           Case{"-p ! tcp -j DENY", "-s 0.0.0.0/0.0.0.0 -d 0.0.0.0/0.0.0.0 -p ! 6 -j DENY"},
           Case{"-s 192.168.0.0/255.255.0.0 -ly -p tcp",
                "-s 192.168.0.0/255.255.0.0 -d 0.0.0.0/0.0.0.0 -p 6 -l -y"},
       }) {
    CAPTURE(c.words);
    Lab lab;
    const std::string saved = lab.rule(c.words);
    CHECK(saved == c.saved);
    CHECK(lab.rule(saved) == saved);
  }
  CHECK(Lab{}.rule("").starts_with(kAll));
}

TEST_CASE("F6 ipchains: what is refused, with the status of old and a sentence") {
  struct Case {
    const char* line;
    int status;
    const char* sentence;
  };
  for (const Case& c : {
           Case{"-A nowhere -j ACCEPT", 1, "No chain by that name"},
           Case{"-A input -j nowhere", 1, "No target by that name"},
           Case{"-A input -j forward", 1, "No target by that name"},
           Case{"-A input -j MASQ", 1, "MASQ is for chain forward"},
           Case{"-A forward -j REDIRECT", 1, "REDIRECT is for chain input"},
           Case{"-N input", 1, "Chain already exists"},
           Case{"-N ninechars", 2, "too long"},
           Case{"-N a/b", 2, "letters, digits"},
           Case{"-X input", 1, "Can't delete built-in chain"},
           Case{"-P input MASQ", 1, "Bad policy name"},
           Case{"-P input RETURN", 1, "Bad policy name"},
           Case{"-D input 2", 1, "Index of deletion too big"},
           Case{"-D input 0", 2, "invalid rule number"},
           Case{"-D input -j DENY", 1, "Bad rule"},
           Case{"-R input 9 -j DENY", 1, "Index of replacement too big"},
           Case{"-I input 9 -j DENY", 1, "Index of insertion too big"},
           Case{"-A input -s nohost -j DENY", 2, "host/network `nohost' not found"},
           Case{"-A input -s 1.2.3.4/33 -j DENY", 2, "invalid mask"},
           Case{"-A input -s 1.2.3.4/255.0.255.0 -j DENY", 2, "has holes"},
           Case{"-A input -d 0/0 80 -j DENY", 2, "can only specify ports for icmp, tcp or udp"},
           Case{"-A input -p ! tcp -d 0/0 80", 2, "can only specify ports"},
           Case{"-A input -p tcp -d 0/0 90:80", 2, "min > max"},
           Case{"-A input -p tcp -d 0/0 65536", 2, "invalid port/service"},
           Case{"-A input -p nothing", 2, "unknown protocol"},
           Case{"-A input -y", 2, "can only use -y with TCP protocol"},
           Case{"-A input -p tcp -y -f", 2, "only the first fragment"},
           Case{"-A input -o", 2, "netlink device"},
           Case{"-A input -t 00 00", 2, "lowest bit"},
           Case{"-A input -t 0x1FF 0", 2, "invalid TOS mask"},
           Case{"-A input -m x", 2, "invalid mark value"},
           Case{"-A input -p icmp -b --icmp-type ping", 2, "can't use -b"},
           Case{"-A input -j REDIRECT 80", 2, "REDIRECT needs"},
           Case{"-A input -F", 2, "can't use -F with -A"},
           Case{"-A", 2, "a chain is missing"},
           Case{"-A input -s", 2, "an address is missing"},
           Case{"-A input -q", 2, "unknown option `-q'"},
           Case{"-A input extra", 2, "unknown option `extra'"},
           Case{"-F input -j DENY", 2, "-F takes no rule"},
           Case{"-S 1 2 3", 2, "-S goes with -M"},
           Case{"-M -A input", 2, "-M goes with -L or with -S"},
           Case{"-C input -p tcp -s 1.2.3.4 80 -d 1.2.3.5 90", 2, "-C needs"},
           Case{"", 2, "no command specified"},
       }) {
    CAPTURE(c.line);
    Lab lab;
    lab.run("-A input -j ACCEPT");
    const Ipchains before = lab.rules;
    const Ran ran = lab.run(c.line);
    CHECK(ran.status == c.status);
    CHECK(ran.sentence.find(c.sentence) != std::string::npos);
    CHECK(lab.rules == before);
  }
}

TEST_CASE("F6 ipchains: append, insert, replace, delete, flush, and chains of one's own") {
  Lab lab;
  const auto targets = [&](std::string_view chain) {
    std::string text;
    for (const auto& rule : lab.rules.find(chain)->rules) text += rule.target + " ";
    return text;
  };
  for (const char* line : {"-N ppp-in", "-A input -j ppp-in", "-A input -j DENY",
                           "-I input -j ACCEPT", "-I input 2 -j REJECT", "-R input 4 -j RETURN"})
    REQUIRE(lab.run(line).status == 0);
  CHECK(targets("input") == "ACCEPT REJECT ppp-in RETURN ");
  CHECK(lab.rules.references("ppp-in") == 1);
  CHECK(lab.run("-X ppp-in").sentence == "Can't delete chain with references left");
  CHECK(lab.run("-D input -j ppp-in -m 7").status == 0);  // a mark is not compared
  CHECK(lab.run("-A ppp-in -j DENY").status == 0);
  CHECK(lab.run("-X ppp-in").sentence == "Chain is not empty");
  CHECK(lab.run("-X").sentence == "Chain is not empty");
  CHECK(lab.run("-F ppp-in").status == 0);
  CHECK(lab.run("-X").status == 0);
  CHECK(lab.rules.find("ppp-in") == nullptr);
  CHECK(lab.run("-D input 1").status == 0);
  CHECK(targets("input") == "REJECT RETURN ");
  CHECK(lab.run("-F").status == 0);
  CHECK(targets("input").empty());
}

TEST_CASE("F6 ipchains: -b makes the second rule the other way round, and takes both away") {
  Lab lab;
  const std::string rule = "-p tcp -s 10.0.0.0/8 ! 80 -d 1.2.3.4 90 -j DENY -b";
  CHECK(lab.run("-A input -j ACCEPT").status == 0);
  CHECK(lab.run("-I input " + rule).status == 0);
  REQUIRE(lab.rules.find("input")->rules.size() == 3);
  CHECK(rule_words(lab.rules.find("input")->rules[1]) ==
        "-s 1.2.3.4/255.255.255.255 90:90 -d 10.0.0.0/255.0.0.0 ! 80:80 -p 6 -j DENY");
  CHECK(lab.run("-D input " + rule).status == 0);
  CHECK(lab.rules.find("input")->rules.size() == 1);
}

TEST_CASE("F6 ipchains: the listing, plain, numeric, verbose, numbered") {
  Lab lab;
  for (const char* line :
       {"-P forward DENY", "-N ppp-in", "-A input -p tcp -d 203.0.113.7 telnet -y -j DENY -l",
        "-A input -p udp -s 192.168.0.0/16 1024:65535 -d 0/0 53 -j ppp-in",
        "-A input -p icmp --icmp-type ping -i ppp+ -j ACCEPT", "-A input ! -f -m 5 -t 01 10",
        "-A input -p tcp -d 0/0 80 -j REDIRECT 3128", "-A forward -s 192.168.0.0/24 -j MASQ"})
    REQUIRE(lab.run(line).status == 0);
  CHECK(lab.run("-L").outcome.output ==
        "Chain input (policy ACCEPT):\n"
        "target     prot opt     source                destination           ports\n"
        "DENY       tcp  -y--l-  anywhere             gate.example          any ->   telnet\n"
        "ppp-in     udp  ------  192.168.0.0/16       anywhere              1024:65535 ->   53\n"
        "ACCEPT     icmp ------  anywhere             anywhere              echo-request\n"
        "-          all  --!f--  anywhere             anywhere              n/a\n"
        "REDIRECT   tcp  ------  anywhere             anywhere              any ->   www => 3128\n"
        "Chain forward (policy DENY):\n"
        "target     prot opt     source                destination           ports\n"
        "MASQ       all  ------  192.168.0.0/24       anywhere              n/a\n"
        "Chain output (policy ACCEPT):\n"
        "Chain ppp-in (1 references):\n");
  const Counts counts = [](std::string_view, std::size_t rule) {
    return Count{rule == 0 ? 12u : 100000u * rule, 840};
  };
  CHECK(lab.run("-L forward -n -v", counts).outcome.output ==
        "Chain forward (policy DENY: 12 packets, 840 bytes):\n"
        " pkts bytes target     prot opt    tosa tosx  ifname     mark        source               "
        " destination           ports\n"
        " 100K   840 MASQ       all  ------ 0xFF 0x00  *                      192.168.0.0/24      "
        " 0.0.0.0/0             n/a\n");
  CHECK(lab.run("-nL input --line-numbers")
            .outcome.output.find("3    ACCEPT     icmp ------  0.0.0.0/0            0.0.0.0/0      "
                                 "       8 ->   *\n") != std::string::npos);
  CHECK(lab.run("-L nowhere").sentence == "No chain by that name");
}

TEST_CASE("F6 ipchains: masquerading is listed and timed by words of its own") {
  Lab lab;
  CHECK(lab.run("-M -S 7200 10 160").outcome.timeouts == MasqueradeTimeouts{7200, 10, 160});
  const auto listing = lab.run("-M -L -n").outcome.list_masquerading;
  REQUIRE(listing);
  CHECK(listing->numeric);
  CHECK_FALSE(listing->verbose);
}

TEST_CASE("F6 ipchains: -C says what would become of a packet") {
  Lab lab;
  for (const char* line :
       {"-N mine", "-A input -i ppp0 -j mine", "-A mine -p tcp -y -d 0/0 :1023 -j DENY",
        "-A mine -p tcp -d 0/0 25 -j ACCEPT", "-A mine -s 10.0.0.0/8 -j RETURN",
        "-A mine -p udp -j REJECT", "-P forward MASQ"})
    REQUIRE(lab.run(line).status == 0);
  struct Case {
    const char* words;
    const char* verdict;
  };
  for (const Case& c :
       {Case{"input -p tcp -y -s 1.2.3.4 999 -d 5.6.7.8 25 -i ppp0", "denied\n"},
        Case{"input -p tcp -s 1.2.3.4 999 -d 5.6.7.8 25 -i ppp0", "accepted\n"},
        Case{"input -p udp -s 10.2.3.4 999 -d 5.6.7.8 25 -i ppp0", "accepted\n"},
        Case{"input -p udp -s 1.2.3.4 999 -d 5.6.7.8 25 -i ppp0", "rejected\n"},
        Case{"input -p udp -s 1.2.3.4 999 -d 5.6.7.8 25 -i eth0", "accepted\n"},
        Case{"forward -p udp -s 1.2.3.4 999 -d 5.6.7.8 25 -i eth0", "masqueraded\n"},
        Case{"mine -p 47 -s 1.2.3.4 -d 5.6.7.8 -i eth0", "passed through chain\n"}})
    CHECK(lab.run("-C " + std::string{c.words}).outcome.output == c.verdict);
  REQUIRE(lab.run("-A mine -j mine").status == 0);
  CHECK(lab.run("-C input -p 47 -s 1.2.3.4 -d 5.6.7.8 -i ppp0").outcome.output ==
        "caught in loop\n");
}

TEST_CASE("F6 ipchains: later fragments have no ports, and inverting does not help") {
  Lab lab;
  REQUIRE(lab.run("-A input -p tcp -d 0/0 ! 80 -j DENY").status == 0);
  IpchainsPacket packet{.source = *net::IpAddress::parse("1.2.3.4"),
                        .destination = *net::IpAddress::parse("5.6.7.8"),
                        .protocol = net::Protocol::tcp,
                        .interface = "eth0",
                        .source_port = 1,
                        .destination_port = 81};
  CHECK(judge(lab.rules, "input", packet) == "DENY");
  packet.fragment = true;
  CHECK(judge(lab.rules, "input", packet) == "ACCEPT");
}

TEST_CASE(
    "F6 ipchains-restore: what is saved is read back, comments and scripts' words are taken") {
  Lab lab;
  for (const char* line : {"-P forward DENY", "-N ppp-in", "-A input -i ppp0 -j ppp-in",
                           "-A ppp-in -j DENY -l", "-A forward -s 192.168.0.0/24 -j MASQ"})
    REQUIRE(lab.run(line).status == 0);
  const auto lines = write_ipchains(lab.rules);
  CHECK(lines.front() == ":input ACCEPT");
  CHECK(lines[1] == ":forward DENY");
  CHECK(lines[3] == ":ppp-in -");
  CHECK(read_ipchains(lines) == lab.rules);
  const std::vector<std::string> script{"# the simple rule set", "",
                                        "/sbin/ipchains -P forward DENY",
                                        "ipchains -A forward -s 192.168.0.0/24 -j MASQ"};
  CHECK(read_ipchains(script).find("forward")->rules.size() == 1);
  for (const auto& [bad, sentence] :
       std::map<std::string, std::string>{{"-A input -j NOWHERE", "line 2: No target"},
                                          {":mine ACCEPT", "line 2: chain `mine' of your own"},
                                          {":input HMM", "line 2: Bad policy name"},
                                          {"-L", "line 2: it changes no rule"},
                                          {"-A input 'x", "line 2: the quote ' is not closed"}}) {
    const std::vector<std::string> text{":input ACCEPT", bad};
    try {
      read_ipchains(text);
      FAIL("taken: " << bad);
    } catch (const Mistake& mistake) {
      CHECK(mistake.sentence.starts_with(sentence));
    }
  }
}

TEST_CASE("words: quotes, numbers in three bases, counters in thousands") {
  CHECK(split(R"(a "b c" 'd"e' f\ g "")") ==
        std::vector<std::string>{"a", "b c", "d\"e", "f g", ""});
  for (const char* word : {"plain", "two words", "quo\"te", ""})
    CHECK(split(quoted(word)) == std::vector<std::string>{word});
  CHECK(number("0x10") == 16);
  CHECK(number("010") == 8);
  CHECK(number("10") == 10);
  CHECK_FALSE(number("09"));
  CHECK_FALSE(number("1x"));
  CHECK_FALSE(number(""));
  CHECK_FALSE(number("4294967296"));
  CHECK(short_count(99999, false) == "99999");
  CHECK(short_count(100000, false) == "100K");
  CHECK(short_count(12345678, false) == "12M");
  CHECK(short_count(12345678, true) == "12345678");
}

TEST_CASE("F6 ipchains: -Z names what begins at zero, and goes with -L only") {
  Ipchains rules;
  const auto run = [&](const char* line) { return run_ipchains(rules, split(line)); };
  CHECK(run("-Z").zeroes == "");
  CHECK(run("-Z input").zeroes == "input");
  CHECK(run("-L -Z").zeroes == "");
  CHECK(run("-L output -v -Z").zeroes == "output");
  CHECK_FALSE(run("-L output -v -Z").output.empty());
  CHECK_FALSE(run("-L").zeroes);
  CHECK_THROWS_AS(run("-Z nowhere"), Mistake);
  CHECK_THROWS_AS(run("-Z -F"), Mistake);
}

TEST_CASE("F6 ipchains: a command cut off anywhere does no harm") {
  const std::string whole =
      "-I input 1 -p tcp -s ! 10.0.0.0/8 1024: -d gate.example ! www -i ! ppp+ -j REDIRECT 3128 -l "
      "-m +3 -t 0x01 0x10 ! -y -b";
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    Lab lab;
    lab.run(whole.substr(0, size));
    const auto lines = write_ipchains(lab.rules);
    CHECK(read_ipchains(lines) == lab.rules);
  }
}
