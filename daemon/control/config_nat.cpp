// The section "nat" of the configuration document: reading, checking, writing, compiling.

#include <algorithm>
#include <set>

#include "daemon/control/config_words.hpp"
#include "daemon/firewall/firewall_json.hpp"

namespace masqgate::control {
namespace {

using json::Value;
using state::Json;
using Names = std::vector<std::string>;
using Kind = NatConfig::Kind;
using nat::AddressRange;
using nat::Behaviour;

constexpr std::uint64_t kMostAddresses = 65536;  // of a pool
constexpr std::size_t kMostGuarded = 64;      // each new TCP connection from outside asks them all
constexpr std::size_t kMostTimeoutSets = 64;  // the connection has a byte for their number

constexpr std::array<std::pair<std::string_view, Kind>, 6> kKinds{{{"masquerade", Kind::masquerade},
                                                                   {"snat", Kind::snat},
                                                                   {"netmap", Kind::netmap},
                                                                   {"exclude", Kind::exclude},
                                                                   {"dnat", Kind::dnat},
                                                                   {"redirect", Kind::redirect}}};
constexpr std::array<std::pair<std::string_view, Behaviour>, 5> kPresets{
    {{"rfc", nat::kRfc},
     {"linux", nat::kLinux},
     {"classic-2.2", nat::kClassic22},
     {"symmetric", nat::kSymmetric},
     {"open", nat::kOpen}}};
constexpr std::array<std::pair<std::string_view, nat::Scope>, 3> kScopes{
    {{"endpoint-independent", nat::Scope::endpoint},
     {"address-dependent", nat::Scope::address},
     {"address-and-port-dependent", nat::Scope::connection}}};
constexpr std::array<std::pair<std::string_view, nat::PortChoice>, 4> kPortChoices{
    {{"preserve", nat::PortChoice::preserve},
     {"random", nat::PortChoice::random},
     {"contiguous", nat::PortChoice::contiguous},
     {"classic", nat::PortChoice::classic}}};
constexpr std::array<std::pair<std::string_view, nat::Refresh>, 2> kRefreshes{
    {{"outbound", nat::Refresh::outbound}, {"both", nat::Refresh::both}}};
constexpr std::array<std::pair<std::string_view, nat::UnsolicitedSyn>, 2> kUnsolicitedSyns{
    {{"silent", nat::UnsolicitedSyn::silent}, {"unreachable", nat::UnsolicitedSyn::unreachable}}};
constexpr std::array<std::pair<std::string_view, nat::Hairpin>, 3> kHairpins{
    {{"external", nat::Hairpin::external},
     {"internal", nat::Hairpin::internal},
     {"off", nat::Hairpin::off}}};

bool is_source_kind(Kind kind) {
  return kind == Kind::masquerade || kind == Kind::snat;
}

// What differs from a preset.
Behaviour read_behaviour(const Value& value) {
  Behaviour behaviour;
  if (const auto preset = value.find("preset")) behaviour = preset->word(words(kPresets));
  if (const auto mapping = value.find("mapping")) behaviour.mapping = mapping->word(words(kScopes));
  if (const auto filter = value.find("filtering"))
    behaviour.filtering = filter->word(words(kScopes));
  if (const auto ports = value.find("ports")) behaviour.ports = ports->word(words(kPortChoices));
  if (const auto parity = value.find("parity")) behaviour.parity = parity->boolean();
  if (const auto overload = value.find("overload")) behaviour.overload = overload->boolean();
  if (const auto paired = value.find("paired")) behaviour.paired = paired->boolean();
  if (const auto hairpin = value.find("hairpin"))
    behaviour.hairpin = hairpin->word(words(kHairpins));
  if (const auto refresh = value.find("refresh"))
    behaviour.refresh = refresh->word(words(kRefreshes));
  if (const auto syn = value.find("unsolicited_syn"))
    behaviour.unsolicited_syn = syn->word(words(kUnsolicitedSyns));
  return behaviour;
}

// "rfc", or an object.
void read_profile(const Value& value, NatConfig& rule) {
  if (value.json().is_string()) {
    rule.behaviour = value.word(words(kPresets));
    return;
  }
  value.allow({"preset", "mapping", "filtering", "ports", "parity", "overload", "paired", "hairpin",
               "refresh", "unsolicited_syn", "timeouts"});
  rule.behaviour = read_behaviour(value);
  if (const auto timeouts = value.find("timeouts")) rule.timeouts = read_timeouts(*timeouts);
}

// "203.0.113.5" or "203.0.113.8-203.0.113.15".
AddressRange read_range(const Value& value) {
  const std::string& text = value.text();
  const std::size_t dash = text.find('-');
  const auto first = net::IpAddress::parse(text.substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : net::IpAddress::parse(text.substr(dash + 1));
  if (!first || !last)
    value.refuse(Value::quoted(text) +
                 " is no address, and no range such as 203.0.113.8-203.0.113.15");
  if (first->is_v4() != last->is_v4()) value.refuse("mixes IPv4 and IPv6");
  if (*last < *first) value.refuse("is empty: the last address lies before the first");
  const AddressRange range{*first, *last};
  if (range.size() > kMostAddresses)
    value.refuse("has more than " + std::to_string(kMostAddresses) + " addresses");
  return range;
}

std::vector<AddressRange> read_pool(const Value& value) {
  std::vector<Value> parts{value};
  if (value.json().is_array()) parts = value.elements();
  if (parts.empty()) value.refuse("is empty; name at least one address");
  std::vector<AddressRange> pool;
  for (const Value& part : parts) {
    pool.push_back(read_range(part));
    if (pool.back().first.is_v4() != pool.front().first.is_v4()) part.refuse("mixes IPv4 and IPv6");
    for (std::size_t i = 0; i + 1 < pool.size(); ++i)
      if (pool[i].contains(pool.back().first) || pool.back().contains(pool[i].first))
        part.refuse("overlaps with an earlier range of this pool");
  }
  return pool;
}

net::PortRange read_port_range(const Value& value) {
  if (value.json().is_number()) {
    const auto port = static_cast<net::Port>(value.number(1, 65535));
    return {port, port};
  }
  const auto range = net::PortRange::parse(value.text()).value_or(net::PortRange{0, 0});
  if (range.first == 0 || range.first > range.last)
    value.refuse(Value::quoted(value.text()) +
                 " is no port from 1 to 65535 and no range such as 8000-8080");
  return range;
}

nat::Selector read_addresses(const Value& value) {
  nat::Selector selector;
  if (const auto source = value.find("source"))
    selector.source = firewall::read_prefix(*source, source->text());
  if (const auto destination = value.find("destination"))
    selector.destination = firewall::read_prefix(*destination, destination->text());
  return selector;
}

nat::Selector read_selector(const Value& value) {
  nat::Selector selector = read_addresses(value);
  if (const auto protocol = value.find("protocol")) {
    selector.protocol = net::parse_protocol(protocol->text());
    if (!selector.protocol)
      protocol->refuse(Value::quoted(protocol->text()) + " is no protocol: tcp, udp or a number");
  }
  if (const auto ports = value.find("destination_port")) {
    selector.destination_ports = read_port_range(*ports);
    if (!selector.protocol)
      ports->refuse("needs \"protocol\": ports are something else for each of them");
  }
  return selector;
}

// Nobody at the link finds an address that is in the port's network and not the port's.
void check_is_ours(const Value& value, const AddressRange& range, const PortConfig& port) {
  for (std::uint64_t i = 0; i < range.size(); ++i) {
    const net::IpAddress address = range.at(i);
    const auto is_own = [&](const auto& own) { return own.address == address; };
    const auto is_near = [&](const auto& own) { return own.network().contains(address); };
    if (std::ranges::any_of(port.addresses, is_near) &&
        std::ranges::none_of(port.addresses, is_own))
      value.refuse(address.text() + " is in the network of port " + Value::quoted(port.name) +
                   " but not an address of it, so nobody there will find it; add it to /ports/" +
                   port.name + "/addresses");
  }
}

void check_family(const Value& value, const std::optional<net::Prefix>& prefix,
                  net::IpAddress target) {
  if (prefix && prefix->address().is_v4() != target.is_v4())
    value.refuse("is of another family than the addresses that the rule gives");
}

void check_is_foreign(const Value& value, const AddressRange& range, const Config& config) {
  for (const PortConfig& port : config.ports)
    for (const net::InterfaceAddress& own : port.addresses)
      if (range.contains(own.address))
        value.refuse(own.address.text() + " is this router's own address on port " +
                     Value::quoted(port.name) + "; use \"redirect\"");
}

void read_snat(const Value& value, NatConfig& rule, const PortConfig& port) {
  const Value to = value.at("to");
  rule.to = read_pool(to);
  for (const AddressRange& range : rule.to) check_is_ours(to, range, port);
  check_family(to, rule.selector.source, rule.to.front().first);
  check_family(to, rule.selector.destination, rule.to.front().first);
}

void read_netmap(const Value& value, NatConfig& rule, const PortConfig& port) {
  const Value source = value.at("source"), to = value.at("to");
  rule.network = firewall::read_prefix(to, to.text());
  const net::Prefix inside = *rule.selector.source;
  check_family(to, inside, rule.network.address());
  if (inside.length() != rule.network.length())
    to.refuse("must have as many bits as \"source\" (" + std::to_string(inside.length()) +
              "), because every address is mapped to one");
  if (inside.contains(rule.network) || rule.network.contains(inside))
    to.refuse("overlaps with \"source\"");
  if (rule.network == net::Prefix::host(rule.network.address()))
    check_is_ours(to, {rule.network.address(), rule.network.address()}, port);
}

void read_dnat(const Value& value, NatConfig& rule, const Config& config) {
  const Value to = value.at("to");
  rule.to = {read_range(to)};
  check_is_foreign(to, rule.to.front(), config);
  check_family(to, rule.selector.source, rule.to.front().first);
  check_family(to, rule.selector.destination, rule.to.front().first);
}

void read_ports(const Value& value, NatConfig& rule) {
  const auto ports = value.find(is_source_kind(rule.kind) ? "to_ports" : "to_port");
  if (!ports) return;
  rule.ports = read_port_range(*ports);
  if (!is_source_kind(rule.kind) && !rule.selector.protocol)
    ports->refuse("needs \"protocol\": ports are something else for each of them");
}

NatConfig read_rule(const Value& value, const Config& config, const Names& names) {
  std::vector<std::pair<std::string_view, Kind>> found;
  for (const auto& entry : kKinds)
    if (value.find(entry.first)) found.push_back(entry);
  if (found.size() != 1)
    value.refuse(
        "must have exactly one of masquerade, snat, netmap, exclude, dnat, redirect with the name "
        "of a port");
  const auto [word, kind] = found.front();
  NatConfig rule;
  rule.kind = kind;
  std::vector<std::string_view> known{word, "source", "destination", "protocol",
                                      "destination_port"};
  if (kind == Kind::snat || kind == Kind::netmap || kind == Kind::dnat) known.push_back("to");
  if (is_source_kind(kind)) known.insert(known.end(), {"to_ports", "profile"});
  if (kind == Kind::netmap) known.push_back("profile");
  if (kind == Kind::dnat || kind == Kind::redirect) known.push_back("to_port");
  value.allow(known);
  rule.port = firewall::read_port(value.at(word), value.at(word).text(), names);
  rule.selector = read_selector(value);
  const PortConfig& port = config.ports[rule.port];
  if (kind == Kind::snat) read_snat(value, rule, port);
  if (kind == Kind::netmap) read_netmap(value, rule, port);
  if (kind == Kind::dnat) read_dnat(value, rule, config);
  read_ports(value, rule);
  if (const auto profile = value.find("profile")) read_profile(*profile, rule);
  return rule;
}

bool is_wider(const std::optional<net::Prefix>& wide, const std::optional<net::Prefix>& narrow) {
  return !wide || (narrow && wide->contains(*narrow));
}

// Whether the first rule takes all that the second one could.
bool covers(const NatConfig& wide, const NatConfig& narrow) {
  const auto is_destination = [](const NatConfig& rule) {
    return rule.kind == Kind::dnat || rule.kind == Kind::redirect;
  };
  const nat::Selector &w = wide.selector, &n = narrow.selector;
  return wide.port == narrow.port && is_destination(wide) == is_destination(narrow) &&
         (!is_destination(wide) || wide.kind == narrow.kind) && is_wider(w.source, n.source) &&
         is_wider(w.destination, n.destination) && (!w.protocol || w.protocol == n.protocol) &&
         w.destination_ports.first <= n.destination_ports.first &&
         n.destination_ports.last <= w.destination_ports.last;
}

Json write_profile(const NatConfig& rule) {
  const auto preset =
      std::ranges::find(kPresets, rule.behaviour, &std::pair<std::string_view, Behaviour>::second);
  if (preset != kPresets.end() && rule.timeouts.empty()) return std::string{preset->first};
  Json out = preset != kPresets.end() ? Json{{"preset", std::string{preset->first}}}
                                      : write_behaviour(rule.behaviour);
  if (!rule.timeouts.empty()) out["timeouts"] = write_timeouts(rule.timeouts);
  return out;
}

// The number of a rule's timeouts depends on what they say alone, as far as it can: a connection
// has only the number, and goes by it after the document has changed and after a restart.
std::uint8_t timeout_set(const TimeoutWords& timeouts, std::vector<const TimeoutWords*>& taken) {
  if (timeouts.empty()) return 0;
  SipHash hash{HashKey{1, 2}};
  for (const auto& [name, duration] : timeouts) {
    for (const char letter : name) hash.add(static_cast<std::uint64_t>(letter));
    hash.add(static_cast<std::uint64_t>(duration.count()));
  }
  taken.resize(256);
  std::size_t number = hash.finish() % 255 + 1;
  while (taken[number] != nullptr && *taken[number] != timeouts) number = number % 255 + 1;
  taken[number] = &timeouts;
  return static_cast<std::uint8_t>(number);
}

// By place of the rule.
std::vector<std::uint8_t> timeout_sets(const Config& config) {
  std::vector<const TimeoutWords*> taken;
  std::vector<std::uint8_t> numbers;
  for (const NatConfig& rule : config.nat) numbers.push_back(timeout_set(rule.timeouts, taken));
  return numbers;
}

std::string range_text(const AddressRange& range) {
  return range.first == range.last ? range.first.text()
                                   : range.first.text() + "-" + range.last.text();
}

void compile_source(const NatConfig& rule, std::uint16_t number, std::uint8_t timeouts,
                    nat::Rules& rules) {
  using SourceKind = nat::SourceRule::Kind;
  nat::SourceRule out;
  out.kind = rule.kind == Kind::masquerade ? SourceKind::masquerade
             : rule.kind == Kind::snat     ? SourceKind::pool
             : rule.kind == Kind::netmap   ? SourceKind::network
                                           : SourceKind::none;
  out.egress = rule.port;
  out.selector = rule.selector;
  out.pool = rule.to;
  out.ports = rule.ports;
  out.network = rule.network;
  out.behaviour = rule.behaviour;
  out.timeout_set = timeouts;
  out.number = number;
  rules.source.push_back(std::move(out));
}

// 1:1 works from both sides: what comes to the outside network goes to the inside one.
void compile_destination(const NatConfig& rule, std::uint16_t number, nat::Rules& rules) {
  using DestinationKind = nat::DestinationRule::Kind;
  nat::DestinationRule out;
  out.number = number;
  out.selector = rule.selector;
  out.ports = rule.ports;
  if (rule.kind == Kind::netmap) {
    out.kind = DestinationKind::network;
    out.selector = {};
    out.selector.destination = rule.network;
    out.network = *rule.selector.source;
  } else if (rule.kind == Kind::redirect) {
    out.kind = DestinationKind::redirect;
    out.ingress = rule.port;
  } else {
    out.kind = DestinationKind::forward;
    out.to = rule.to.front();
    if (!rule.selector.destination) out.owner = rule.port;
  }
  rules.destination.push_back(std::move(out));
}

}  // namespace

std::vector<NatConfig> read_nat(const Value& value, const Config& config, bool may_be_covered) {
  const Names names = port_names(config);
  std::vector<NatConfig> rules;
  for (const Value& one : value.elements()) {
    NatConfig rule = read_rule(one, config, names);
    const auto wider =
        std::ranges::find_if(rules, [&](const NatConfig& other) { return covers(other, rule); });
    if (wider != rules.end() && !may_be_covered)
      one.refuse("is never reached, because the first rule that fits counts and rule " +
                 std::to_string(wider - rules.begin()) + " covers it; reorder or remove it");
    rules.push_back(std::move(rule));
  }
  std::set<TimeoutWords> different;
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (different.insert(rules[i].timeouts).second && different.size() > kMostTimeoutSets)
      value.elements()[i]
          .at("profile")
          .at("timeouts")
          .refuse("rules may have at most " + std::to_string(kMostTimeoutSets) +
                  " different timeouts");
  return rules;
}

// TCP without saying so.
std::vector<path::SynProxyRule> read_syn_proxy(const Value& value, const Config& config) {
  const Names names = port_names(config);
  std::vector<path::SynProxyRule> rules;
  for (const Value& one : value.elements()) {
    one.allow({"in", "source", "destination", "destination_port"});
    if (rules.size() == kMostGuarded)
      one.refuse("the SYN proxy takes at most " + std::to_string(kMostGuarded) + " rules");
    path::SynProxyRule rule;
    rule.ingress = firewall::read_port(one.at("in"), one.at("in").text(), names);
    rule.selector = read_addresses(one);
    rule.selector.protocol = net::Protocol::tcp;
    if (const auto ports = one.find("destination_port"))
      rule.selector.destination_ports = read_port_range(*ports);
    rules.push_back(rule);
  }
  return rules;
}

state::Json write_syn_proxy(const Config& config) {
  state::Json out = state::Json::array();
  for (const path::SynProxyRule& rule : config.syn_proxy) {
    state::Json one{{"in", config.ports[rule.ingress].name}};
    if (rule.selector.source) one["source"] = rule.selector.source->text();
    if (rule.selector.destination) one["destination"] = rule.selector.destination->text();
    if (rule.selector.destination_ports != net::PortRange{})
      one["destination_port"] = rule.selector.destination_ports.text();
    out.push_back(std::move(one));
  }
  return out;
}

state::Json write_behaviour(const Behaviour& behaviour) {
  return {{"mapping", json::word_of(words(kScopes), behaviour.mapping)},
          {"filtering", json::word_of(words(kScopes), behaviour.filtering)},
          {"ports", json::word_of(words(kPortChoices), behaviour.ports)},
          {"parity", behaviour.parity},
          {"overload", behaviour.overload},
          {"paired", behaviour.paired},
          {"hairpin", json::word_of(words(kHairpins), behaviour.hairpin)},
          {"refresh", json::word_of(words(kRefreshes), behaviour.refresh)},
          {"unsolicited_syn", json::word_of(words(kUnsolicitedSyns), behaviour.unsolicited_syn)}};
}

std::vector<std::pair<std::string_view, Behaviour>> presets() {
  return {kPresets.begin(), kPresets.end()};
}

state::Json write_nat_rule(const NatConfig& rule, const Config& config) {
  state::Json out = state::Json::object();
  const nat::Selector& selector = rule.selector;
  out[std::string{json::word_of(words(kKinds), rule.kind)}] = config.ports[rule.port].name;
  if (selector.source) out["source"] = selector.source->text();
  if (selector.destination) out["destination"] = selector.destination->text();
  if (selector.protocol) out["protocol"] = net::text(*selector.protocol);
  if (selector.destination_ports != net::PortRange{})
    out["destination_port"] = selector.destination_ports.text();
  if (rule.kind == Kind::netmap) out["to"] = rule.network.text();
  if (rule.kind == Kind::dnat) out["to"] = range_text(rule.to.front());
  if (rule.kind == Kind::snat)
    for (const AddressRange& range : rule.to) out["to"].push_back(range_text(range));
  if (rule.ports.last != 0)
    out[is_source_kind(rule.kind) ? "to_ports" : "to_port"] = rule.ports.text();
  if (is_source_kind(rule.kind) || rule.kind == Kind::netmap) out["profile"] = write_profile(rule);
  return out;
}

namespace {

// Of all that the rules say, and of where old ones stand; two that say the same differ by their
// order.
std::vector<std::uint64_t> fingerprints(const Config& config) {
  std::vector<std::uint64_t> all;
  std::map<std::string, int> seen;
  for (const NatConfig& rule : config.nat) {
    std::string text = write_nat_rule(rule, config).dump();
    if (rule.origin) text += rule.origin->chain + std::to_string(rule.origin->rule);
    text += "#" + std::to_string(seen[text]++);
    all.push_back(std::max<std::uint64_t>(std::hash<std::string>{}(text), 1));
  }
  return all;
}

}  // namespace

nat::Rules nat_rules(const Config& config) {
  nat::Rules rules;
  rules.loose_udp = config.ip_masq_udp_dloose;
  const std::vector<std::uint8_t> sets = timeout_sets(config);
  for (std::size_t i = 0; i < config.nat.size(); ++i) {
    const NatConfig& rule = config.nat[i];
    const bool is_destination = rule.kind == Kind::dnat || rule.kind == Kind::redirect;
    const auto number = static_cast<std::uint16_t>(std::min<std::size_t>(i, 0xffff));
    if (!is_destination) compile_source(rule, number, sets[i], rules);
    if (is_destination || rule.kind == Kind::netmap) compile_destination(rule, number, rules);
  }
  rules.fingerprints = fingerprints(config);
  return rules;
}

conntrack::RuleTimeouts rule_timeouts(const Config& config) {
  conntrack::RuleTimeouts out;
  const std::vector<std::uint8_t> sets = timeout_sets(config);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets[i] == 0 || out.places[sets[i]] != 0) continue;
    change(out.sets.emplace_back(timeouts_of(config.conntrack)), config.nat[i].timeouts);
    out.places[sets[i]] = static_cast<std::uint8_t>(out.sets.size());
  }
  return out;
}

}  // namespace masqgate::control
