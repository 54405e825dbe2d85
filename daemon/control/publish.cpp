#include "daemon/control/publish.hpp"

#include <algorithm>

#include "daemon/control/changes.hpp"
#include "daemon/control/config_words.hpp"
#include "daemon/control/documents.hpp"
#include "daemon/control/helper_files.hpp"
#include "daemon/control/limit_log.hpp"
#include "daemon/control/publish_divert.hpp"
#include "daemon/control/publish_firewall.hpp"
#include "daemon/control/publish_forwards.hpp"
#include "daemon/control/publish_helpers.hpp"
#include "daemon/control/publish_nat.hpp"
#include "daemon/control/publish_rules.hpp"
#include "daemon/control/publish_sysctl.hpp"
#include "daemon/control/table_page.hpp"
#include "daemon/control/virtual_files.hpp"

namespace masqgate::control {
namespace {

using state::Json;
using state::Node;
using state::Query;

// What the virtual files are made from.
struct TableCopy {
  std::vector<conntrack::Connection> connections;
  FreePorts free;
  std::vector<helper::Expectation> expected;
  Time now{};
};

asio::awaitable<TableCopy> copy_table(ShardAccess shard) {
  TableCopy copy;
  const auto entries = co_await copy_connections(shard);
  for (const Slice::Entry& entry : entries) copy.connections.push_back(entry.connection);
  const auto question = [](path::Shard& s) {
    const auto free = [&](net::Protocol protocol) { return s.mappings().classic_free(protocol); };
    return FreePorts{free(net::Protocol::udp), free(net::Protocol::tcp), free(net::Protocol::icmp)};
  };
  copy.free = co_await shard.ask(question);
  const auto expected = [](path::Shard& s) { return s.helpers().expectations().list(); };
  copy.expected = co_await shard.ask(expected);
  copy.now = BootClock::now();
  co_return copy;
}

struct CountersCopy {
  path::Counters counters;
  std::size_t parked = 0;
};

asio::awaitable<CountersCopy> copy_counters(ShardAccess shard) {
  const auto question = [](path::Shard& s) { return CountersCopy{s.counters(), s.parked()}; };
  CountersCopy copy = co_await shard.ask(question);
  co_return copy;
}

// A file of the virtual tree made from the whole table.
template <typename Format>
Node table_file(Router& router, std::string summary, Format format) {
  return {.summary = std::move(summary),
          .read_text = [&router, format]() -> asio::awaitable<std::string> {
            const TableCopy copy = co_await copy_table(router.shard());
            co_return format(copy);
          }};
}

asio::awaitable<Json> connections_page(Router& router, Query query) {
  return table_page<ConnectionFilter>(router.shard(), std::move(query), "connections", copy_slice,
                                      connection_document);
}

asio::awaitable<void> remove_connection(Router& router, std::string name) {
  const auto id = parse_id(name);
  bool removed = false;
  if (id) {
    const auto question = [wanted = *id](path::Shard& s) { return s.remove_connection(wanted); };
    removed = co_await router.shard().ask(question);
  }
  if (!removed) throw state::Error(state::Problem::not_found, "no connection has the id " + name);
}

struct StatusCopy {
  std::size_t connections = 0;
  std::size_t max_connections = 0;
  double bytes_per_connection = 0;
  conntrack::TableCounters table;
  std::uint64_t frames_in = 0;
  std::uint64_t frames_out = 0;
  std::uint64_t shortcuts = 0;
  std::uint64_t refused = 0;
  path::SynProxy::Counters syn_proxy;
};

asio::awaitable<Json> status(Router& router, std::string version) {
  const auto question = [](path::Shard& s) {
    const conntrack::Table& table = s.connections();
    const double bytes = table.bytes_per_connection() + s.mappings().bytes_per_connection();
    return StatusCopy{table.size(),
                      table.capacity(),
                      bytes,
                      table.counters(),
                      s.counters().frames_in,
                      s.counters().frames_out,
                      s.counters().shortcuts,
                      s.counters().connections_refused,
                      s.syn_proxy().counters()};
  };
  const StatusCopy copy = co_await router.shard().ask(question);
  const auto uptime =
      std::chrono::duration_cast<std::chrono::seconds>(BootClock::now() - router.started());
  Json ports = Json::array();
  for (const PortConfig& port : router.config().ports) ports.push_back(port.name);
  co_return Json{
      {"name", "masqgate"},
      {"version", std::move(version)},
      {"uptime_s", uptime.count()},
      {"forwarding", router.forwarding()},
      {"ports", std::move(ports)},
      {"connections",
       {{"count", copy.connections},
        {"max", copy.max_connections},
        {"created", copy.table.created},
        {"expired", copy.table.expired},
        {"evicted", copy.table.evicted},
        {"refused", copy.refused},
        {"bytes_each", copy.bytes_per_connection}}},
      {"frames", {{"in", copy.frames_in}, {"out", copy.frames_out}, {"shortcut", copy.shortcuts}}},
      {"syn_proxy",
       {{"answered", copy.syn_proxy.answered},
        {"opened", copy.syn_proxy.opened},
        {"refused", copy.syn_proxy.refused}}},
      {"overlaps", router.overlaps()},
      {"kernel",
       {{"events", router.kernel_counters().events},
        {"overruns", router.kernel_counters().overruns}}}};
}

Json interface_document(const path::InterfaceCounters& counters) {
  return {{"frames_in", counters.frames_in},
          {"bytes_in", counters.bytes_in},
          {"frames_out", counters.frames_out},
          {"bytes_out", counters.bytes_out}};
}

asio::awaitable<Json> ports(Router& router) {
  struct Now {
    path::InterfaceCounters network, host;
    path::SourceValidation source_validation{};
  };
  const auto question = [count = router.config().ports.size()](path::Shard& s) {
    std::vector<Now> all;
    for (PortIndex i = 0; i < count; ++i) {
      all.push_back({s.counters(i, Side::network), s.counters(i, Side::host)});
      if (i < s.policy().ports.size()) all.back().source_validation = s.port(i).source_validation;
    }
    return all;
  };
  const std::vector<Now> now = co_await router.shard().ask(question);
  Json list = Json::array();
  for (std::size_t i = 0; i < now.size(); ++i) {
    const PortConfig& config = router.config().ports[i];
    const path::PortInfo info =
        i < router.kernel().ports.size() ? router.kernel().ports[i] : path::PortInfo{};
    Json addresses = Json::array();
    for (const net::InterfaceAddress& address : info.addresses) addresses.push_back(address.text());
    list.push_back(
        {{"name", config.name},
         {"network_side", network_side_of(config)},
         {"bridge", bridge_of(config)},
         {"devices", config.devices},
         {"mac", info.has_link_layer ? Json(info.mac.text()) : Json(nullptr)},
         {"mtu", info.mtu},
         {"up", info.up},
         {"addresses", std::move(addresses)},
         {"source_validation", json::word_of(words(kSourceValidations), now[i].source_validation)},
         {"network", interface_document(now[i].network)},
         {"host", interface_document(now[i].host)}});
  }
  co_return Json{{"ports", std::move(list)}};
}

asio::awaitable<Json> neighbours(Router& router) {
  const auto question = [](path::Shard& s) { return s.neighbours().entries(); };
  const std::vector<neighbour::Neighbour> all = co_await router.shard().ask(question);
  co_return neighbours_document(all, router.kernel().ports);
}

asio::awaitable<Json> write_config(Router& router, Json document, Query query) {
  auto changing = change(router, std::move(document), std::move(query));
  Json report = co_await std::move(changing);
  co_return report.is_null() ? to_json(router.config()) : std::move(report);
}

void publish_documents(state::Tree& tree, Router& router, const std::string& version) {
  tree.add("status", {.summary = "What runs, since when, and how full the connection table is.",
                      .read = [&router, version](Query) { return status(router, version); }});
  tree.add("events",
           {.summary = "What happens, as it happens; as a text, what has happened lately.",
            .parameters = {{"types", "only these, such as config.changed,divert"}},
            .read_text = [&router]() -> asio::awaitable<std::string> {
              co_return router.events()->text();
            },
            .events = router.events()});
  tree.add("ports", {.summary = "Every port with its interfaces, addresses and frame counters.",
                     .read = [&router](Query) { return ports(router); }});
  tree.add(
      "connections",
      {.summary = "Tracked connections, page by page; DELETE one by its id.",
       .parameters = {{"cursor", "the \"next\" of the page before"},
                      {"limit", "connections on a page, 1 to 1000; 100 if not given"},
                      {"protocol", "only this one: tcp, udp, icmp, or a number"},
                      {"state", "only this one: ESTABLISHED, SYN_SENT, REPLIED …"},
                      {"address", "only those with this address at any end"}},
       .read = [&router](Query query) { return connections_page(router, std::move(query)); },
       .remove = [&router](std::string id) { return remove_connection(router, std::move(id)); }});
  tree.add("neighbours",
           {.summary = "Next hops, their link-layer addresses, and who waits for them.",
            .read = [&router](Query) { return neighbours(router); }});
  tree.add("routes", {.summary = "The kernel's routes as the packet path uses them.",
                      .read = [&router](Query) -> asio::awaitable<Json> {
                        co_return routes_document(*router.kernel().routes, router.kernel().ports);
                      }});
  tree.add(
      "config",
      {.summary = "The configuration in force; PUT replaces it whole or changes nothing.",
       .parameters = change_parameters(),
       .read = [&router](Query) -> asio::awaitable<Json> { co_return to_json(router.config()); },
       .write =
           [&router](Json document, Query query) {
             return write_config(router, std::move(document), std::move(query));
           },
       .version = [&router] { return version_of(to_json(router.config())); }});
}

void publish_counters(state::Tree& tree, Router& router) {
  tree.add("drops", {.summary = "Frames in, out, and dropped, every drop by its reason.",
                     .read = [&router](Query) -> asio::awaitable<Json> {
                       const CountersCopy copy = co_await copy_counters(router.shard());
                       co_return drops_document(copy.counters, copy.parked);
                     },
                     .read_text = [&router]() -> asio::awaitable<std::string> {
                       const CountersCopy copy = co_await copy_counters(router.shard());
                       co_return drops_text(copy.counters, copy.parked);
                     }});
  tree.add("path", {.summary = "The corridor: every stage in its order, with its counters.",
                    .read = [&router](Query) -> asio::awaitable<Json> {
                      const CountersCopy copy = co_await copy_counters(router.shard());
                      co_return path_document(copy.counters);
                    },
                    .read_text = [&router]() -> asio::awaitable<std::string> {
                      const CountersCopy copy = co_await copy_counters(router.shard());
                      co_return path_text(copy.counters);
                    }});
}

void publish_virtual_files(state::Tree& tree, Router& router) {
  tree.add(
      "net/ip_masquerade",
      table_file(router, "Masqueraded connections as Linux 2.2 listed them.",
                 [](const TableCopy& t) { return ip_masquerade(t.connections, t.free, t.now); }));
  for (const net::Protocol protocol : {net::Protocol::tcp, net::Protocol::udp, net::Protocol::icmp})
    tree.add("net/ip_masq/" + net::text(protocol),
             table_file(router, "Masqueraded connections of one protocol as Linux 2.2 listed them.",
                        [protocol](const TableCopy& t) {
                          return ip_masq(protocol, t.connections, t.free, t.now);
                        }));
  tree.add("net/ip_conntrack",
           table_file(router, "Tracked IPv4 connections as Linux 2.4 listed them.",
                      [](const TableCopy& t) {
                        return ip_conntrack(t.connections, t.now) + expecting(t.expected, t.now);
                      }));
  tree.add("net/nf_conntrack",
           table_file(router, "Tracked connections of both families as Linux lists them today.",
                      [](const TableCopy& t) { return nf_conntrack(t.connections, t.now); }));
}

}  // namespace

void publish(state::Tree& tree, Router& router, const std::string& version) {
  publish_documents(tree, router, version);
  publish_counters(tree, router);
  publish_virtual_files(tree, router);
  publish_forwards(tree, router);
  publish_nat(tree, router);
  publish_rules(tree, router);
  publish_firewall(tree, router);
  publish_sysctl(tree, router);
  publish_limits(tree, router);
  publish_helpers(tree, router);
  publish_divert(tree, router);
}

}  // namespace masqgate::control
