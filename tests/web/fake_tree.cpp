#include "tests/web/fake_tree.hpp"

#include <algorithm>
#include <numeric>

#include "daemon/control/sysctl.hpp"

namespace masqgate::tests {
namespace {

using asio::awaitable;
using state::Error;
using state::Json;
using state::Node;
using state::Problem;
using state::Query;

std::function<awaitable<Json>(Query)> constant(Json value) {
  return [value](Query) -> awaitable<Json> { co_return value; };
}

std::function<awaitable<std::string>()> constant_text(std::string value) {
  return [value]() -> awaitable<std::string> { co_return value; };
}

Json connection(int id) {
  const std::string client = "192.168.0." + std::to_string(id);
  Json original{
      {"source", client},        {"source_port", 40000 + id}, {"destination", "198.51.100.1"},
      {"destination_port", 443}, {"packets", 10 * id},        {"bytes", 1000 * id}};
  Json reply{{"source", "198.51.100.1"},       {"source_port", 443}, {"destination", "203.0.113.2"},
             {"destination_port", 50000 + id}, {"packets", 9 * id},  {"bytes", 900 * id}};
  return Json{{"id", std::to_string(id)},
              {"protocol", id % 5 == 0 ? "udp" : "tcp"},
              {"state", "established"},
              {"timeout_s", 432000},
              {"original", std::move(original)},
              {"reply", std::move(reply)},
              {"masquerade", true},
              {"assured", true}};
}

int number(const std::string& text, const char* what) {
  if (text.empty() || text.size() > 6 ||
      !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }))
    throw Error{Problem::malformed, std::string{what} + " is no number"};
  return std::stoi(text);
}

Json page(const FakeRouter& router, const Query& query) {
  const auto value = [&](const char* name, int otherwise) {
    const auto found = query.find(name);
    return found == query.end() ? otherwise : number(found->second, name);
  };
  const auto protocol = query.find("protocol");
  const int limit = value("limit", 10);
  Json list = Json::array(), next = nullptr;
  for (const int id : router.connections) {
    if (id <= value("cursor", 0)) continue;
    Json one = connection(id);
    if (protocol != query.end() && one["protocol"] != protocol->second) continue;
    if (static_cast<int>(list.size()) == limit) {
      next = list.back()["id"];
      break;
    }
    list.push_back(std::move(one));
  }
  return Json{{"connections", std::move(list)}, {"next", std::move(next)}};
}

void forget(FakeRouter& router, const std::string& name) {
  const auto found = std::ranges::find(router.connections, number(name, "the id"));
  if (found == router.connections.end())
    throw Error{Problem::not_found, "there is no connection " + name};
  router.connections.erase(found);
}

Json configure(FakeRouter& router, Json document, const Query& query) {
  if (!document.is_object() || !document.contains("ports"))
    throw Error{Problem::invalid, "the ports are missing", "/ports"};
  const bool changes = document != router.config;
  const auto dry_run = query.find("dry_run");
  const bool dry = dry_run != query.end() && dry_run->second == "1";
  if (!dry) {
    router.config = std::move(document);
    ++router.version;
    router.events->publish("config.changed", Json{{"version", router.version}});
  }
  return Json{{"applied", !dry}, {"changes", changes}};
}

Node connections_node(FakeRouter& router) {
  Node node{.summary = "tracked connections"};
  for (const char* name : {"cursor", "limit", "protocol", "state", "address"})
    node.parameters.push_back({name, name});
  node.read = [&router](Query query) -> awaitable<Json> { co_return page(router, query); };
  node.remove = [&router](std::string name) -> awaitable<void> {
    forget(router, name);
    co_return;
  };
  return node;
}

Node config_node(FakeRouter& router) {
  Node node{.summary = "the configuration"};
  for (const char* name : {"dry_run", "rejudge"}) node.parameters.push_back({name, name});
  node.read = [&router](Query) -> awaitable<Json> { co_return router.config; };
  node.write = [&router](Json document, Query query) -> awaitable<Json> {
    co_return configure(router, std::move(document), query);
  };
  node.version = [&router] { return std::to_string(router.version); };
  return node;
}

// A part of the configuration that takes anything and is empty.
Node part_node() {
  Node node{.summary = "a part", .parameters = {{"dry_run", ""}, {"rejudge", ""}}};
  node.read = constant(Json::object());
  node.write = [](Json document, Query) -> awaitable<Json> { co_return document; };
  node.version = [] { return std::string{"1"}; };
  return node;
}

// Things below a part, by their names: each is there but for those called "new" and "missing".
Node child_node(const std::vector<std::string>& names) {
  const std::string name = names.back();
  const auto check = [name] {
    if (name == "missing") throw Error{Problem::not_found, "there is no " + name};
  };
  Node node{.summary = "a child", .parameters = {{"dry_run", ""}, {"rejudge", ""}}};
  node.read = [name, check](Query) -> awaitable<Json> {
    check();
    co_return Json{{"id", name}};
  };
  node.write = [](Json document, Query) -> awaitable<Json> { co_return document; };
  node.erase = [](Query) -> awaitable<Json> { co_return Json{}; };
  node.version = [name, check] {
    check();
    return name == "new" ? std::string{} : std::string{"1"};
  };
  return node;
}

// A list of them, to which more can be added: all but "taken".
Node children_node(const std::vector<std::string>&) {
  Node node{.summary = "children"};
  for (const char* name : {"before", "after", "dry_run", "rejudge"})
    node.parameters.push_back({name, name});
  node.read = constant(Json::array());
  node.create = [](Json document, Query query) -> awaitable<state::Created> {
    state::Created created{document.value("id", "fresh"), document};
    if (created.name == "taken") throw Error{Problem::conflict, "there is one already"};
    if (query.contains("dry_run")) created.name.clear();
    co_return created;
  };
  node.version = [] { return std::string{"1"}; };
  return node;
}

// Elements of a set: any can be added, and all but "missing" taken away.
Node elements_node(const std::vector<std::string>&) {
  Node node{
      .summary = "elements", .parameters = {{"element", ""}}, .read = constant(Json::array())};
  node.create = [](Json document, Query) -> awaitable<state::Created> {
    co_return state::Created{"", document};
  };
  node.erase = [](Query query) -> awaitable<Json> {
    if (query["element"] == "missing") throw Error{Problem::not_found, "there is no missing"};
    co_return Json{};
  };
  return node;
}

// Rules with counters, of which there are none.
Node counted_node() {
  Node node{.summary = "rules", .read = constant(Json{{"rules", Json::array()}})};
  node.create = [](Json, Query) -> awaitable<state::Created> {
    co_return state::Created{"", Json{{"rules", Json::array()}}};
  };
  return node;
}

Json mapping(int id) {
  return Json{{"id", std::to_string(id)},
              {"protocol", "udp"},
              {"inside", {{"address", "192.168.0." + std::to_string(id)}, {"port", 4000}}},
              {"outside", {{"address", "203.0.113.2"}, {"port", 4000 + id}}},
              {"connections", id},
              {"timeout_s", 30},
              {"mapping", "endpoint-independent"},
              {"filtering", "address-dependent"}};
}

// Two mappings on two pages, and rules and forwards that are never there.
void add_nat(state::Tree& tree) {
  Node mappings{.summary = "mappings"};
  for (const char* name : {"cursor", "limit", "protocol", "address"})
    mappings.parameters.push_back({name, name});
  mappings.read = [](Query query) -> awaitable<Json> {
    const bool second = query.contains("cursor");
    co_return Json{{"mappings", Json::array({mapping(second ? 2 : 1)})},
                   {"next", second ? Json(nullptr) : Json("1")}};
  };
  mappings.remove = [](std::string name) -> awaitable<void> {
    if (name != "1") throw Error{Problem::not_found, "no mapping has the id " + name};
    co_return;
  };
  tree.add("nat/mappings", std::move(mappings));
  tree.add("nat/rules", counted_node());
  tree.add("nat/profiles",
           Node{.summary = "profiles", .read = constant(Json{{"profiles", Json::array()}})});
  const Json none = Json::array();
  tree.add("nat/forwards",
           Node{.summary = "forwards",
                .read = constant(Json{{"portfw", none}, {"autofw", none}, {"mfw", none}})});
}

// The numbers of sys/net, all of which say 1.
void add_numbers(state::Tree& tree) {
  for (const control::SysctlFile& file : control::sysctl_files()) {
    if (file.path == "sys/net/ipv4/ip_forward") continue;
    Node node{.summary = file.summary, .read_text = constant_text("1\n")};
    if (file.write)
      node.write_text = [file](std::string text) -> awaitable<void> {
        control::parse_sysctl(file, text);
        co_return;
      };
    tree.add(file.path, std::move(node));
  }
}

Node ip_forward_node(FakeRouter& router) {
  Node node{.summary = "forwarding"};
  node.read_text = [&router]() -> awaitable<std::string> { co_return router.ip_forward; };
  node.write_text = [&router](std::string text) -> awaitable<void> {
    if (text != "0\n" && text != "1\n" && text != "0" && text != "1")
      throw Error{Problem::invalid, "neither 0 nor 1"};
    router.ip_forward = text.substr(0, 1) + "\n";
    co_return;
  };
  return node;
}

// Takes any command but removals: there is never what should go.
Node forwards_node(const char* rows) {
  Node node{.summary = "forwards"};
  node.read_text = constant_text(rows);
  node.write_text = [](std::string text) -> awaitable<void> {
    if (text.starts_with("-d ") || text.starts_with("-D "))
      throw Error{Problem::not_found, "portfw: setsockopt failed: No such process"};
    co_return;
  };
  return node;
}

}  // namespace

std::shared_ptr<state::Events> FakeRouter::make_events() {
  auto events = std::make_shared<state::Events>("5eed");
  events->declare("config.changed", "the configuration");
  events->declare("test.flood", "many");
  return events;
}

std::vector<int> FakeRouter::all_connections() {
  std::vector<int> ids(kConnections);
  std::iota(ids.begin(), ids.end(), 1);
  return ids;
}

state::Tree fake_tree(FakeRouter& router) {
  state::Tree tree;
  const Json lan{{"name", "lan"},
                 {"interfaces", {"eth1", "br-lan"}},
                 {"mtu", 1500},
                 {"source_validation", "strict"},
                 {"addresses", {"192.168.0.1/24", "fd00:1::1/64"}},
                 {"frames_in", 1000},
                 {"host", {{"tap", "lan"}}}};
  const Json drops{{"drops", {{"ttl", 3}, {"policy", 12}}},
                   {"frames_in", 1000},
                   {"frames_out", 980},
                   {"consumed", 5}};
  const Json status{{"name", "masqgate"},
                    {"version", "0.1.0"},
                    {"uptime_s", 61},
                    {"ports", {"lan", "wan"}},
                    {"connections", {{"count", 25}, {"max", 262144}}}};
  tree.add("status", Node{.summary = "name, version", .read = constant(status)});
  tree.add("ports", Node{.summary = "ports", .read = constant(Json{{"ports", {lan}}})});
  tree.add("connections", connections_node(router));
  tree.add("config", config_node(router));
  tree.add("events", Node{.summary = "what happens",
                          .parameters = {{"types", "only these"}},
                          .read_text = constant_text("the last ones\n"),
                          .events = router.events});
  tree.add("drops", Node{.summary = "drops",
                         .read = constant(drops),
                         .read_text = constant_text("ttl 3\npolicy 12\n")});
  tree.add("path", Node{.summary = "the corridor",
                        .read = constant(Json{{"stages", {"track", "route"}}}),
                        .read_text = constant_text("track → route\n")});
  Node divert{.summary = "divert", .read = constant(Json{{"ports", Json::array()}})};
  const auto port = [](const std::vector<std::string>&) {
    return Node{.summary = "a port", .read = constant(Json{{"port", 2222}})};
  };
  const auto listener = [](const std::vector<std::string>&) {
    return Node{.summary = "a listener",
                .read = constant(Json{{"id", "0"}}),
                .erase = [](Query) -> awaitable<Json> { co_return Json{}; }};
  };
  divert.branches = {{"{port}", port}, {"{port}/{listener}", listener}};
  tree.add("divert", std::move(divert));
  for (const char* path : {"net/divert", "net/netfilter/nfnetlink_queue"})
    tree.add(path, Node{.summary = path, .read_text = constant_text("")});
  Node rules = counted_node();
  rules.parameters = {{"unused", "only those without hits"}};
  tree.add("rules", std::move(rules));
  Node firewall = part_node(), sets = part_node();
  firewall.branches = {{"{chain}", child_node},
                       {"{chain}/rules", children_node},
                       {"{chain}/rules/{rule}", child_node}};
  sets.branches = {{"{set}", child_node}, {"{set}/elements", elements_node}};
  tree.add("firewall", std::move(firewall));
  tree.add("sets", std::move(sets));
  tree.add("helpers",
           Node{.summary = "helpers", .read = constant(Json{{"helpers", Json::array()}})});
  tree.add("expectations", Node{.summary = "expectations",
                                .read = constant(Json{{"expectations", Json::array()}})});
  tree.add("neighbours",
           Node{.summary = "neighbours", .read = constant(Json{{"neighbours", Json::array()}})});
  tree.add("nat/hosts", Node{.summary = "hosts",
                             .read = constant(Json{{"hosts", Json::array()}, {"count", 0}})});
  tree.add("routes", Node{.summary = "routes", .read = constant(Json{{"routes", Json::array()}})});
  for (const char* path :
       {"net/ip_masquerade", "net/ip_masq/tcp", "net/ip_masq/udp", "net/ip_masq/icmp",
        "net/ip_conntrack", "net/nf_conntrack", "net/ip_masq/app", "net/ip_conntrack_expect",
        "net/nf_conntrack_expect", "net/ip_fwchains", "net/ip_fwnames", "net/ip_tables_names",
        "net/ip_tables_matches", "net/ip_tables_targets"})
    tree.add(path, Node{.summary = path, .read_text = constant_text(std::string{path} + "\n")});
  tree.add("net/ip_masq/portfw",
           forwards_node("Prot LAddr    LPort > RAddr    RPort PrCnt  Pref               \n"
                         "TCP  CB007102    80 > C0A8000A  8080     3    10               \n"));
  tree.add("net/ip_masq/autofw", forwards_node("Type Prot\n"));
  tree.add("net/ip_masq/mfw",
           forwards_node("FwMark > RAddr    RPort PrCnt  Pref                            \n"
                         "0x1f > C0A8000A     0     0     0                              \n"));
  tree.add("sys/net/ipv4/ip_forward", ip_forward_node(router));
  tree.add("sys/net/ipv4/ip_masq_autofw_unchecked", ip_forward_node(router));
  add_numbers(tree);
  add_nat(tree);
  return tree;
}

}  // namespace masqgate::tests
