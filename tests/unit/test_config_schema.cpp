// docs/masqgate.schema.json against the daemon: what the daemon takes, the schema takes, and both
// know the same members.

#include <doctest/doctest.h>
#include <regex.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "daemon/control/config.hpp"
#include "daemon/state/json_text.hpp"
#include "tests/support/source_files.hpp"

using namespace masqgate;
using state::Json;

namespace {

// As much of JSON Schema draft-07 as the schema uses; other words are refused, so that none is
// passed over.
class Schema {
 public:
  explicit Schema(Json root) : root_(std::move(root)) {}
  const Json& root() const { return root_; }

  const Json& follow(const Json& schema) const {
    const auto reference = schema.find("$ref");
    if (reference == schema.end()) return schema;
    return root_.at(Json::json_pointer{reference->get<std::string>().substr(1)});
  }

  // Where and why the value does not fit; empty if it does.
  std::string complaint(const Json& reference, const Json& value,
                        const std::string& at = "") const {
    const Json& schema = follow(reference);
    for (const auto& [word, argument] : schema.items()) {
      const std::string problem = check(word, argument, schema, value, at);
      if (!problem.empty()) return problem;
    }
    return "";
  }

 private:
  std::string check(const std::string& word, const Json& argument, const Json& schema,
                    const Json& value, const std::string& at) const {
    static const std::set<std::string> kNotes{"$schema", "title", "description", "definitions",
                                              "default"};
    const auto wrong = [&](bool is_wrong) { return is_wrong ? at + ": " + word : ""; };
    if (kNotes.contains(word)) return "";
    if (word == "type") return wrong(!has_type(value, argument));
    if (word == "enum") return wrong(std::ranges::find(argument, value) == argument.end());
    if (word == "const") return wrong(value != argument);
    if (word == "minimum") return wrong(value.is_number() && value < argument);
    if (word == "maximum") return wrong(value.is_number() && value > argument);
    if (word == "minItems" || word == "minProperties")
      return wrong(value.is_structured() && value.size() < argument);
    if (word == "uniqueItems")
      return wrong(std::set<Json>(value.begin(), value.end()).size() != value.size());
    if (word == "pattern")
      return wrong(value.is_string() &&
                   !fits(argument.get<std::string>(), value.get<std::string>()));
    if (word == "not") return wrong(complaint(argument, value, at).empty());
    if (word == "anyOf") return wrong(fitting(argument, value) == 0);
    if (word == "oneOf") return wrong(fitting(argument, value) != 1);
    if (word == "required")
      return wrong(std::ranges::any_of(
          argument, [&](const Json& name) { return !value.contains(name.get<std::string>()); }));
    if (word == "items") return check_items(argument, value, at);
    if (word == "propertyNames") return check_names(argument, value, at);
    if (word == "properties") return check_properties(schema, value, at);
    if (word == "additionalProperties")
      return schema.contains("properties") ? "" : check_properties(schema, value, at);
    throw std::logic_error{"the schema uses " + word + ", which this test does not know"};
  }

  // POSIX's extended expressions: std::regex makes GCC 12 warn where it is built with sanitizers.
  static bool fits(const std::string& pattern, const std::string& text) {
    regex_t compiled{};
    if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
      throw std::logic_error{"the schema has the pattern " + pattern};
    const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    regfree(&compiled);
    return found;
  }

  static bool has_type(const Json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "boolean") return value.is_boolean();
    throw std::logic_error{"the schema uses the type " + type};
  }

  std::ptrdiff_t fitting(const Json& schemas, const Json& value) const {
    return std::ranges::count_if(
        schemas, [&](const Json& schema) { return complaint(schema, value).empty(); });
  }

  std::string check_items(const Json& schema, const Json& value, const std::string& at) const {
    for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
      if (auto problem = complaint(schema, value[i], at + "/" + std::to_string(i));
          !problem.empty())
        return problem;
    return "";
  }

  std::string check_names(const Json& schema, const Json& value, const std::string& at) const {
    for (const auto& [name, member] : value.items())
      if (auto problem = complaint(schema, Json(name), at + "/" + name); !problem.empty())
        return problem;
    return "";
  }

  std::string check_properties(const Json& schema, const Json& value, const std::string& at) const {
    for (const auto& [name, member] : value.items()) {
      const Json known = schema.value("properties", Json::object());
      const Json others = schema.value("additionalProperties", Json(true));
      if (!known.contains(name) && others == false) return at + "/" + name + ": unknown";
      if (!known.contains(name) && others == true) continue;
      auto problem =
          complaint(known.contains(name) ? known.at(name) : others, member, at + "/" + name);
      if (!problem.empty()) return problem;
    }
    return "";
  }

  Json root_;
};

const Schema& schema() {
  static const Schema the_schema{Json::parse(test::source_file("docs/masqgate.schema.json"))};
  return the_schema;
}

// One object of every kind, so that every list of members is met.
const char* const kEveryObject = R"({
  "ports": {"lan": {"nics": ["eth0"]}}, "routes": [{"to": "10.0.0.0/8", "port": "lan"}],
  "nat": [{"masquerade": "lan", "source": "172.16.0.0/12", "profile": {}},
          {"snat": "lan", "source": "192.168.0.0/16", "to": "192.0.2.1"},
          {"netmap": "lan", "source": "10.0.0.0/24", "to": "192.0.2.0/24"}, {"exclude": "lan"},
          {"dnat": "lan", "to": "10.0.0.1"}, {"redirect": "lan"}],
  "firewall": {"input": {"rules": [{"action": {"jump": "own"}},
                                   {"protocol": "tcp", "action": {"reject": "net"}}]}, "own": {}},
  "conntrack": {"timeouts": {}, "tcp": {}}, "limits": {}, "shard": {}, "api": {}})";

// The members that the daemon says are known in the object at this place.
std::set<std::string> members_in_daemon(const std::string& place) {
  Json document = Json::parse(kEveryObject);
  document[Json::json_pointer{place}]["?"] = 1;
  try {
    control::from_json(document, "/run/masqgate");
  } catch (const state::Error& error) {
    CHECK(error.pointer() == place + "/?");
    const std::string sentence = error.what(), introduction = "known here: ";
    std::string list = sentence.substr(sentence.find(introduction) + introduction.size());
    std::erase(list, ',');
    std::istringstream words{list};
    return {std::istream_iterator<std::string>{words}, {}};
  }
  return {};
}

std::set<std::string> members_in(const char* schema_pointer) {
  std::set<std::string> names;
  for (const auto& [name, one] : schema().root().at(Json::json_pointer{schema_pointer}).items())
    names.insert(name);
  return names;
}

}  // namespace

TEST_CASE("schema: it knows the members that the daemon knows") {
  struct Case {
    const char* place;
    const char* schema;
  };
  for (const Case& c :
       {Case{"", "/properties"}, Case{"/ports/lan", "/definitions/port/properties"},
        Case{"/routes/0", "/definitions/route/properties"},
        Case{"/nat/0", "/definitions/nat_masquerade/properties"},
        Case{"/nat/0/profile", "/definitions/profile/anyOf/1/properties"},
        Case{"/nat/1", "/definitions/nat_snat/properties"},
        Case{"/nat/2", "/definitions/nat_netmap/properties"},
        Case{"/nat/3", "/definitions/nat_exclude/properties"},
        Case{"/nat/4", "/definitions/nat_dnat/properties"},
        Case{"/nat/5", "/definitions/nat_redirect/properties"},
        Case{"/firewall/input", "/definitions/builtin_chain/properties"},
        Case{"/firewall/input/rules/0", "/definitions/rule/properties"},
        Case{"/conntrack", "/properties/conntrack/properties"},
        Case{"/conntrack/timeouts", "/properties/conntrack/properties/timeouts/properties"},
        Case{"/conntrack/tcp", "/properties/conntrack/properties/tcp/properties"},
        Case{"/limits", "/properties/limits/properties"},
        Case{"/shard", "/properties/shard/properties"},
        Case{"/api", "/properties/api/properties"}}) {
    CAPTURE(std::string{c.place});
    CHECK(members_in_daemon(c.place) == members_in(c.schema));
  }
}

TEST_CASE("schema: it takes what the daemon takes") {
  const std::string every_rule =
      R"({"ports": {"lan": {"tun": "t", "mtu": 1280, "queues": 2, "source_validation": "off",
      "addresses": ["10.0.0.1/8", "fd00::1/64"]}, "b": {"bridge": "br0", "inherit": false}},
    "tree": false, "routes": [{"to": "::/0", "via": "fe80::1", "port": "b", "metric": 1, "table": 2}],
    "firewall": {"a": {"rules": [
      {"id": "x", "comment": "c", "state": "!new", "out": "!lan", "protocol": "!47",
       "source": "!10.0.0.0/8", "destination": "10.0.0.1", "action": "return"},
      {"state": ["new"], "source_port": 80, "destination_port": ["!1-2", "!3"], "action": "drop"},
      {"mark": 1, "connmark": "!0x1/0xf", "action": {"mark": "1/0x1"}},
      {"action": {"connmark": "restore"}}, {"action": {"connmark": 4294967295}},
      {"protocol": "tcp", "action": {"reject": "tcp_reset"}}]}}})";
  for (const std::string& text :
       {std::string{kEveryObject}, every_rule,
        test::source_file("tests/fuzz/corpus/config/every_match"), test::example_document(),
        test::source_file("systemd/masqgate.json")}) {
    CAPTURE(std::string{text});
    const Json document = state::parse_json(text);
    const Json canonical = to_json(control::from_json(document, "/run/masqgate"));
    CHECK(schema().complaint(schema().root(), document) == "");
    CHECK(schema().complaint(schema().root(), canonical) == "");
  }
}

TEST_CASE("schema: it refuses what nobody can mean") {
  struct Case {
    const char* patch;
    const char* complaint;
  };
  for (const Case& c :
       {Case{R"({"ports": null})", ": required"}, Case{R"({"prots": {}})", "/prots: unknown"},
        Case{R"({"ports": {"lan": {"tap": "x"}}})", "/ports/lan: oneOf"},
        Case{R"({"ports": {"a/b": {"tap": "x"}}})", "/ports/a/b: pattern"},
        Case{R"({"ports": {"lan": {"mtu": 67}}})", "/ports/lan/mtu: minimum"},
        Case{R"({"firewall": {"input": {"policy": "reject"}}})", "/firewall/input/policy: enum"},
        Case{R"({"firewall": {"own": {"policy": "drop"}}})", "/firewall/own/policy: unknown"},
        Case{R"({"conntrack": {"timeouts": {"udp": 0}}})", "/conntrack/timeouts/udp: minimum"},
        Case{R"({"tree": true})", "/tree: anyOf"}}) {
    CAPTURE(std::string{c.patch});
    Json document = Json::parse(kEveryObject);
    document.merge_patch(Json::parse(c.patch));
    CHECK(schema().complaint(schema().root(), document) == c.complaint);
  }
}
