// Unit tests of daemon/state: paths, folders, what add() refuses; JSON from strangers.

#include <doctest/doctest.h>

#include <string>

#include "daemon/state/json_text.hpp"
#include "daemon/state/tree.hpp"

using namespace masqgate::state;

TEST_CASE("tree: folders list what stands below them") {
  Tree tree;
  for (const char* path :
       {"net/ip_masquerade", "net/ip_masq/tcp", "net/ip_masq/udp", "drops", "net2"})
    tree.add(path, Node{.summary = path});
  CHECK(tree.list("") == std::vector<std::string>{"drops", "net", "net2"});
  CHECK(tree.list("net") == std::vector<std::string>{"ip_masq", "ip_masquerade"});
  CHECK(tree.list("net/ip_masq") == std::vector<std::string>{"tcp", "udp"});
  CHECK(tree.list("ne").empty());
  CHECK(tree.is_folder("net"));
  CHECK_FALSE(tree.is_folder("drops"));
  CHECK(tree.find("drops")->summary == "drops");
  CHECK(tree.find("net") == nullptr);
}

TEST_CASE("tree: a path is declared once and is either node or folder") {
  Tree tree;
  tree.add("net/ip_masq/tcp", Node{.summary = ""});
  for (const char* path : {"net/ip_masq/tcp", "net", "net/ip_masq/tcp/x", "", "/a", "a/", "a//b"}) {
    CAPTURE(path);
    CHECK_THROWS_AS(tree.add(path, Node{.summary = ""}), std::logic_error);
  }
}

TEST_CASE("tree: branches stand below a node, under any names that fit") {
  Tree tree;
  Node firewall{.summary = ""};
  const auto named = [](const std::vector<std::string>& names) {
    Node node{.summary = ""};
    for (const std::string& name : names) node.summary += "<" + name + ">";
    return node;
  };
  firewall.branches = {
      {"{chain}", named}, {"{chain}/rules", named}, {"{chain}/rules/{rule}", named}};
  tree.add("net/firewall", std::move(firewall));
  tree.add("net/other", Node{.summary = ""});
  const std::vector<std::pair<std::string, std::string>> kRows{
      {"net/firewall/forward", "<forward>"},
      {"net/firewall/forward/rules", "<forward>"},
      {"net/firewall/rules/rules/rules", "<rules><rules>"},
      {"net/firewall/forward/rules/ssh", "<forward><ssh>"},
      {"net/firewall/forward/rule/ssh", "none"},
      {"net/firewall/forward/rules/ssh/more", "none"},
      {"net/firewall//rules", "none"},
      {"net/firewall/", "none"},
      {"net/firewall", "none"},
      {"net/other/forward", "none"},
      {"firewall/forward", "none"},
      {"", "none"}};
  for (const auto& [path, expected] : kRows) {
    CAPTURE(path);
    const auto node = tree.grow(path);
    CHECK((node ? node->summary : "none") == expected);
  }
  CHECK(tree.list("net") == std::vector<std::string>{"firewall", "other"});
  CHECK(tree.list("net/firewall").empty());
}

TEST_CASE("json: comments are read over, members keep their order") {
  const Json document = parse_json("// head\n{\"b\": 1, /* between */ \"a\": [1, 2]}\n");
  CHECK(document.dump() == R"({"b":1,"a":[1,2]})");
}

TEST_CASE("json: what is refused, and where") {
  const std::string deep = std::string(kMaxDepth + 1, '[') + std::string(kMaxDepth + 1, ']');
  std::string wide = "{";
  for (std::size_t i = 0; i <= kMaxMembers; ++i) wide += "\"" + std::to_string(i) + "\":0,";
  struct Case {
    std::string name;
    std::string text;
    std::string pointer;
  };
  for (const Case& c : {
           Case{"nothing", "", "line 1, column 1"},
           Case{"comment only", "// x", "line 1, column 5"},
           Case{"comma missing", "{\"a\": 1\n  \"b\": 2}", "line 2, column 5"},
           Case{"trailing comma", "[1,\n]", "line 2, column 1"},
           Case{"two documents", "{} {}", "line 1, column 4"},
           Case{"open comment", "{} /* x", "line 1, column 8"},
           Case{"not utf-8", "\"\xff\"", "line 1, column 2"},
           Case{"number out of range", "[1e999]", "line 1, column 6"},
           Case{"a name twice", R"({"n": [{}, {"x/y": 1, "x/y": 2}]})", "/n/1/x~1y"},
           Case{"the same name, escaped", R"({"a": 1, "\u0061": 2})", "/a"},
           Case{"too deep", deep, ""},
           Case{"too wide", wide, "/4096"},
           Case{"too large", std::string(kMaxDocument + 1, ' '), ""},
       }) {
    CAPTURE(c.name);
    try {
      parse_json(c.text);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.problem() == Problem::malformed);
      if (!c.pointer.empty()) CHECK(error.pointer() == c.pointer);
    }
  }
}

TEST_CASE("json: the same name in two objects is no duplicate; the deepest allowed is read") {
  CHECK(parse_json(R"([{"a": {"a": 1}}, {"a": 2}])").size() == 2);
  CHECK_NOTHROW(parse_json(std::string(kMaxDepth, '[') + std::string(kMaxDepth, ']')));
}

TEST_CASE("json: no prefix of a document is a document") {
  const std::string text = R"({"a": [1, "x"], "b": {"c": null}})";
  for (std::size_t size = 0; size < text.size(); ++size)
    CHECK_THROWS_AS(parse_json(std::string_view{text}.substr(0, size)), Error);
  CHECK_NOTHROW(parse_json(text));
}
