#include "daemon/control/documents.hpp"

#include <array>
#include <charconv>
#include <cstdio>

#include "daemon/conntrack/tcp_state.hpp"

namespace masqgate::control {
namespace {

using conntrack::Connection;

std::string state_text(const Connection& c) {
  if (c.original.protocol == net::Protocol::tcp) return std::string{conntrack::name(c.tcp_state)};
  return c.has(Connection::kSeenReply) ? "REPLIED" : "UNREPLIED";
}

Json half_document(const Tuple& tuple, const conntrack::Half& half) {
  Json json{{"source", tuple.source_address.text()},
            {"destination", tuple.destination_address.text()}};
  if (tuple.has_ports()) {
    json["source_port"] = tuple.source_port;
    json["destination_port"] = tuple.destination_port;
  } else if (tuple.is_icmp()) {
    json["id"] = tuple.is_icmp_reply != 0 ? tuple.destination_port : tuple.source_port;
  } else if (tuple.protocol == net::Protocol::esp && tuple.spi() != 0) {
    json["spi"] = tuple.spi();
  }
  json["packets"] = std::uint64_t{half.packets};
  json["bytes"] = half.bytes;
  return json;
}

std::string port_name(PortIndex port, const std::vector<path::PortInfo>& ports) {
  return port < ports.size() ? ports[port].name : std::string{};
}

// "name                 value", one a line.
std::string row(std::string_view name, std::uint64_t value) {
  std::string line{name};
  line.resize(std::max<std::size_t>(24, line.size() + 1), ' ');
  return line + std::to_string(value) + "\n";
}

}  // namespace

std::string id_text(std::uint64_t id) {
  std::array<char, 17> text;
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(id));
  return text.data();
}

std::optional<std::uint64_t> parse_id(std::string_view text) {
  std::uint64_t id = 0;
  const char* end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, id, 16);
  if (problem != std::errc{} || stop != end || text.size() != 16) return std::nullopt;
  return id;
}

Json connection_document(const Slice::Entry& entry, Time now) {
  const Connection& c = entry.connection;
  const auto seconds = [](Duration d) {
    return std::chrono::duration_cast<std::chrono::seconds>(std::max(d, Duration{})).count();
  };
  return {{"id", id_text(entry.id)},
          {"protocol", net::text(c.original.protocol)},
          {"state", state_text(c)},
          {"timeout_s", seconds(c.expires() - now)},
          {"age_s", seconds(now - c.created())},
          {"assured", c.has(Connection::kAssured)},
          {"masquerade", c.has(Connection::kSourceNat)},
          {"local", c.has(Connection::kLocal)},
          {"mark", c.mark},
          {"original", half_document(c.original, c.half(Direction::original))},
          {"reply", half_document(c.reply, c.half(Direction::reply))}};
}

ConnectionFilter ConnectionFilter::parse(const state::Query& query) {
  ConnectionFilter filter;
  const auto value = [&](std::string_view name) -> std::optional<std::string> {
    const auto found = query.find(name);
    return found == query.end() ? std::nullopt : std::optional{found->second};
  };
  const auto refuse = [](const std::string& what) {
    throw state::Error(state::Problem::malformed, what);
  };
  if (const auto text = value("protocol")) {
    filter.protocol = net::parse_protocol(*text);
    if (!filter.protocol)
      refuse("protocol: \"" + *text + "\" is no protocol: tcp, udp, icmp or a number");
  }
  if (const auto text = value("address")) {
    filter.address = net::IpAddress::parse(*text);
    if (!filter.address) refuse("address: \"" + *text + "\" is no IP address");
  }
  filter.state = value("state").value_or("");
  return filter;
}

bool ConnectionFilter::matches(const Connection& c) const {
  if (protocol && c.original.protocol != *protocol) return false;
  if (!state.empty() && state_text(c) != state) return false;
  if (!address) return true;
  return c.original.source_address == *address || c.original.destination_address == *address ||
         c.reply.source_address == *address || c.reply.destination_address == *address;
}

constexpr std::size_t kPage = 100, kLongestPage = 1000;

std::size_t page_size(const state::Query& query) {
  const auto found = query.find("limit");
  if (found == query.end()) return kPage;
  const std::string& text = found->second;
  std::size_t value = 0;
  const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || stop != text.data() + text.size() || value == 0 ||
      value > kLongestPage)
    throw state::Error(state::Problem::malformed,
                       "limit: a number from 1 to " + std::to_string(kLongestPage));
  return value;
}

std::uint32_t cursor_of(const state::Query& query) {
  const auto found = query.find("cursor");
  if (found == query.end()) return 0;
  const auto cursor = parse_id(found->second);
  if (!cursor || *cursor > 0xffffffff)
    throw state::Error(state::Problem::malformed, "cursor: use the \"next\" of an earlier page");
  return static_cast<std::uint32_t>(*cursor);
}

Json drops_document(const path::Counters& counters, std::size_t parked) {
  Json drops = Json::object();
  for (std::size_t i = 0; i < kDropReasons; ++i)
    drops[std::string{kDropReasonNames[i]}] = counters.drops[i];
  return {{"frames_in", counters.frames_in},
          {"frames_made", counters.frames_made},
          {"frames_out", counters.frames_out},
          {"consumed", counters.consumed},
          {"parked", parked},
          {"dropped", counters.dropped()},
          {"drops", std::move(drops)}};
}

std::string drops_text(const path::Counters& counters, std::size_t parked) {
  std::string text = row("frames_in", counters.frames_in) +
                     row("frames_made", counters.frames_made) +
                     row("frames_out", counters.frames_out) + row("consumed", counters.consumed) +
                     row("parked", parked) + row("dropped", counters.dropped());
  for (std::size_t i = 0; i < kDropReasons; ++i)
    text += row(kDropReasonNames[i], counters.drops[i]);
  return text;
}

Json path_document(const path::Counters& counters) {
  Json lists = Json::object();
  for (std::size_t list = 0; list < path::kLists; ++list) {
    const auto stages = path::stages_of(static_cast<path::List>(list));
    Json rows = Json::array();
    for (std::size_t i = 0; i < stages.size(); ++i) {
      const path::StageCounters& stage = counters.stages[list][i];
      rows.push_back({{"stage", stages[i].name},
                      {"entered", stage.entered},
                      {"dropped", stage.dropped},
                      {"stolen", stage.stolen}});
    }
    lists[std::string{path::name(static_cast<path::List>(list))}] = std::move(rows);
  }
  return {{"shortcuts", counters.shortcuts}, {"lists", std::move(lists)}};
}

std::string path_text(const path::Counters& counters) {
  const auto line = [](std::string_view list, std::string_view stage,
                       const path::StageCounters& c) {
    std::array<char, 128> text;
    const int size = std::snprintf(
        text.data(), text.size(), "%-10.*s %-14.*s %12llu %10llu %10llu\n",
        static_cast<int>(list.size()), list.data(), static_cast<int>(stage.size()), stage.data(),
        static_cast<unsigned long long>(c.entered), static_cast<unsigned long long>(c.dropped),
        static_cast<unsigned long long>(c.stolen));
    return std::string{text.data(), static_cast<std::size_t>(size)};
  };
  std::string text = "list       stage               entered    dropped     stolen\n";
  text += line("shortcut", "transmit", {counters.shortcuts, 0, 0});
  for (std::size_t list = 0; list < path::kLists; ++list) {
    const auto stages = path::stages_of(static_cast<path::List>(list));
    for (std::size_t i = 0; i < stages.size(); ++i)
      text +=
          line(path::name(static_cast<path::List>(list)), stages[i].name, counters.stages[list][i]);
  }
  return text;
}

Json neighbours_document(const std::vector<neighbour::Neighbour>& neighbours,
                         const std::vector<path::PortInfo>& ports) {
  static constexpr std::array<std::string_view, 4> kStates{"unresolved", "usable", "stale",
                                                           "failed"};
  Json list = Json::array();
  for (const neighbour::Neighbour& n : neighbours)
    list.push_back({{"port", port_name(n.port, ports)},
                    {"address", n.address.text()},
                    {"mac", n.was_usable ? Json(n.mac.text()) : Json(nullptr)},
                    {"state", kStates[static_cast<std::size_t>(n.state)]},
                    {"waiting", n.waiting}});
  return {{"neighbours", std::move(list)}};
}

void add_counter(Json& rule, const path::RuleCounter& counter, Time now) {
  rule["packets"] = counter.packets;
  rule["bytes"] = counter.bytes;
  if (counter.packets == 0)
    rule["idle_s"] = nullptr;
  else
    rule["idle_s"] = std::chrono::duration_cast<std::chrono::seconds>(now - counter.last).count();
}

Json rules_document(const firewall::Ruleset& ruleset,
                    const std::vector<path::RuleCounter>& counters, Time now,
                    const std::vector<bool>& which) {
  Json list = Json::array();
  for (std::size_t i = 0; i < ruleset.counters() && i < counters.size(); ++i) {
    if (i >= which.size() || !which[i]) continue;
    const auto name = ruleset.counter(static_cast<firewall::CounterIndex>(i));
    Json one{{"chain", name.chain}, {"rule", name.rule}};
    add_counter(one, counters[i], now);
    list.push_back(std::move(one));
  }
  return {{"rules", std::move(list)}};
}

Json rules_document(const firewall::Ruleset& ruleset,
                    const std::vector<path::RuleCounter>& counters, Time now, bool unused) {
  std::vector<bool> which(counters.size(), true);
  for (std::size_t i = 0; unused && i < counters.size(); ++i) which[i] = counters[i].packets == 0;
  return rules_document(ruleset, counters, now, which);
}

std::string version_of(const Json& document) {
  return id_text(std::hash<std::string>{}(document.dump()));
}

Json routes_document(const route::Table& table, const std::vector<path::PortInfo>& ports) {
  static constexpr std::array<std::string_view, 9> kKinds{"unicast",   "local",     "broadcast",
                                                          "multicast", "blackhole", "unreachable",
                                                          "prohibit",  "throw",     "none"};
  Json list = Json::array();
  for (const route::Route& route : table.routes()) {
    Json hops = Json::array();
    for (const route::NextHop& hop : route.next_hops)
      hops.push_back({{"port", port_name(hop.egress, ports)},
                      {"via", hop.gateway ? Json(hop.gateway->text()) : Json(nullptr)},
                      {"weight", hop.weight}});
    list.push_back({{"to", route.destination.text()},
                    {"table", route.table},
                    {"kind", kKinds[static_cast<std::size_t>(route.kind)]},
                    {"metric", route.metric},
                    {"next_hops", std::move(hops)}});
  }
  return {{"routes", std::move(list)}};
}

}  // namespace masqgate::control
