// Unit tests of edits of the configuration document: rules, chains and sets by their names.

#include <doctest/doctest.h>

#include "daemon/control/document_edits.hpp"
#include "tests/unit/config_document.hpp"

using namespace masqgate;
using namespace masqgate::control;
using namespace masqgate::test;

namespace {

constexpr auto kRules = R"({"sets": {"web": {"ports": [80]}}, "firewall": {"mine": {"rules": []},
  "forward": {"policy": "drop", "rules": [
    {"action": "accept"}, {"id": "b", "action": "drop"}, {"id": "c", "action": "accept"}]}}})";

Json canonical(const char* patch = kRules) {
  return to_json(config(patch));
}

std::string ids(Json& document, const char* chain) {
  std::string all;
  for (const Json& rule : rules_of(document, chain)) all += rule["id"].get<std::string>() + " ";
  return all;
}

const Json kRule{{"action", "drop"}};
const Json kNamed{{"id", "x"}, {"action", "drop"}};

}  // namespace

TEST_CASE("F1: a rule goes to its place, and one without an id gets a free one") {
  struct Row {
    Json rule;
    RulePlace place;
    std::string ids, pointer;
  };
  for (const Row& row :
       {Row{kNamed, {}, "forward-1 b c x ", "/firewall/forward/rules/3"},
        Row{kNamed,
            {.before = "forward-1", .after = ""},
            "x forward-1 b c ",
            "/firewall/forward/rules/0"},
        Row{kNamed, {.before = "c", .after = ""}, "forward-1 b x c ", "/firewall/forward/rules/2"},
        Row{kNamed, {.before = "", .after = "c"}, "forward-1 b c x ", "/firewall/forward/rules/3"},
        Row{kNamed,
            {.before = "", .after = "forward-1"},
            "forward-1 x b c ",
            "/firewall/forward/rules/1"},
        Row{kRule,
            {.before = "b", .after = ""},
            "forward-1 forward-4 b c ",
            "/firewall/forward/rules/1"}}) {
    CAPTURE(row.ids);
    Json document = canonical();
    const Edit edit = add_rule(document, "forward", row.rule, row.place);
    CHECK(ids(document, "forward") == row.ids);
    CHECK(edit.pointer == row.pointer);
    CHECK(rule_of(document, "forward", edit.name)["action"] == "drop");
    CHECK(ids(document, "mine") == "");
    CHECK_NOTHROW(from_json(document, kRuntime));
  }
  // Two without id, when an earlier one is gone, do not meet.
  Json document = canonical();
  CHECK(add_rule(document, "forward", kRule, {}).name == "forward-4");
  remove_rule(document, "forward", "b");
  CHECK(add_rule(document, "forward", kRule, {}).name == "forward-5");
  CHECK(add_rule(document, "mine", kRule, {}).name == "mine-1");
}

TEST_CASE("F1: a rule is replaced in its place, and taken away, and the others stay") {
  Json document = canonical();
  const Json before = document;
  CHECK(replace_rule(document, "forward", "b", kRule).pointer == "/firewall/forward/rules/1");
  CHECK(ids(document, "forward") == "forward-1 b c ");
  CHECK(replace_rule(document, "forward", "b", {{"id", "b"}, {"action", "accept"}}).name == "b");
  CHECK(rule_of(document, "forward", "b")["action"] == "accept");
  replace_rule(document, "forward", "b", kRule);
  CHECK(document == before);
  remove_rule(document, "forward", "b");
  CHECK(ids(document, "forward") == "forward-1 c ");
}

TEST_CASE("F1: what is not there, what is there already, and what is none, is refused") {
  struct Row {
    const char* name;
    void (*edit)(Json&);
    Problem problem;
    const char* sentence;
  };
  using P = Problem;
  for (const Row& row : {
           Row{"no chain", [](Json& d) { rules_of(d, "fo"); }, P::not_found, "chain \"fo\""},
           Row{"no rule", [](Json& d) { rule_of(d, "forward", "z"); }, P::not_found, "\"z\""},
           Row{"no set", [](Json& d) { set_of(d, "none"); }, P::not_found, "set \"none\""},
           Row{"to no chain", [](Json& d) { add_rule(d, "z", kRule, {}); }, P::not_found, "\"z\""},
           Row{"before nobody",
               [](Json& d) {
                 add_rule(d, "forward", kRule, {"z", ""});
               },
               P::not_found, "\"z\""},
           Row{"behind nobody",
               [](Json& d) {
                 add_rule(d, "forward", kRule, {"", "z"});
               },
               P::not_found, "\"z\""},
           Row{"twice",
               [](Json& d) {
                 add_rule(d, "forward", {{"id", "c"}, {"action", "drop"}}, {});
               },
               P::conflict, "already"},
           Row{"no object", [](Json& d) { add_rule(d, "forward", "drop", {}); }, P::invalid,
               "object"},
           Row{"another id", [](Json& d) { replace_rule(d, "forward", "b", kNamed); }, P::invalid,
               "another id"},
           Row{"replaces nobody", [](Json& d) { replace_rule(d, "forward", "z", kRule); },
               P::not_found, "\"z\""},
           Row{"removes nobody", [](Json& d) { remove_rule(d, "forward", "z"); }, P::not_found,
               "\"z\""},
           Row{"both places",
               [](Json&) {
                 RulePlace::parse({{"before", "b"}, {"after", "b"}});
               },
               P::malformed, "one of them"},
       }) {
    CAPTURE(row.name);
    Json document = canonical();
    const Json before = document;
    const Refusal refused = refusal_of([&] { row.edit(document); });
    CHECK(refused.problem == row.problem);
    CHECK(contains(refused.sentence, row.sentence));
    CHECK(document == before);
  }
}

TEST_CASE("F6: lines of an old language have no chains to edit") {
  Json document = canonical(R"({"firewall": {"ipchains": ["-A input -j ACCEPT"]}})");
  const Refusal refused = refusal_of([&] { rules_of(document, "input"); });
  CHECK(refused.problem == Problem::conflict);
  CHECK(contains(refused.sentence, "ipchains"));
}
