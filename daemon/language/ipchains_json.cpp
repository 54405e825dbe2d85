#include <algorithm>
#include <array>
#include <set>

#include "daemon/language/document.hpp"

namespace masqgate::language {
namespace {

using json::Json;
using Rule = IpchainsRule;

[[noreturn]] void cannot(const std::string& sentence) {
  throw Mistake{2, sentence};
}
[[noreturn]] void cannot_at(const RulePlace& place, const std::string& sentence) {
  throw Mistake{2, place.text() + ": " + sentence, 0, place};
}

// One of the three built-in chains, and what it is here.
struct Place {
  std::string_view name;    // of ipchains
  std::string_view hook;    // of masqgate
  std::string_view suffix;  // of chains of one's own that it reaches
  const char* interface;    // which side of a packet -i asks for
  const char* refusal;      // what REJECT answers (history 3.1)
};
constexpr std::array<Place, 3> kPlaces{{{"input", "prerouting", "-in", "in", "port_unreachable"},
                                        {"forward", "forward", "-forward", "out", "host"},
                                        {"output", "leaving", "-out", "out", "host"}}};

bool is_all(const net::PortRange& range) {
  return range.first == 0 && range.last == 65535;
}

std::string bang(bool negated) {
  return negated ? "!" : "";
}

std::string range_text(const net::PortRange& range) {
  const std::string first = std::to_string(range.first);
  return range.first == range.last ? first : first + "-" + std::to_string(range.last);
}

std::string hexadecimal(unsigned value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {'0', 'x', kDigits[value >> 4 & 15], kDigits[value & 15]};
}

// "8", "3/1"; a range of types is a list.
Json icmp_types(const Rule& rule) {
  const auto& type = rule.source_ports;
  const auto& code = rule.destination_ports;
  if (is_all(type.value)) cannot("an ICMP code needs a type");
  if (type.value.last > 255 || (!is_all(code.value) && code.value.last > 255))
    cannot("ICMP types and codes end at 255");
  if (code.negated) cannot("an ICMP code cannot be turned round: turn its type round");
  Json list = Json::array();
  for (unsigned t = type.value.first; t <= type.value.last; ++t) {
    if (is_all(code.value)) list.push_back(bang(type.negated) + std::to_string(t));
    for (unsigned c = code.value.first; !is_all(code.value) && c <= code.value.last; ++c)
      list.push_back(bang(type.negated) + std::to_string(t) + "/" + std::to_string(c));
  }
  return list;
}

// What a rule compares, but for its interface. Empty if it can never match.
std::optional<Json> matches_of(const Rule& rule) {
  Json out = Json::object();
  const auto add_side = [&](const char* member, const Rule::Part<net::Prefix>& side) {
    if (side.value.length() == 0) return !side.negated;
    out[member] = bang(side.negated) + side.value.text();
    return true;
  };
  if (rule.protocol.value)
    out["protocol"] = bang(rule.protocol.negated) + net::text(*rule.protocol.value);
  if (!add_side("source", rule.source) || !add_side("destination", rule.destination))
    return std::nullopt;
  const bool any_ports = !is_all(rule.source_ports.value) || !is_all(rule.destination_ports.value);
  if (any_ports && rule.protocol.value == net::Protocol::icmp) {
    out["icmp_type"] = icmp_types(rule);
  } else {
    const auto add_ports = [&](const char* member, const Rule::Part<net::PortRange>& part) {
      if (!is_all(part.value)) out[member] = bang(part.negated) + range_text(part.value);
    };
    add_ports("source_port", rule.source_ports);
    add_ports("destination_port", rule.destination_ports);
  }
  if (rule.syn.value) out["tcp_flags"] = bang(rule.syn.negated) + "syn/syn,ack,rst";
  if (rule.fragment.value) out["fragment"] = !rule.fragment.negated;
  return out;
}

class Compiler {
 public:
  Compiler(const Ipchains& rules, std::span<const PortNames> ports)
      : rules_{rules}, ports_{ports} {}
  Document compile();

 private:
  void add_chain(const Place& place, const IpchainsChain& chain);
  void add_rule(const Place& place, const IpchainsChain& chain, std::size_t number, Json& into);
  std::vector<Json> variants(const Place& place, const Rule& rule) const;
  std::vector<Json> side_effects(const IpchainsChain& chain, const Rule& rule) const;
  Json target(const Place& place, const IpchainsChain& chain, const Rule& rule);
  std::string chain_name(const Place& place, const IpchainsChain& chain) const;
  bool may_accept(const IpchainsChain& chain) const;
  void add_source_rules();
  void add_redirects();
  std::vector<Json> selectors(const Rule& rule, const char* kind) const;
  bool is_plain(const Rule& rule) const;

  const Ipchains& rules_;
  std::span<const PortNames> ports_;
  Document out_;
  std::set<std::string> made_;  // chains, by their names here
};

std::string Compiler::chain_name(const Place& place, const IpchainsChain& chain) const {
  return rules_.is_built_in(chain.name) ? std::string{place.hook}
                                        : chain.name + std::string{place.suffix};
}

// The rule's matches, once for each port that its interface means.
std::vector<Json> Compiler::variants(const Place& place, const Rule& rule) const {
  const auto matches = matches_of(rule);
  if (!matches) return {};
  const auto& interface = rule.interface;
  if (interface.value.empty()) return {*matches};
  const auto meant = ports_meant(interface.value, ports_);
  std::vector<Json> all;
  if (interface.negated) {
    Json one = *matches;
    Json list = Json::array();
    for (const std::string& port : meant) list.push_back("!" + port);
    if (list.size() > 1) cannot("`! -i' of several ports: write a rule for each of the others");
    if (!list.empty()) one[place.interface] = list.front();
    return {one};
  }
  for (const std::string& port : meant) {
    all.push_back(*matches);
    all.back()[place.interface] = port;
  }
  return all;
}

// Log, type of service and mark, in the order of the kernel (history 3.2).
std::vector<Json> Compiler::side_effects(const IpchainsChain& chain, const Rule& rule) const {
  std::vector<Json> all;
  if (rule.log) {
    std::string target = rule.target.empty() ? "-" : rule.target;
    if (rule.target == "REDIRECT") target += " " + std::to_string(rule.redirect);
    all.push_back({{"log",
                    {{"prefix", chain.name + " " + target + " "},
                     {"level", "info"},
                     {"format", "ipchains"}}}});
  }
  const unsigned keeps = rule.tos_and, sets = rule.tos_xor;
  if ((keeps & sets) != 0) cannot("-t turns bits round: masqgate can set them only");
  if (keeps != 0xff) all.push_back({{"tos", hexadecimal(sets) + "/" + hexadecimal(~keeps & 0xff)}});
  if (rule.marking == Rule::Mark::add) cannot("-m adds to a mark: masqgate can set marks only");
  if (rule.marking == Rule::Mark::set) all.push_back({{"mark", rule.mark}});
  return all;
}

Json Compiler::target(const Place& place, const IpchainsChain& chain, const Rule& rule) {
  const std::string& target = rule.target;
  if (target.empty()) return "continue";
  if (target == "ACCEPT" || target == "MASQ" || target == "REDIRECT") return "accept";
  if (target == "DENY") return "drop";
  if (target == "REJECT" || (target == "RETURN" && chain.policy == "REJECT"))
    return {{"reject", place.refusal}};
  if (target == "RETURN") return "return";
  const IpchainsChain& next = *rules_.find(target);
  add_chain(place, next);
  return {{"jump", chain_name(place, next)}};
}

void Compiler::add_rule(const Place& place, const IpchainsChain& chain, std::size_t number,
                        Json& into) {
  const Rule& rule = chain.rules[number - 1];
  const std::string id = std::to_string(number);
  std::vector<Json> actions = side_effects(chain, rule);
  actions.push_back(target(place, chain, rule));
  char variant = 'a';
  for (const Json& matches : variants(place, rule)) {
    for (std::size_t i = 0; i < actions.size(); ++i) {
      Json one = Json::object();
      one["id"] = id + (variant == 'a' ? "" : std::string{variant}) +
                  (i + 1 < actions.size() ? "-" + std::to_string(i + 1) : "");
      for (const auto& [member, value] : matches.items()) one[member] = value;
      one["action"] = actions[i];
      into.push_back(std::move(one));
    }
    ++variant;
  }
}

void Compiler::add_chain(const Place& place, const IpchainsChain& chain) {
  const std::string name = chain_name(place, chain);
  if (!made_.insert(name).second) return;
  Json list = Json::array();
  for (std::size_t number = 1; number <= chain.rules.size(); ++number) try {
      add_rule(place, chain, number, list);
    } catch (const Mistake& mistake) {
      cannot_at({.chain = chain.name, .rule = number}, mistake.sentence);
    }
  // An answer to a masqueraded packet never saw forward (history 3.1).
  if (place.name == "forward" && name == place.hook)
    list.insert(list.begin(),
                Json{{"id", "demasqueraded"}, {"demasqueraded", true}, {"action", "accept"}});
  Json made = Json::object();
  if (chain.policy == "REJECT")
    list.push_back({{"id", "policy-reject"}, {"action", {{"reject", place.refusal}}}});
  if (!chain.policy.empty()) made["policy"] = chain.policy == "DENY" ? "drop" : "accept";
  made["rules"] = std::move(list);
  out_.firewall[name] = std::move(made);
}

// Whether rules of translation can say which packets this one means.
bool Compiler::is_plain(const Rule& rule) const {
  return !rule.source.negated && !rule.destination.negated && !rule.protocol.negated &&
         !rule.interface.negated && is_all(rule.source_ports.value) &&
         !rule.destination_ports.negated && !rule.syn.value && !rule.fragment.value;
}

// The packets of a rule as rules of translation say them: once for each port.
std::vector<Json> Compiler::selectors(const Rule& rule, const char* kind) const {
  std::vector<std::string> names;
  if (rule.interface.value.empty())
    names = kind == std::string_view{"masquerade"} ? ports_out_of(rule.source.value, ports_)
                                                   : ports_out_of({}, ports_);
  else
    names = ports_meant(rule.interface.value, ports_);
  std::vector<Json> all;
  for (const std::string& name : names) {
    Json one{{kind, name}};
    // Masquerading was IPv4's.
    one["source"] = rule.source.value.text();
    if (rule.destination.value.length() != 0) one["destination"] = rule.destination.value.text();
    if (rule.protocol.value) one["protocol"] = net::text(*rule.protocol.value);
    if (!is_all(rule.destination_ports.value))
      one["destination_port"] = range_text(rule.destination_ports.value);
    all.push_back(std::move(one));
  }
  return all;
}

// Whether a packet may be accepted in this chain or one that it asks.
bool Compiler::may_accept(const IpchainsChain& chain) const {
  return std::ranges::any_of(chain.rules, [&](const Rule& rule) {
    const IpchainsChain* next = rules_.find(rule.target);
    return rule.target == "ACCEPT" || (next != nullptr && next != &chain && may_accept(*next));
  });
}

// MASQ of chain forward, and in front of it what is accepted as it is.
void Compiler::add_source_rules() {
  const IpchainsChain& forward = *rules_.find("forward");
  for (const IpchainsChain& chain : rules_.chains)
    if (&chain != &forward && std::ranges::count(chain.rules, "MASQ", &Rule::target) != 0)
      cannot("chain " + chain.name + ": MASQ in a chain of one's own: write it into forward");
  for (std::size_t i = 0; i < forward.rules.size(); ++i) {
    const Rule& rule = forward.rules[i];
    const bool masquerades = rule.target == "MASQ";
    const bool masq_follows =
        std::any_of(forward.rules.begin() + static_cast<std::ptrdiff_t>(i), forward.rules.end(),
                    [](const Rule& other) { return other.target == "MASQ"; }) ||
        forward.policy == "MASQ";
    const IpchainsChain* asked = rules_.find(rule.target);
    if (asked != nullptr && masq_follows && may_accept(*asked))
      cannot_at({.chain = "forward", .rule = i + 1},
                "what chain " + rule.target +
                    " accepts would be masqueraded by a rule behind: write ACCEPT into forward");
    if (!masquerades && (rule.target != "ACCEPT" || !masq_follows)) continue;
    if (!is_plain(rule) || (rule.protocol.value == net::Protocol::icmp && masquerades &&
                            !is_all(rule.destination_ports.value)))
      cannot_at({.chain = "forward", .rule = i + 1},
                "what is masqueraded can be chosen by networks, protocol, destination port and "
                "interface, none of them turned round");
    for (Json& one : selectors(rule, masquerades ? "masquerade" : "exclude")) {
      if (masquerades) one["profile"] = "classic-2.2";
      out_.nat.push_back(std::move(one));
    }
  }
  if (forward.policy == "MASQ")
    for (Json& one : selectors(Rule{}, "masquerade")) {
      one["profile"] = "classic-2.2";
      out_.nat.push_back(std::move(one));
    }
}

void Compiler::add_redirects() {
  for (const IpchainsChain& chain : rules_.chains)
    for (std::size_t i = 0; i < chain.rules.size(); ++i) {
      const Rule& rule = chain.rules[i];
      if (rule.target != "REDIRECT") continue;
      const std::string where = "chain " + chain.name + ", rule " + std::to_string(i + 1) + ": ";
      if (chain.name != "input") cannot(where + "REDIRECT: write it into input");
      if (!is_plain(rule))
        cannot(where +
               "what is redirected can be chosen by networks, protocol, destination port "
               "and interface, none of them turned round");
      for (Json& one : selectors(rule, "redirect")) {
        if (rule.redirect != 0) one["to_port"] = std::to_string(rule.redirect);
        out_.nat.push_back(std::move(one));
      }
    }
}

Document Compiler::compile() {
  for (const Place& place : kPlaces) add_chain(place, *rules_.find(place.name));
  add_source_rules();
  add_redirects();
  return std::move(out_);
}

}  // namespace

std::vector<std::string> ports_meant(std::string_view interface, std::span<const PortNames> ports) {
  if (interface == "lo") return {};
  const bool is_prefix = interface.ends_with('+');
  const std::string_view wanted = is_prefix ? interface.substr(0, interface.size() - 1) : interface;
  const auto fits = [&](std::string_view name) {
    return is_prefix ? name.starts_with(wanted) : name == wanted;
  };
  std::vector<std::string> meant;
  std::string known;
  for (const PortNames& port : ports) {
    if (fits(port.name) || std::ranges::any_of(port.devices, fits)) meant.push_back(port.name);
    known += (known.empty() ? "" : ", ") + port.name;
    for (const std::string& device : port.devices) known += ", " + device;
  }
  if (meant.empty())
    throw Mistake{2,
                  "there is no port or NIC `" + std::string{interface} + "'; there are: " + known};
  return meant;
}

std::vector<std::string> ports_out_of(const net::Prefix& network,
                                      std::span<const PortNames> ports) {
  std::vector<std::string> all;
  for (const PortNames& port : ports)
    if (network.length() == 0 || std::ranges::none_of(port.networks, [&](const net::Prefix& own) {
          return network.contains(own) || own.contains(network);
        }))
      all.push_back(port.name);
  return all;
}

Document ipchains_document(const Ipchains& rules, std::span<const PortNames> ports) {
  return Compiler{rules, ports}.compile();
}

}  // namespace masqgate::language
