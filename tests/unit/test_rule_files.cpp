// Unit tests of daemon/control/rule_files.hpp: net/ip_fwchains and its like, byte for byte (history 1.3, 1.8).

#include <doctest/doctest.h>

#include "daemon/control/rule_files.hpp"

using namespace masqgate;
using namespace masqgate::control;

namespace {

Config config(OldRules::Language language, std::vector<std::string> lines) {
  Config config;
  config.old_rules = OldRules{language, std::move(lines)};
  return config;
}
const Config none;
constexpr auto kIpchains = OldRules::Language::ipchains, kIptables = OldRules::Language::iptables;

}  // namespace

TEST_CASE("V1 ip_fwchains: the rows of the history's example, with their counters") {
  language::RuleCounts counts;
  counts.add("prerouting", "1", {12, 720});
  counts.add("forward", "1", {3, 200});
  counts.add("forward", "1b", {2, 100});   // its other form
  counts.add("forward", "1-1", {9, 900});  // its log, which is none
  const Config rules =
      config(kIpchains, {"-A input", "-A forward -s 192.168.0.0/24 -i eth0 -j MASQ"});
  CHECK(ip_fwchains(rules, counts) ==
        "    input 00000000/00000000->00000000/00000000 - 10 0 0 0         12        0         720 "
        "      "
        "0-65535 0-65535 AFF X00 00000000 0 0         -\n"
        "  forward C0A80000/FFFFFF00->00000000/00000000 eth0 0 0 0 0         5         0         "
        "300       "
        "0-65535 0-65535 AFF X00 00000000 0 0      MASQ\n");
}

TEST_CASE(
    "V1 ip_fwchains: flags, inversions, ports, type of service, redirect, mark, large counters") {
  language::RuleCounts counts;
  counts.add("prerouting", "1", {(std::uint64_t{1} << 32) + 2, std::uint64_t{3} << 32});
  const Config rules =
      config(kIpchains,
             {"-A input -p tcp ! -y -s ! 10.0.0.0/8 1024: -d 0/0 80 -i ! ppp+ -l -t 0x01 0x10 -m 7 "
              "-j REDIRECT 8080"});
  CHECK(ip_fwchains(rules, counts) ==
        "    input 0A000000/FF000000->00000000/00000000 ppp 1B 61 6 1         2         3         "
        "0         "
        "1024-65535 80-80 A01 X10 00001F90 7 0  REDIRECT\n");
}

TEST_CASE("V1 ip_fwnames: chains, policies and references") {
  language::RuleCounts counts;
  counts.add("prerouting", "policy", {12, 720});
  const Config rules =
      config(kIpchains, {":forward DENY", ":mine -", "-A input -j mine", "-A output -j mine"});
  CHECK(ip_fwnames(rules, counts) ==
        "input ACCEPT 1 0 12 0 720\nforward DENY 1 0 0 0 0\noutput ACCEPT 1 0 0 0 0\nmine - 2 0 0 "
        "0 0\n");
  CHECK(ip_fwnames(none, {}) ==
        "input ACCEPT 1 0 0 0 0\nforward ACCEPT 1 0 0 0 0\noutput ACCEPT 1 0 0 0 0\n");
  CHECK(ip_fwchains(none, {}).empty());
}

TEST_CASE("V1 ip_tables_names: tables with rules, the newest first") {
  CHECK(ip_tables_names(none).empty());
  CHECK(ip_tables_names(config(kIptables, {"*filter", ":INPUT DROP [0:0]", "COMMIT", "*nat",
                                           "-A POSTROUTING -o eth0 -j MASQUERADE", "COMMIT"})) ==
        "nat\nfilter\n");
  CHECK(ip_tables_matches().find("state\n") != std::string::npos);
  CHECK(ip_tables_targets().find("MASQUERADE\n") != std::string::npos);
}
