#include "daemon/firewall/firewall_json.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <map>

#include "daemon/base/siphash.hpp"
#include "daemon/firewall/action_json.hpp"
#include "daemon/firewall/match_json.hpp"
#include "daemon/firewall/words.hpp"

namespace masqgate::firewall {
namespace {

constexpr std::array<std::pair<std::string_view, Policy>, 2> kPolicies{
    {{"accept", Policy::accept}, {"drop", Policy::drop}}};

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
  for (const auto* member : {"source_port", "destination_port", "port"})
    if (has_no_ports && rule.find(member))
      rule.at(member).refuse("only tcp and udp have ports; remove it or change \"protocol\"");
  const auto* reject = std::get_if<Reject>(&read.action);
  if (reject != nullptr && reject->with.kind == RejectWith::Kind::tcp_reset &&
      !is_only(protocol, net::Protocol::tcp))
    rule.at("action").refuse("tcp_reset answers TCP only; add \"protocol\": \"tcp\" to the rule");
  const auto* divert = std::get_if<Divert>(&read.action);
  const auto* tee = std::get_if<Tee>(&read.action);
  const auto* fragment = find<FragmentMatch>(read.matches);
  if (fragment != nullptr && !fragment->negated &&
      ((divert != nullptr && divert->terms.defragment) ||
       (tee != nullptr && tee->terms.defragment)))
    rule.at("action").refuse(
        "\"defragment\" wants whole datagrams, which \"fragment\": true never matches; remove one "
        "of them");
}

// Matches and actions that speak of one protocol only say which.
void check_protocol(const Value& rule, const Rule& read) {
  const auto* protocol = find<ProtocolMatch>(read.matches);
  const bool is_tcp = is_only(protocol, net::Protocol::tcp);
  for (const auto* member : {"tcp_flags", "tcp_mss"})
    if (!is_tcp && rule.find(member))
      rule.at(member).refuse("is of TCP only; add \"protocol\": \"tcp\" to the rule");
  if (!is_tcp && std::holds_alternative<SetTcpMss>(read.action))
    rule.at("action").refuse("changes TCP only; add \"protocol\": \"tcp\" to the rule");
  if (rule.find("icmp_type") && !is_only(protocol, net::Protocol::icmp) &&
      !is_only(protocol, net::Protocol::icmpv6))
    rule.at("icmp_type")
        .refuse("means nothing without \"protocol\": \"icmp\" or \"icmpv6\" in the rule");
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
    all.insert(all.end(), match_members().begin(), match_members().end());
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
  rule.matches = read_matches(value, ports);
  rule.action = read_action(value.at("action"), chains);
  check_sense(value, rule);
  check_protocol(value, rule);
  return rule;
}

constexpr std::array<std::string_view, 3> kSetKinds{"addresses", "ports", "link-layer addresses"};

// Puts the sets in that the rule names.
void settle_sets(const Value& value, Rule& rule, const Sets& sets) {
  for (Match& match : rule.matches) {
    const Value where = value.at(member_of(match));
    const auto settle = [&]<typename M>(M& one) {
      if constexpr (std::is_base_of_v<SetReference, M>) {
        const auto found = sets.find(one.name);
        if (found == sets.end())
          where.refuse("there is no set " + Value::quoted(one.name) + " in \"sets\"");
        if (found->second->kind() != M::kKind)
          where.refuse("the set " + Value::quoted(one.name) + " is one of " +
                       std::string{kSetKinds[static_cast<std::size_t>(found->second->kind())]} +
                       ", and the rule asks for " +
                       std::string{kSetKinds[static_cast<std::size_t>(M::kKind)]});
        one.set = found->second;
      }
    };
    std::visit(settle, match);
  }
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
                 const ChainPlaces& chains, const Sets& sets) {
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
  for (const Value& one : values) {
    chain.rules.push_back(read_rule(one, ports, chains));
    settle_sets(one, chain.rules.back(), sets);
  }
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

Json write_rule(const Rule& rule, const std::vector<Chain>& chains, PortNames ports) {
  Json out;
  out["id"] = rule.id;
  for (const Match& one : rule.matches) out[std::string{member_of(one)}] = write_match(one, ports);
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

namespace {

// The same on every start, so that it may be told apart from strangers' by nobody: rules are the
// owner's own.
std::uint64_t fingerprint(std::string_view chain, std::string_view text) {
  SipHash hash{HashKey{0x6d617371, 0x67617465}};
  for (const std::string_view part : {chain, text}) {
    hash.add(part.size());
    for (std::size_t at = 0; at < part.size(); at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, part.data() + at, std::min<std::size_t>(8, part.size() - at));
      hash.add(word);
    }
  }
  return std::max<std::uint64_t>(hash.finish(), 1);
}

// A comment is none of a rule's meaning.
void add_fingerprints(std::vector<Chain>& chains, PortNames ports) {
  for (Chain& chain : chains) {
    chain.fingerprint = fingerprint(chain.name, json::word_of(words(kPolicies), chain.policy));
    for (Rule& rule : chain.rules) {
      Json written = write_rule(rule, chains, ports);
      written.erase("comment");
      rule.fingerprint = fingerprint(chain.name, written.dump());
    }
  }
}

}  // namespace

Ruleset from_json(const Value& firewall, PortNames ports, const Sets& sets) {
  ChainPlaces places;
  const auto members = firewall.members();
  if (members.size() > kMaxRules) firewall.refuse("too many chains");
  for (const auto& [name, value] : members) {
    check_name(value, name, 32);
    places.emplace(name, places.size());
  }
  std::vector<Chain> chains;
  for (const auto& [name, value] : members)
    chains.push_back(read_chain(name, value, ports, places, sets));
  add_fingerprints(chains, ports);
  auto built = Ruleset::build(chains);
  if (const auto* error = std::get_if<BuildError>(&built)) refuse(firewall, chains, *error);
  return std::get<Ruleset>(std::move(built));
}

Sets read_sets(const Value& value, Time now, const Sets& before) {
  Sets sets;
  for (const auto& [name, set] : value.members()) {
    check_name(set, name, 32);
    const auto known = before.find(name);
    const NamedSet* old = known == before.end() ? nullptr : known->second.get();
    sets.emplace(name, std::make_shared<const NamedSet>(NamedSet::from_json(set, now, old)));
  }
  return sets;
}

Json write_sets(const Sets& sets, Time now) {
  Json out = Json::object();
  for (const auto& [name, set] : sets) out[name] = set->to_json(now);
  return out;
}

Json show_sets(const Sets& sets, Time now) {
  Json out = Json::object();
  for (const auto& [name, set] : sets) out[name] = set->shown(now);
  return out;
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
