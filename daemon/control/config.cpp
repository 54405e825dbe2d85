// Reads the configuration document, all but "ports".

#include "daemon/control/config.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "daemon/control/config_words.hpp"
#include "daemon/firewall/firewall_json.hpp"
#include "daemon/state/json_text.hpp"

namespace masqgate::control {
namespace {

using json::Value;
using Names = std::vector<std::string>;

constexpr auto kMembers = std::to_array<std::string_view>({
    "runtime",
    "ports",
    "routes",
    "nat",
    "sets",
    "firewall",
    "conntrack",
    "helpers",
    "divert",
    "limits",
    "syn_proxy",
    "shard",
    "api",
    "tree",
    "ip_forward",
    "ip_always_defrag",
    "ip_dynaddr",
    "ip_masq_debug",
    "ip_masq_udp_dloose",
});

std::string read_path(const Value& value, std::size_t most) {
  const std::string& path = value.text();
  if (!path.starts_with('/') || path.find('\0') != std::string::npos)
    value.refuse(Value::quoted(path) + " is no absolute path such as /run/masqgate");
  if (path.size() > most)
    value.refuse("the path has " + std::to_string(path.size()) + " bytes; at most " +
                 std::to_string(most) + " are possible here");
  return path;
}

constexpr std::size_t kMaxPath = 4095;       // PATH_MAX - 1
constexpr std::size_t kMaxSocketPath = 107;  // sun_path - 1, unix(7)

RouteConfig read_route(const Value& value, const Names& names) {
  value.allow({"to", "via", "port", "metric", "table"});
  RouteConfig route;
  route.to = firewall::read_prefix(value.at("to"), value.at("to").text());
  if (const auto port = value.find("port"))
    route.port = firewall::read_port(*port, port->text(), names);
  if (const auto via = value.find("via")) {
    route.via = net::IpAddress::parse(via->text());
    if (!route.via) via->refuse(Value::quoted(via->text()) + " is no address such as 203.0.113.1");
    if (route.via->family() != route.to.family())
      via->refuse("is of another address family than \"to\"");
    if (route.via->is_unspecified() || route.via->is_multicast() || route.via->is_loopback() ||
        route.via->is_limited_broadcast())
      via->refuse(route.via->text() + " is no address of a router");
    if (route.via->is_link_local() && !route.port)
      via->refuse("is link-local, so that \"port\" must say on which link");
  } else if (!route.port) {
    value.refuse("a route needs \"via\", the address of a router, or \"port\", or both");
  }
  constexpr std::uint64_t kMost = 0xffffffff;
  if (const auto metric = value.find("metric"))
    route.metric = static_cast<std::uint32_t>(metric->number(0, kMost));
  if (const auto table = value.find("table"))
    route.table = static_cast<std::uint32_t>(table->number(1, kMost));
  return route;
}

// Linux tells routes apart by these.
bool is_same_route(const RouteConfig& a, const RouteConfig& b) {
  return a.to == b.to && a.metric == b.metric && a.table == b.table;
}

std::vector<RouteConfig> read_routes(const Value& value, const Config& config, const Names& names) {
  std::vector<RouteConfig> routes;
  for (const Value& one : value.elements()) {
    const RouteConfig route = read_route(one, names);
    for (const PortConfig& port : config.ports)
      for (const net::InterfaceAddress& own : port.addresses)
        if (route.via == own.address)
          one.at("via").refuse(own.address.text() + " is this router's own address on port " +
                               Value::quoted(port.name) + "; name the next router");
    const auto twin = std::ranges::find_if(
        routes, [&](const RouteConfig& other) { return is_same_route(route, other); });
    if (twin != routes.end())
      one.refuse("is the same as route " + std::to_string(twin - routes.begin()) +
                 "; change \"to\", \"metric\" or \"table\", or remove one");
    routes.push_back(route);
  }
  return routes;
}

struct TimeoutName {
  std::string_view name;
  Duration& (*find)(conntrack::Timeouts&);
};

template <conntrack::TcpState state>
Duration& tcp(conntrack::Timeouts& timeouts) {
  return timeouts.tcp[static_cast<std::size_t>(state)];
}

template <Duration conntrack::Timeouts::*member>
Duration& other(conntrack::Timeouts& timeouts) {
  return timeouts.*member;
}

using conntrack::TcpState;
using conntrack::Timeouts;

// Opening and closing at once (RFC 5382 REQ-5); what stands behind it in the list goes before it.
void set_transitory(conntrack::Timeouts& timeouts, Duration duration) {
  for (const TcpState state : {TcpState::syn_sent, TcpState::syn_recv, TcpState::fin_wait,
                               TcpState::close_wait, TcpState::last_ack, TcpState::time_wait})
    timeouts.tcp[static_cast<std::size_t>(state)] = duration;
}
constexpr std::string_view kTransitory = "tcp_transitory";

constexpr std::array<TimeoutName, 14> kTimeouts{{{"tcp_syn_sent", tcp<TcpState::syn_sent>},
                                                 {"tcp_syn_recv", tcp<TcpState::syn_recv>},
                                                 {"tcp_established", tcp<TcpState::established>},
                                                 {"tcp_fin_wait", tcp<TcpState::fin_wait>},
                                                 {"tcp_close_wait", tcp<TcpState::close_wait>},
                                                 {"tcp_last_ack", tcp<TcpState::last_ack>},
                                                 {"tcp_time_wait", tcp<TcpState::time_wait>},
                                                 {"tcp_close", tcp<TcpState::close>},
                                                 {"tcp_reset", other<&Timeouts::tcp_reset>},
                                                 {"udp", other<&Timeouts::udp>},
                                                 {"udp_stream", other<&Timeouts::udp_stream>},
                                                 {"icmp", other<&Timeouts::icmp>},
                                                 {"icmpv6", other<&Timeouts::icmpv6>},
                                                 {"generic", other<&Timeouts::generic>}}};

constexpr auto kTimeoutNames = [] {
  std::array<std::string_view, kTimeouts.size() + 1> names{kTransitory};
  for (std::size_t i = 0; i < kTimeouts.size(); ++i) names[i + 1] = kTimeouts[i].name;
  return names;
}();

ConntrackConfig read_conntrack(const Value& value) {
  value.allow({"max", "profile", "timeouts", "tcp"});
  ConntrackConfig config;
  constexpr std::uint64_t kLeast = 64, kMost = 16'777'216;  // 4 GB of region
  if (const auto max = value.find("max"))
    config.max = static_cast<std::uint32_t>(max->number(kLeast, kMost));
  if (const auto profile = value.find("profile")) config.profile = profile->word(words(kProfiles));
  if (const auto timeouts = value.find("timeouts")) config.timeouts = read_timeouts(*timeouts);
  if (const auto tcp = value.find("tcp")) {
    tcp->allow({"loose", "liberal"});
    if (const auto loose = tcp->find("loose")) config.tcp_loose = loose->boolean();
    if (const auto liberal = tcp->find("liberal")) config.tcp_liberal = liberal->boolean();
  }
  return config;
}

ShardConfig read_shard(const Value& value) {
  value.allow({"spin_us", "frames", "nice"});
  ShardConfig config;
  if (const auto spin = value.find("spin_us"))
    config.spin_us = static_cast<unsigned>(spin->number(0, 1'000'000));
  if (const auto frames = value.find("frames"))
    config.frames = static_cast<unsigned>(frames->number(kLeastFrames, 65536));
  if (const auto nice = value.find("nice")) config.nice = static_cast<int>(nice->integer(-20, 19));
  return config;
}

// 127.0.0.1:8080 or [::1]:8080.
net::Endpoint read_loopback(const Value& value) {
  const std::string& text = value.text();
  const std::size_t colon = text.rfind(':');
  std::string address = text.substr(0, colon);
  const bool in_brackets = address.starts_with('[') && address.ends_with(']');
  if (in_brackets) address = address.substr(1, address.size() - 2);
  const auto parsed = net::IpAddress::parse(address);
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : net::PortRange::parse(std::string_view{text}.substr(colon + 1));
  if (!parsed || !port || port->first != port->last || port->first == 0 ||
      in_brackets == parsed->is_v4())
    value.refuse(Value::quoted(text) +
                 " is no address with a port such as 127.0.0.1:8080 or [::1]:8080");
  if (!parsed->is_loopback())
    value.refuse(
        "must be a loopback address such as 127.0.0.1, because the API on TCP asks "
        "nobody who he is");
  return {*parsed, port->first};
}

ApiConfig read_api(const std::optional<Value>& value, const Value& document,
                   const std::string& runtime) {
  ApiConfig api{runtime + "/api.sock", std::nullopt};
  const auto socket = value ? value->allow({"socket", "tcp"}).find("socket") : std::nullopt;
  if (socket)
    api.socket = read_path(*socket, kMaxSocketPath);
  else if (api.socket.size() > kMaxSocketPath)
    (document.find("runtime") ? document.at("runtime") : document)
        .refuse("the socket " + api.socket + " would have more than " +
                std::to_string(kMaxSocketPath) + " bytes; shorten \"runtime\" or set api.socket");
  if (value)
    if (const auto tcp = value->find("tcp")) api.tcp = read_loopback(*tcp);
  return api;
}

bool is_below(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder.ends_with('/') ? folder : folder + "/");
}

std::optional<std::string> read_tree(const std::optional<Value>& value, const Config& config) {
  if (!value) return config.runtime + "/tree";
  if (value->json().is_boolean()) {
    if (value->boolean()) value->refuse("must be a path, or false for no virtual tree");
    return std::nullopt;
  }
  std::string tree = read_path(*value, kMaxPath);
  for (const std::string* hidden : {&config.runtime, &config.api.socket})
    if (is_below(*hidden, tree))
      value->refuse("would hide " + *hidden + "; mount the tree elsewhere");
  return tree;
}

Config read_document(const Value& document, const std::string& runtime,
                     const firewall::Sets& before) {
  document.allow([&] {
    static constexpr auto kKnown = [] {
      std::array<std::string_view, kMembers.size() + 1> known{};
      std::ranges::copy(kMembers, known.begin());
      known.back() = "$schema";  // for editors
      return known;
    }();
    return std::span<const std::string_view>{kKnown};
  }());
  Config config;
  config.runtime = runtime;
  if (const auto folder = document.find("runtime")) config.runtime = read_path(*folder, kMaxPath);
  if (const auto ports = document.find("ports")) config.ports = read_ports(*ports);
  const Names names = port_names(config);
  if (const auto routes = document.find("routes"))
    config.routes = read_routes(*routes, config, names);
  if (const auto nat = document.find("nat")) config.nat = read_nat(*nat, config);
  config.own_nat = config.nat.size();
  if (const auto sets = document.find("sets"))
    config.sets = firewall::read_sets(*sets, BootClock::now(), before);
  if (const auto firewall = document.find("firewall")) read_firewall(*firewall, config);
  if (const auto conntrack = document.find("conntrack"))
    config.conntrack = read_conntrack(*conntrack);
  const auto limits = document.find("limits");
  config.limits =
      limits ? read_limits(*limits, config.conntrack.max) : usual_limits(config.conntrack.max);
  if (const auto helpers = document.find("helpers")) config.helpers = read_helpers(*helpers);
  if (const auto guarded = document.find("syn_proxy"))
    config.syn_proxy = read_syn_proxy(*guarded, config);
  if (const auto shard = document.find("shard")) config.shard = read_shard(*shard);
  if (const auto divert = document.find("divert")) config.divert = read_divert(*divert);
  config.api = read_api(document.find("api"), document, config.runtime);
  config.tree = read_tree(document.find("tree"), config);
  if (const auto forward = document.find("ip_forward")) config.ip_forward = forward->boolean();
  if (const auto defragment = document.find("ip_always_defrag"))
    config.ip_always_defrag = defragment->boolean();
  if (const auto mode = document.find("ip_dynaddr"))
    config.ip_dynaddr = static_cast<unsigned>(mode->number(0, kMostDynaddr));
  if (const auto level = document.find("ip_masq_debug"))
    config.ip_masq_debug = static_cast<unsigned>(level->number(0, kMostMasqDebug));
  if (const auto loose = document.find("ip_masq_udp_dloose"))
    config.ip_masq_udp_dloose = loose->boolean();
  if (config.ports.empty())
    document.refuse("a router needs ports; describe at least one in \"ports\"");
  return config;
}

// At most one byte more than a document may have.
std::string read_file(const std::string& path) {
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  std::string text(state::kMaxDocument + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad() || (file.gcount() == 0 && errno != 0))
    throw state::Error{state::Problem::not_found,
                       path + ": cannot be read: " + std::generic_category().message(errno)};
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace

TimeoutWords read_timeouts(const Value& value) {
  TimeoutWords timeouts;
  for (const auto& [name, seconds] : value.allow(kTimeoutNames).members())
    timeouts[name] = std::chrono::seconds{seconds.number(1, kLongestTimeout)};
  return timeouts;
}

void change(conntrack::Timeouts& timeouts, const TimeoutWords& words) {
  if (const auto found = words.find(kTransitory); found != words.end())
    set_transitory(timeouts, found->second);
  for (const TimeoutName& one : kTimeouts)
    if (const auto found = words.find(one.name); found != words.end())
      one.find(timeouts) = found->second;
}

std::span<const std::string_view> timeout_names() {
  return kTimeoutNames;
}

std::string default_runtime() {
  const char* folders = std::getenv("RUNTIME_DIRECTORY");
  const std::string_view all = folders == nullptr ? "" : folders;
  const std::string_view first = all.substr(0, all.find(':'));
  return first.empty() ? "/run/masqgate" : std::string{first};
}

Config from_json(const state::Json& document, const std::string& runtime,
                 const firewall::Sets& before) {
  try {
    return read_document(Value{document}, runtime, before);
  } catch (const json::Error& error) {
    throw state::Error{state::Problem::invalid, error.what(), error.pointer()};
  }
}

Config parse_config(std::string_view text, const std::string& runtime,
                    const firewall::Sets& before) {
  return from_json(state::parse_json(text), runtime, before);
}

ConfigFile load(const std::string& path, const std::string& runtime, const firewall::Sets& before) {
  const std::string text = read_file(path);
  try {
    return {path, parse_config(text, runtime, before)};
  } catch (const state::Error& error) {
    const std::string place = error.pointer().empty() ? "" : error.pointer() + ": ";
    throw state::Error{error.problem(), path + ": " + place + error.what(), error.pointer()};
  }
}

std::vector<std::string> port_names(const Config& config) {
  Names names;
  for (const PortConfig& port : config.ports) names.push_back(port.name);
  return names;
}

conntrack::Timeouts timeouts_of(const ConntrackConfig& config) {
  conntrack::Timeouts timeouts = conntrack::Timeouts::of(config.profile);
  change(timeouts, config.timeouts);
  timeouts.tcp_loose = config.tcp_loose;
  timeouts.tcp_liberal = config.tcp_liberal;
  return timeouts;
}

std::uint64_t timeout_seconds(const ConntrackConfig& config, std::string_view name) {
  conntrack::Timeouts timeouts = timeouts_of(config);
  const auto found = std::ranges::find(kTimeouts, name, &TimeoutName::name);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(found->find(timeouts));
  return static_cast<std::uint64_t>(seconds.count());
}

}  // namespace masqgate::control
