// Unit tests of daemon/control/config: old rule sets, and sets that rules ask for.

#include <doctest/doctest.h>

#include "tests/unit/config_document.hpp"

using namespace masqgate;
using namespace masqgate::control;
using namespace masqgate::test;

TEST_CASE(
    "K-20 config: an old rule set is kept to the letter, compiled behind the document's own "
    "rules") {
  const auto text =
      R"({"nat": [{"masquerade": "wan", "source": "10.0.0.0/8"}], "firewall": {"ipchains":
      ["# forward", ":forward DENY", "-A forward -i eth0 -s 192.168.0.0/24 -j MASQ"]}})";
  const Config read = config(text);
  CHECK(read.nat.size() == 2);
  CHECK_FALSE(read.firewall->is_empty(firewall::Hook::forward));
  const Json written = to_json(read);
  CHECK(written["firewall"] == document(text)["firewall"]);
  CHECK(written["nat"].size() == 1);
  CHECK(to_json(from_json(written, kRuntime)) == written);
}

TEST_CASE("K-20 config: a mistake in an old rule set is refused at its line") {
  struct Case {
    const char* firewall;
    const char* pointer;
    const char* says;
  };
  static constexpr Case kCases[] = {
      {R"({"ipchains": [":input DENY", "-A input -j NOWHERE"]})", "/firewall/ipchains/1",
       "line 2: No target by that name"},
      {R"({"ipchains": ["-A input -i eth7 -j DENY"]})", "/firewall/ipchains/0",
       "chain input, rule 1: there is no port or NIC `eth7'"},
      {R"({"ipchains": ["-L"]})", "/firewall/ipchains/0", "changes no rule"},
      {R"({"ipchains": [7]})", "/firewall/ipchains/0", "is the number 7"},
      {R"({"ipchains": [], "input": {}})", "/firewall/input", "unknown member"},
      {R"({"iptables": ["*filter"]})", "/firewall/iptables", "no COMMIT"},
      {R"({"iptables": ["*filter", "-A INPUT -m nonsense", "COMMIT"]})", "/firewall/iptables/1",
       "nonsense"},
  };
  for (const Case& c : kCases) {
    CAPTURE(c.firewall);
    const std::string patch = std::string{R"({"firewall": )"} + c.firewall + "}";
    const Refusal refusal = refusal_of([&] { config(patch.c_str()); });
    CAPTURE(refusal.sentence);
    CHECK(refusal.pointer == c.pointer);
    CHECK(contains(refusal.sentence, c.says));
  }
}

TEST_CASE("F2 config: sets are read before the rules that ask for them, and written back") {
  const auto text = R"({"sets": {"b": {"ports": ["80"]}, "a": {"addresses": ["10.0.0.0/8"]}},
    "firewall": {"forward": {"rules": [{"source_set": "!a", "action": "drop"}]}}})";
  const Json written = to_json(config(text));
  CHECK(written["sets"].dump() == R"({"a":{"addresses":["10.0.0.0/8"]},"b":{"ports":["80"]}})");
  CHECK(written["firewall"]["forward"]["rules"][0]["source_set"] == "!a");
  CHECK(to_json(from_json(written, kRuntime)) == written);
  const Refusal refusal = refusal_of([&] {
    config(R"({"firewall": {"forward": {"rules": [{"source_set": "a", "action": "drop"}]}}})");
  });
  CHECK(refusal.pointer == "/firewall/forward/rules/0/source_set");
}
