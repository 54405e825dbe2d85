#include "daemon/firewall/firewall_json.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <type_traits>

namespace masqgate::firewall {
namespace {

using json::Json;
using json::Value;

constexpr std::array<std::pair<std::string_view, ConnState>, 5> kStates{
    {{"new", ConnState::new_},
     {"established", ConnState::established},
     {"related", ConnState::related},
     {"invalid", ConnState::invalid},
     {"untracked", ConnState::untracked}}};

constexpr std::array<std::pair<std::string_view, Policy>, 2> kPolicies{
    {{"accept", Policy::accept}, {"drop", Policy::drop}}};

constexpr std::array<std::pair<std::string_view, Action::Kind>, 4> kActions{
    {{"accept", Action::Kind::accept},
     {"drop", Action::Kind::drop},
     {"reject", Action::Kind::reject},
     {"return", Action::Kind::return_}}};

constexpr std::array<std::pair<std::string_view, RejectWith>, 5> kRejects{
    {{"port_unreachable", RejectWith::port_unreachable},
     {"host", RejectWith::host},
     {"net", RejectWith::net},
     {"prohibited", RejectWith::prohibited},
     {"tcp_reset", RejectWith::tcp_reset}}};

template <typename Meaning, std::size_t n>
json::Words<Meaning> words(const std::array<std::pair<std::string_view, Meaning>, n>& all) {
  return all;
}

// One text, which a "!" in front negates.
struct Term {
  Value value;
  std::string text;
  bool negated;
  explicit Term(const Value& from) : Term{from, from.text()} {}
  Term(const Value& from, std::string read)
      : value{from}, text{std::move(read)}, negated{text.starts_with('!')} {
    if (negated) text.erase(0, 1);
  }
};

// "80" may be written as 80.
Term port_term(const Value& value) {
  if (!value.json().is_number()) return Term{value};
  return {value, std::to_string(value.number(0, 65535))};
}

std::string spell(bool negated, std::string_view text) {
  return (negated ? "!" : "") + std::string{text};
}

// One term or a list of them, negated all or none: ["!new", "!related"] is neither.
template <typename Read>
std::vector<Term> read_terms(const Value& value, Read read) {
  if (!value.json().is_array()) return {read(value)};
  std::vector<Term> terms;
  for (const Value& one : value.elements()) {
    terms.push_back(read(one));
    if (terms.back().negated != terms.front().negated)
      one.refuse("some of the list are negated with \"!\" and some are not; write two rules");
  }
  if (terms.empty()) value.refuse("the list is empty, so that nothing matches; leave it out");
  return terms;
}

Json write_terms(bool negated, const std::vector<std::string>& texts) {
  if (texts.size() == 1) return spell(negated, texts.front());
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(spell(negated, text));
  return list;
}

// "80", "1024-65535", 80, or a list of these.
template <typename PortMatch>
PortMatch read_ports(const Value& value) {
  PortMatch match;
  for (const Term& term : read_terms(value, port_term)) {
    const auto range = net::PortRange::parse(term.text);
    if (!range)
      term.value.refuse(Value::quoted(term.text) +
                        " is no port or range of ports such as \"80\" or \"1024-65535\"");
    match.ranges.push_back(*range);
    match.negated = term.negated;
  }
  return match;
}

template <typename PortMatch>
Json write_ports(const PortMatch& match) {
  std::vector<std::string> texts;
  for (const net::PortRange& range : match.ranges) texts.push_back(range.text());
  return write_terms(match.negated, texts);
}

// The words of each match: its member in a rule, how it is read and how it is written.
template <typename M>
struct Words;

template <>
struct Words<StateMatch> {
  static constexpr std::string_view kMember = "state";
  static StateMatch read(const Value& value, PortNames) {
    StateMatch match;
    for (const Term& term : read_terms(value, [](const Value& one) { return Term{one}; })) {
      match.states.add(term.value.word(term.text, words(kStates)));
      match.negated = term.negated;
    }
    return match;
  }
  static Json write(const StateMatch& match, PortNames) {
    std::vector<std::string> texts;
    for (const auto& [name, state] : kStates)
      if (match.states.contains(state)) texts.emplace_back(name);
    return write_terms(match.negated, texts);
  }
};

template <>
struct Words<IngressMatch> {
  static constexpr std::string_view kMember = "in";
  static IngressMatch read(const Value& value, PortNames ports) {
    const Term term{value};
    return {read_port(value, term.text, ports), term.negated};
  }
  static Json write(const IngressMatch& match, PortNames ports) {
    return spell(match.negated, ports[match.port]);
  }
};

template <>
struct Words<EgressMatch> {
  static constexpr std::string_view kMember = "out";
  static EgressMatch read(const Value& value, PortNames ports) {
    const Term term{value};
    return {read_port(value, term.text, ports), term.negated};
  }
  static Json write(const EgressMatch& match, PortNames ports) {
    return spell(match.negated, ports[match.port]);
  }
};

template <>
struct Words<ProtocolMatch> {
  static constexpr std::string_view kMember = "protocol";
  static ProtocolMatch read(const Value& value, PortNames) {
    const Term term{value};
    const auto protocol = net::parse_protocol(term.text);
    if (!protocol)
      value.refuse(Value::quoted(term.text) +
                   " is no protocol; write tcp, udp, icmp, icmpv6 … or a number from 0 to 255");
    return {*protocol, term.negated};
  }
  static Json write(const ProtocolMatch& match, PortNames) {
    return spell(match.negated, net::text(match.protocol));
  }
};

template <>
struct Words<SourceMatch> {
  static constexpr std::string_view kMember = "source";
  static SourceMatch read(const Value& value, PortNames) {
    const Term term{value};
    return {read_prefix(value, term.text), term.negated};
  }
  static Json write(const SourceMatch& match, PortNames) {
    return spell(match.negated, match.prefix.text());
  }
};

template <>
struct Words<DestinationMatch> {
  static constexpr std::string_view kMember = "destination";
  static DestinationMatch read(const Value& value, PortNames) {
    const Term term{value};
    return {read_prefix(value, term.text), term.negated};
  }
  static Json write(const DestinationMatch& match, PortNames) {
    return spell(match.negated, match.prefix.text());
  }
};

template <>
struct Words<SourcePortMatch> {
  static constexpr std::string_view kMember = "source_port";
  static SourcePortMatch read(const Value& value, PortNames) {
    return read_ports<SourcePortMatch>(value);
  }
  static Json write(const SourcePortMatch& match, PortNames) { return write_ports(match); }
};

template <>
struct Words<DestinationPortMatch> {
  static constexpr std::string_view kMember = "destination_port";
  static DestinationPortMatch read(const Value& value, PortNames) {
    return read_ports<DestinationPortMatch>(value);
  }
  static Json write(const DestinationPortMatch& match, PortNames) { return write_ports(match); }
};

// All matches of the language, in its order.
template <typename>
struct Language;
template <typename... M>
struct Language<std::variant<M...>> {
  static constexpr std::array<std::string_view, sizeof...(M)> kMembers{Words<M>::kMember...};

  static std::vector<Match> read(const Value& rule, PortNames ports) {
    std::vector<Match> matches;
    const auto read_one = [&]<typename One>(std::type_identity<One>) {
      if (const auto value = rule.find(Words<One>::kMember))
        matches.emplace_back(Words<One>::read(*value, ports));
    };
    (read_one(std::type_identity<M>{}), ...);
    return matches;
  }
};
using Matches = Language<Match>;

std::string_view member_of(const Match& match) {
  return Matches::kMembers[match.index()];
}

template <typename M>
const M* find(const std::vector<Match>& matches) {
  for (const Match& one : matches)
    if (const M* found = std::get_if<M>(&one)) return found;
  return nullptr;
}

bool is_only(const ProtocolMatch* match, net::Protocol protocol) {
  return match != nullptr && !match->negated && match->protocol == protocol;
}

// Combinations that could never match are mistakes of whoever wrote them.
void check_sense(const Value& rule, const Rule& read) {
  const auto* protocol = find<ProtocolMatch>(read.matches);
  const auto* source = find<SourceMatch>(read.matches);
  const auto* destination = find<DestinationMatch>(read.matches);
  if (source && destination && source->prefix.family() != destination->prefix.family())
    rule.at("destination")
        .refuse("is of another address family than \"source\", so that nothing matches");
  const bool has_no_ports = protocol != nullptr && !protocol->negated &&
                            !is_only(protocol, net::Protocol::tcp) &&
                            !is_only(protocol, net::Protocol::udp);
  for (const auto* member : {"source_port", "destination_port"})
    if (has_no_ports && rule.find(member))
      rule.at(member).refuse("only tcp and udp have ports; remove it or change \"protocol\"");
  if (read.action.kind == Action::Kind::reject && read.action.with == RejectWith::tcp_reset &&
      !is_only(protocol, net::Protocol::tcp))
    rule.at("action").refuse("tcp_reset answers TCP only; add \"protocol\": \"tcp\" to the rule");
}

using ChainPlaces = std::map<std::string, std::size_t, std::less<>>;

Action read_action(const Value& value, const ChainPlaces& chains) {
  if (value.json().is_string()) return {value.word(words(kActions))};
  value.allow({"jump", "reject"});
  if (value.members().size() != 1)
    value.refuse("must be one of {\"jump\": chain} and {\"reject\": how}");
  if (const auto with = value.find("reject"))
    return {Action::Kind::reject, with->word(words(kRejects))};
  const Value jump = value.at("jump");
  const auto target = chains.find(jump.text());
  if (target == chains.end())
    jump.refuse("there is no chain " + Value::quoted(jump.text()) + " in \"firewall\"");
  return {Action::Kind::jump, {}, static_cast<ChainIndex>(target->second)};
}

// Names go into paths of the tree and into URLs.
void check_name(const Value& value, std::string_view name, std::size_t most) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; };
  if (name.empty() || name.size() > most || !std::ranges::all_of(name, is_plain))
    value.refuse("the name " + Value::quoted(name) + " must have 1 to " + std::to_string(most) +
                 " letters, digits, \"-\" and \"_\"");
}

Rule read_rule(const Value& value, PortNames ports, const ChainPlaces& chains) {
  static const std::vector<std::string_view> kMembers = [] {
    std::vector<std::string_view> all{"id"};
    all.insert(all.end(), Matches::kMembers.begin(), Matches::kMembers.end());
    all.insert(all.end(), {"action", "comment"});
    return all;
  }();
  value.allow(kMembers);
  Rule rule;
  if (const auto id = value.find("id")) {
    rule.id = id->text();
    check_name(*id, rule.id, 64);
    if (rule.id == kPolicyName) id->refuse("\"policy\" names the counter of the chain's policy");
  }
  if (const auto comment = value.find("comment")) rule.comment = comment->text();
  rule.matches = Matches::read(value, ports);
  rule.action = read_action(value.at("action"), chains);
  check_sense(value, rule);
  return rule;
}

// Gives every rule an id, and refuses those that stand twice.
void settle_ids(Chain& chain, const std::vector<Value>& values) {
  std::map<std::string, std::size_t> owners;
  for (std::size_t i = 0; i < chain.rules.size(); ++i) {
    std::string& id = chain.rules[i].id;
    if (id.empty()) id = chain.name + "-" + std::to_string(i + 1);
    const auto [owner, fresh] = owners.emplace(id, i);
    if (fresh) continue;
    // Point at one that was written; the other may have its id by its place.
    const Value& written = values[i].find("id") ? values[i] : values[owner->second];
    written.at("id").refuse("rules " + std::to_string(owner->second + 1) + " and " +
                            std::to_string(i + 1) + " of the chain have the id " +
                            Value::quoted(id) + "; give one of them another");
  }
}

Chain read_chain(const std::string& name, const Value& value, PortNames ports,
                 const ChainPlaces& chains) {
  value.allow({"policy", "rules"});
  Chain chain{name, Policy::accept, {}};
  if (const auto policy = value.find("policy")) {
    if (std::ranges::find(kHookNames, name) == kHookNames.end())
      policy->refuse("only the built-in chains have a policy; end this one with a rule");
    chain.policy = policy->word(words(kPolicies));
  }
  const auto rules = value.find("rules");
  if (!rules) return chain;
  const std::vector<Value> values = rules->elements();
  for (const Value& one : values) chain.rules.push_back(read_rule(one, ports, chains));
  settle_ids(chain, values);
  return chain;
}

[[noreturn]] void refuse(const Value& firewall, const std::vector<Chain>& chains,
                         const BuildError& error) {
  const Value chain = firewall.at(chains[error.chain].name);
  if (!error.rule) chain.refuse(error.sentence);
  const Value rule = chain.at("rules").elements()[*error.rule];
  if (!error.match) rule.at("action").refuse(error.sentence);
  const Match& match = chains[error.chain].rules[*error.rule].matches[*error.match];
  rule.at(member_of(match)).refuse(error.sentence);
}

Json write_action(const Action& action, const std::vector<Chain>& chains) {
  Json out;
  if (action.kind == Action::Kind::jump)
    out["jump"] = chains[action.target].name;
  else if (action.kind == Action::Kind::reject && action.with != RejectWith::port_unreachable)
    out["reject"] = json::word_of(words(kRejects), action.with);
  else
    out = json::word_of(words(kActions), action.kind);
  return out;
}

Json write_rule(const Rule& rule, const std::vector<Chain>& chains, PortNames ports) {
  Json out;
  out["id"] = rule.id;
  for (const Match& one : rule.matches)
    out[std::string{member_of(one)}] =
        std::visit([&]<typename M>(const M& match) { return Words<M>::write(match, ports); }, one);
  out["action"] = write_action(rule.action, chains);
  if (!rule.comment.empty()) out["comment"] = rule.comment;
  return out;
}

}  // namespace

PortIndex read_port(const Value& value, std::string_view name, PortNames ports) {
  const auto found = std::ranges::find(ports, name);
  if (found == ports.end())
    value.refuse("there is no port " + Value::quoted(name) + " in \"ports\"");
  return static_cast<PortIndex>(found - ports.begin());
}

net::Prefix read_prefix(const Value& value, std::string_view text) {
  if (const auto prefix = net::Prefix::parse(text)) return *prefix;
  if (const auto inside = net::InterfaceAddress::parse(text))
    value.refuse("has bits set behind its length; the network is " + inside->network().text());
  value.refuse(Value::quoted(text) +
               " is no address or network such as 192.168.0.0/24 or 2001:db8::/32");
}

Ruleset from_json(const Value& firewall, PortNames ports) {
  ChainPlaces places;
  const auto members = firewall.members();
  if (members.size() > kMaxRules) firewall.refuse("too many chains");
  for (const auto& [name, value] : members) {
    check_name(value, name, 32);
    places.emplace(name, places.size());
  }
  std::vector<Chain> chains;
  for (const auto& [name, value] : members)
    chains.push_back(read_chain(name, value, ports, places));
  auto built = Ruleset::build(chains);
  if (const auto* error = std::get_if<BuildError>(&built)) refuse(firewall, chains, *error);
  return std::get<Ruleset>(std::move(built));
}

Json to_json(const Ruleset& ruleset, PortNames ports) {
  Json out = Json::object();
  for (const Chain& chain : ruleset.chains()) {
    Json& written = out[chain.name] = Json::object();
    if (std::ranges::find(kHookNames, chain.name) != kHookNames.end())
      written["policy"] = json::word_of(words(kPolicies), chain.policy);
    Json& rules = written["rules"] = Json::array();
    for (const Rule& rule : chain.rules) rules.push_back(write_rule(rule, ruleset.chains(), ports));
  }
  return out;
}

}  // namespace masqgate::firewall
