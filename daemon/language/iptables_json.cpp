#include <algorithm>
#include <array>

#include "daemon/language/document.hpp"

namespace masqgate::language {
namespace {

using json::Json;
using Rule = IptablesRule;

[[noreturn]] void cannot(const std::string& sentence) {
  throw Mistake{2, sentence};
}
[[noreturn]] void cannot_at(const RulePlace& place, const std::string& sentence) {
  throw Mistake{2, place.text() + ": " + sentence, 0, place};
}

std::string bang(bool negated) {
  return negated ? "!" : "";
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

// "22:80" becomes "22-80".
std::string span_of(std::string range) {
  std::ranges::replace(range, ':', '-');
  return range;
}

Json list_of(std::string_view words, bool negated = false) {
  Json list = Json::array();
  for (std::size_t at = 0; at <= words.size();) {
    const std::size_t end = std::min(words.find(',', at), words.size());
    list.push_back(bang(negated) + span_of(std::string{words.substr(at, end - at)}));
    at = end + 1;
  }
  return list;
}

// Members of one rule; none may stand there twice.
class Members {
 public:
  void set(const char* member, Json value) {
    if (out_.contains(member))
      cannot("it asks twice for what masqgate's rules ask once (" + std::string{member} + ")");
    out_[member] = std::move(value);
  }
  const Json& json() const { return out_; }

 private:
  Json out_ = Json::object();
};

unsigned number_of(const IptablesOption& option) {
  return static_cast<unsigned>(std::stoul(option.words[0], nullptr, 0));
}

void add_tcp(const IptablesModule& module, Members& members) {
  if (const auto* option = module.find("--tcp-flags"))
    members.set("tcp_flags",
                bang(option->negated) + lower(option->words[1]) + "/" + lower(option->words[0]));
  if (const auto* option = module.find("--syn"))
    members.set("tcp_flags", bang(option->negated) + "syn/syn,rst,ack");
}

void add_ports(const IptablesModule& module, Members& members) {
  if (const auto* option = module.find("--sport"))
    members.set("source_port", bang(option->negated) + span_of(option->words[0]));
  if (const auto* option = module.find("--dport"))
    members.set("destination_port", bang(option->negated) + span_of(option->words[0]));
  if (const auto* option = module.find("--sports"))
    members.set("source_port", list_of(option->words[0]));
  if (const auto* option = module.find("--dports"))
    members.set("destination_port", list_of(option->words[0]));
  if (const auto* option = module.find("--ports")) members.set("port", list_of(option->words[0]));
}

void add_limit(const IptablesModule& module, Members& members) {
  const auto* rate = module.find("--limit");
  const auto* burst = module.find("--limit-burst");
  members.set("limit", {{"rate", rate == nullptr ? "3/hour" : rate->words[0]},
                        {"burst", burst == nullptr ? 5u : number_of(*burst)}});
}

void add_ttl(const IptablesModule& module, Members& members) {
  if (const auto* option = module.find("--ttl-eq"))
    members.set("ttl", bang(option->negated) + std::to_string(number_of(*option)));
  if (const auto* option = module.find("--ttl-gt")) {
    if (number_of(*option) >= 255) cannot("no TTL is above 255");
    members.set("ttl", std::to_string(number_of(*option) + 1) + "-255");
  }
  if (const auto* option = module.find("--ttl-lt")) {
    if (number_of(*option) == 0) cannot("no TTL is below 0");
    members.set("ttl", "0-" + std::to_string(number_of(*option) - 1));
  }
}

void add_port_scan(const IptablesModule& module, Members& members) {
  Json scan = Json::object();
  const auto add = [&](const char* option, const char* member, unsigned factor) {
    if (const auto* found = module.find(option)) scan[member] = number_of(*found) * factor;
  };
  add("--psd-weight-threshold", "weight", 1);
  add("--psd-delay-threshold", "delay_ms", 10);
  add("--psd-lo-ports-weight", "low_port", 1);
  add("--psd-hi-ports-weight", "high_port", 1);
  members.set("port_scan", scan.empty() ? Json(true) : scan);
}

void add_word(const IptablesModule& module, const char* option, const char* member,
              Members& members, std::string_view behind = "") {
  if (const auto* found = module.find(option))
    members.set(member,
                bang(found->negated) + span_of(lower(found->words[0])) + std::string{behind});
}

void add_states(const IptablesModule& module, Members& members) {
  const auto* option = module.find(module.name == "state" ? "--state" : "--ctstate");
  members.set("state", list_of(lower(option->words[0]), option->negated));
}

void add_match(const IptablesModule& module, Members& members) {
  const std::string_view name = module.name;
  if (name == "tcp") add_tcp(module, members);
  if (name == "tcp" || name == "udp" || name == "multiport") add_ports(module, members);
  if (name == "icmp") add_word(module, "--icmp-type", "icmp_type", members);
  if (name == "state" || name == "conntrack") add_states(module, members);
  if (name == "limit") add_limit(module, members);
  if (name == "mac") add_word(module, "--mac-source", "source_mac", members);
  if (name == "owner") add_word(module, "--uid-owner", "owner", members);
  if (name == "mark") add_word(module, "--mark", "mark", members);
  if (name == "helper") add_word(module, "--helper", "helper", members);
  if (name == "tos") add_word(module, "--tos", "tos", members, "/0xff");
  if (name == "length") add_word(module, "--length", "length", members);
  if (name == "ttl") add_ttl(module, members);
  if (name == "tcpmss") add_word(module, "--mss", "tcp_mss", members);
  if (name == "unclean") members.set("unclean", true);
  if (name == "psd") add_port_scan(module, members);
  if (name == "quota") members.set("quota", number_of(module.options.front()));
  if (name == "comment") members.set("comment", module.options.front().words[0]);
}

Json log_action(const IptablesModule& target) {
  constexpr std::array<const char*, 8> kLevels{"emergency", "alert",  "critical", "error",
                                               "warning",   "notice", "info",     "debug"};
  Json log = Json::object();
  if (const auto* prefix = target.find("--log-prefix")) log["prefix"] = prefix->words[0];
  if (const auto* level = target.find("--log-level")) log["level"] = kLevels[number_of(*level) & 7];
  log["format"] = "iptables";
  return {{"log", log}};
}

Json reject_action(const IptablesModule& target) {
  constexpr std::array<std::pair<std::string_view, const char*>, 8> kAnswers{
      {{"icmp-net-unreachable", "net"},
       {"icmp-host-unreachable", "host"},
       {"icmp-proto-unreachable", "protocol"},
       {"icmp-port-unreachable", "port_unreachable"},
       {"icmp-net-prohibited", "net_prohibited"},
       {"icmp-host-prohibited", "host_prohibited"},
       {"icmp-admin-prohibited", "prohibited"},
       {"tcp-reset", "tcp_reset"}}};
  const auto* with = target.find("--reject-with");
  if (with == nullptr) return "reject";
  for (const auto& [word, meaning] : kAnswers)
    if (word == with->words[0]) return {{"reject", meaning}};
  return "reject";
}

// Of targets that do not end the walk in another way than masqgate's do.
Json action_of(const IptablesModule& target) {
  const std::string_view name = target.name;
  if (name == "ACCEPT") return "accept";
  if (name == "DROP") return "drop";
  if (name == "RETURN") return "return";
  if (name == "MIRROR") return "mirror";
  if (name == "REJECT") return reject_action(target);
  if (name == "LOG") return log_action(target);
  if (name == "MARK") return {{"mark", target.options.front().words[0]}};
  if (name == "TOS") return {{"tos", target.options.front().words[0] + "/0x1e"}};
  if (target.find("--clamp-mss-to-pmtu") != nullptr) return {{"tcp_mss", "clamp"}};
  return {{"tcp_mss", number_of(target.options.front())}};
}

class Compiler {
 public:
  Compiler(const Iptables& rules, std::span<const PortNames> ports)
      : rules_{rules}, ports_{ports} {}
  Document compile();

 private:
  void add_table(const IptablesTable& table);
  void add_rule(const IptablesTable& table, const IptablesChain& chain, std::size_t number,
                Json& into) const;
  std::string chain_name(const IptablesTable& table, std::string_view chain) const;
  std::vector<Json> variants(const Json& matches, const Rule& rule) const;
  Json action(const IptablesTable& table, const IptablesChain& chain, const Rule& rule) const;
  void add_translation(const IptablesChain& chain, std::size_t number);
  Json selector(const Rule& rule) const;

  const Iptables& rules_;
  std::span<const PortNames> ports_;
  Document out_;
};

std::string Compiler::chain_name(const IptablesTable& table, std::string_view chain) const {
  if (table.name == "filter" && table.is_built_in(chain)) return lower(std::string{chain});
  const bool own_hook = chain == "PREROUTING" || chain == "POSTROUTING";
  if (table.is_built_in(chain) && own_hook) return lower(std::string{chain});
  std::string name = std::string{table.name} + "-" + std::string{chain};
  std::ranges::replace(name, '.', '_');
  if (name.size() > 32) cannot("its name is too long: at most 25 letters in filter, mangle");
  return name;
}

std::vector<Json> Compiler::variants(const Json& matches, const Rule& rule) const {
  std::vector<Json> all{matches};
  const auto ask = [&](const Rule::Part<std::string>& interface, const char* member) {
    if (interface.value.empty()) return;
    const auto meant = ports_meant(interface.value, ports_);
    if (interface.negated && meant.size() > 1)
      cannot("`!' in front of several ports: write a rule for each of the others");
    std::vector<Json> more;
    for (const Json& one : all)
      for (const std::string& port : meant) {
        more.push_back(one);
        more.back()[member] = bang(interface.negated) + port;
      }
    if (!(interface.negated && meant.empty())) all = std::move(more);
  };
  ask(rule.in, "in");
  ask(rule.out, "out");
  return all;
}

// In mangle, accepting ends mangle only: its chains are asked in front of those of filter.
Json Compiler::action(const IptablesTable& table, const IptablesChain& chain,
                      const Rule& rule) const {
  if (!rule.jump.empty()) return {{"jump", chain_name(table, rule.jump)}};
  if (!rule.target) return "continue";
  const Json action = action_of(*rule.target);
  if (table.name != "mangle" || action != "accept") return action;
  if (!table.is_built_in(chain.name))
    cannot(
        "ACCEPT in a chain of one's own in mangle: say RETURN, or write it into a built-in chain");
  return "return";
}

void Compiler::add_rule(const IptablesTable& table, const IptablesChain& chain, std::size_t number,
                        Json& into) const {
  const Rule& rule = chain.rules[number - 1];
  Members members;
  const auto side = [&](const char* member, const Rule::Part<net::Prefix>& part) {
    if (part.value.length() != 0) members.set(member, bang(part.negated) + part.value.text());
    return part.value.length() != 0 || !part.negated;
  };
  if (rule.protocol.value)
    members.set("protocol", bang(rule.protocol.negated) + net::text(*rule.protocol.value));
  if (!side("source", rule.source) || !side("destination", rule.destination)) return;
  if (rule.fragment.value) members.set("fragment", !rule.fragment.negated);
  for (const IptablesModule& module : rule.matches) add_match(module, members);
  const Json what = action(table, chain, rule);
  char variant = 'a';
  for (const Json& matches : variants(members.json(), rule)) {
    Json one = Json::object();
    one["id"] = std::to_string(number) + (variant == 'a' ? "" : std::string{variant});
    for (const auto& [member, value] : matches.items()) one[member] = value;
    one["action"] = what;
    into.push_back(std::move(one));
    ++variant;
  }
}

void Compiler::add_table(const IptablesTable& table) {
  for (const IptablesChain& chain : table.chains) {
    if (table.name == "mangle" && chain.rules.empty() && table.is_built_in(chain.name)) continue;
    Json list = Json::array();
    for (std::size_t number = 1; number <= chain.rules.size(); ++number) try {
        add_rule(table, chain, number, list);
      } catch (const Mistake& mistake) {
        cannot_at({std::string{table.name}, chain.name, number}, mistake.sentence);
      }
    const std::string name = chain_name(table, chain.name);
    if (out_.firewall.contains(name)) cannot("there are two chains `" + name + "'");
    Json made = Json::object();
    if (table.name == "filter" && !chain.policy.empty())
      made["policy"] = chain.policy == "DROP" ? "drop" : "accept";
    made["rules"] = std::move(list);
    out_.firewall[name] = std::move(made);
  }
}

// What rules of translation can ask.
Json Compiler::selector(const Rule& rule) const {
  const auto cannot_say = [] {
    cannot(
        "what is translated can be chosen by networks, protocol, destination port and "
        "interface, none of them turned round");
  };
  if (rule.source.negated || rule.destination.negated || rule.protocol.negated || rule.in.negated ||
      rule.out.negated || rule.fragment.value)
    cannot_say();
  Json one = Json::object();
  one["source"] = rule.source.value.text();  // 0.0.0.0/0 says that it is IPv4
  if (rule.destination.value.length() != 0) one["destination"] = rule.destination.value.text();
  if (rule.protocol.value) one["protocol"] = net::text(*rule.protocol.value);
  for (const IptablesModule& module : rule.matches) {
    const IptablesOption* port = module.find("--dport");
    if (module.name == "comment" || module.options.empty()) continue;
    if (module.options.size() != 1 || port == nullptr || port->negated) cannot_say();
    one["destination_port"] = span_of(port->words[0]);
  }
  return one;
}

// The rules of table nat, each once for every port that it means.
void Compiler::add_translation(const IptablesChain& chain, std::size_t number) {
  const Rule& rule = chain.rules[number - 1];
  if (!rule.jump.empty())
    cannot("chains of one's own in nat: write the rules into the built-in ones");
  if (!rule.target || rule.target->name == "RETURN") {
    if (!rule.target) return;
    cannot("RETURN in a built-in chain: say ACCEPT");
  }
  const IptablesModule& target = *rule.target;
  const bool outgoing = chain.name == "POSTROUTING";
  const std::string to = target.options.empty() ? "" : target.options.front().words[0];
  const std::size_t colon = to.find(':');
  const std::string& interface = outgoing ? rule.out.value : rule.in.value;
  const bool hides = target.name == "MASQUERADE" || target.name == "SNAT";
  const auto ports = !interface.empty()
                         ? ports_meant(interface, ports_)
                         : ports_out_of(hides ? rule.source.value : net::Prefix{}, ports_);
  for (const std::string& port : ports) {
    Json one = Json::object();
    const auto kind = [&](const char* name) { one[name] = port; };
    if (target.name == "MASQUERADE") {
      kind("masquerade");
      one["profile"] = "linux";
      if (!to.empty()) one["to_ports"] = to;
    } else if (target.name == "SNAT") {
      kind("snat");
      one["profile"] = "linux";
      one["to"] = Json::array({to.substr(0, colon)});
      if (colon != to.npos) one["to_ports"] = to.substr(colon + 1);
    } else if (target.name == "DNAT") {
      kind("dnat");
      one["to"] = to.substr(0, colon);
      if (colon != to.npos) one["to_port"] = to.substr(colon + 1);
    } else if (target.name == "REDIRECT") {
      kind("redirect");
      if (!to.empty()) one["to_port"] = to;
    } else if (target.name == "NETMAP" && outgoing) {
      kind("netmap");
      one["to"] = to;
    } else if (target.name == "ACCEPT" && outgoing) {
      kind("exclude");
    } else {
      cannot(std::string{target.name} + " in " + chain.name + " cannot be said");
    }
    one.update(selector(rule));
    out_.nat.push_back(std::move(one));
    out_.origins.push_back({chain.name, number});
  }
}

Document Compiler::compile() {
  add_table(*rules_.find("filter"));
  add_table(*rules_.find("mangle"));
  for (const char* chain : {"INPUT", "FORWARD", "OUTPUT"}) {
    const std::string asked = "mangle-" + std::string{chain};
    if (!out_.firewall.contains(asked)) continue;
    Json& rules = out_.firewall[lower(chain)]["rules"];
    rules.insert(rules.begin(), Json{{"id", "mangle"}, {"action", {{"jump", asked}}}});
  }
  for (const IptablesChain& chain : rules_.find("nat")->chains)
    for (std::size_t number = 1; number <= chain.rules.size(); ++number) try {
        if (chain.name == "OUTPUT") cannot("the router's own packets are not translated");
        add_translation(chain, number);
      } catch (const Mistake& mistake) {
        cannot_at({"nat", chain.name, number}, mistake.sentence);
      }
  return std::move(out_);
}

}  // namespace

Document iptables_document(const Iptables& rules, std::span<const PortNames> ports) {
  return Compiler{rules, ports}.compile();
}

}  // namespace masqgate::language
