#include "daemon/language/ipchains.hpp"

#include <algorithm>
#include <array>

#include "daemon/language/ipchains_command.hpp"

namespace masqgate::language {
namespace {

constexpr std::array<std::string_view, 3> kBuiltIn{"input", "forward", "output"};
constexpr int kOther = 1, kBadParameter = 2;

[[noreturn]] void fail(const std::string& sentence) {
  throw Mistake{kOther, sentence};
}
[[noreturn]] void bad(const std::string& sentence) {
  throw Mistake{kBadParameter, sentence};
}

bool is_policy(std::string_view target, std::string_view chain) {
  return target == "ACCEPT" || target == "DENY" || target == "REJECT" ||
         (target == "MASQ" && chain == "forward");
}

bool is_target(std::string_view word) {
  return word == "ACCEPT" || word == "DENY" || word == "REJECT" || word == "MASQ" ||
         word == "REDIRECT" || word == "RETURN";
}

IpchainsRule turned_round(IpchainsRule rule) {
  std::swap(rule.source, rule.destination);
  std::swap(rule.source_ports, rule.destination_ports);
  return rule;
}

IpchainsChain& chain_of(Ipchains& rules, std::string_view name) {
  IpchainsChain* chain = rules.find(name);
  if (chain == nullptr) fail("No chain by that name");
  return *chain;
}

void check_target(const Ipchains& rules, const IpchainsRule& rule) {
  if (rule.target.empty() || is_target(rule.target)) return;
  if (rules.find(rule.target) == nullptr || rules.is_built_in(rule.target))
    fail("No target by that name");
}

// What MASQ and REDIRECT need of the chain they stand in; user chains may be asked by any.
void check_place(std::string_view chain, const IpchainsRule& rule) {
  if (rule.target == "MASQ" && (chain == "input" || chain == "output"))
    fail("MASQ is for chain forward, and for chains of your own that it asks");
  if (rule.target == "REDIRECT" && (chain == "forward" || chain == "output"))
    fail("REDIRECT is for chain input, and for chains of your own that it asks");
}

void remove_rule(IpchainsChain& chain, const IpchainsCommand& command) {
  auto found = chain.rules.end();
  if (command.number != 0) {
    if (command.number > chain.rules.size()) fail("Index of deletion too big");
    found = chain.rules.begin() + static_cast<std::ptrdiff_t>(command.number - 1);
  } else {
    const auto without_mark = [](IpchainsRule rule) {
      rule.marking = IpchainsRule::Mark::none;
      rule.mark = 0;
      return rule;
    };
    found = std::ranges::find(chain.rules, without_mark(command.rule), without_mark);
    if (found == chain.rules.end()) fail("Bad rule (does a matching rule exist in that chain?)");
  }
  chain.rules.erase(found);
}

void insert(IpchainsChain& chain, std::size_t number, const IpchainsRule& rule) {
  if (number > chain.rules.size() + 1) fail("Index of insertion too big");
  chain.rules.insert(chain.rules.begin() + static_cast<std::ptrdiff_t>(number - 1), rule);
}

void change_rules(Ipchains& rules, const IpchainsCommand& command) {
  IpchainsChain& chain = chain_of(rules, command.chain);
  const bool by_number = command.letter == 'D' && command.number != 0;
  if (by_number && command.has_rule) bad("give a rule number or a rule, not both");
  if (!by_number) {
    check_target(rules, command.rule);
    check_place(command.chain, command.rule);
  }
  switch (command.letter) {
    case 'A':
      chain.rules.push_back(command.rule);
      if (command.bidirectional) chain.rules.push_back(turned_round(command.rule));
      break;
    case 'I':
      insert(chain, std::max<std::size_t>(command.number, 1), command.rule);
      if (command.bidirectional)
        insert(chain, std::max<std::size_t>(command.number, 1) + 1, turned_round(command.rule));
      break;
    case 'R':
      if (command.bidirectional) bad("can't use -b with -R");
      if (command.number > chain.rules.size()) fail("Index of replacement too big");
      chain.rules[command.number - 1] = command.rule;
      break;
    default:
      remove_rule(chain, command);
      if (command.bidirectional) {
        IpchainsCommand second = command;
        second.rule = turned_round(command.rule);
        remove_rule(chain, second);
      }
  }
}

void add_chain(Ipchains& rules, const std::string& name) {
  if (name.size() > kMostIpchainsName || name.empty())
    bad("chain name `" + name + "' too long (must be under 9 chars)");
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
  if (!plain) bad("chain name `" + name + "': letters, digits, `-' and `_' only");
  if (rules.find(name) != nullptr) fail("Chain already exists");
  rules.chains.push_back({name, "", {}});
}

void delete_chain(Ipchains& rules, const std::string& name) {
  const IpchainsChain& chain = chain_of(rules, name);
  if (rules.is_built_in(name)) fail("Can't delete built-in chain");
  if (rules.references(name) != 0) fail("Can't delete chain with references left");
  if (!chain.rules.empty()) fail("Chain is not empty");
  std::erase_if(rules.chains, [&](const IpchainsChain& one) { return one.name == name; });
}

// All empty ones that nobody asks, as the tool did where no chain is named.
void delete_chains(Ipchains& rules) {
  std::vector<std::string> names;
  for (const IpchainsChain& chain : rules.chains)
    if (!rules.is_built_in(chain.name)) names.push_back(chain.name);
  for (const std::string& name : names) delete_chain(rules, name);
}

std::string check(const Ipchains& rules, const IpchainsCommand& command) {
  const IpchainsRule& rule = command.rule;
  const auto is_one = [](const auto& range) { return range.value.first == range.value.last; };
  const bool ports_needed =
      rule.protocol.value == net::Protocol::tcp || rule.protocol.value == net::Protocol::udp;
  if (!rule.protocol.value || rule.interface.value.empty() || rule.source.value.length() != 32 ||
      rule.destination.value.length() != 32 ||
      (ports_needed && !(is_one(rule.source_ports) && is_one(rule.destination_ports))))
    bad("-C needs one address and port for each side, a protocol and an interface");
  if (rules.find(command.chain) == nullptr) fail("No chain by that name");
  const std::string verdict =
      judge(rules, command.chain,
            {rule.source.value.address(), rule.destination.value.address(), *rule.protocol.value,
             rule.interface.value, rule.source_ports.value.first,
             rule.destination_ports.value.first, rule.syn.value, rule.fragment.value});
  if (verdict == "ACCEPT") return "accepted\n";
  if (verdict == "DENY") return "denied\n";
  if (verdict == "REJECT") return "rejected\n";
  if (verdict == "MASQ") return "masqueraded\n";
  if (verdict == "REDIRECT") return "redirected\n";
  return verdict.empty() ? "caught in loop\n" : "passed through chain\n";
}

std::string list(const Ipchains& rules, const IpchainsCommand& command, const Names& names,
                 const Counts& counts) {
  std::string text;
  for (const IpchainsChain& chain : rules.chains)
    if (command.chain.empty() || chain.name == command.chain)
      text += list_chain(rules, chain, command.list, names, counts);
  if (text.empty()) fail("No chain by that name");
  return text;
}

void flush(Ipchains& rules, const std::string& name) {
  if (!name.empty()) {
    chain_of(rules, name).rules.clear();
    return;
  }
  for (IpchainsChain& chain : rules.chains) chain.rules.clear();
}

IpchainsOutcome carry_out(Ipchains& rules, const IpchainsCommand& command, const Names& names,
                          const Counts& counts) {
  const auto& list_options = command.list;
  if (command.timeouts) return {.timeouts = command.timeouts};
  if (command.masquerading)
    return {.list_masquerading =
                IpchainsOutcome::MasqueradeListing{list_options.numeric, list_options.verbose}};
  IpchainsOutcome outcome;
  if (command.zeroes) {
    if (!command.chain.empty()) chain_of(rules, command.chain);
    outcome.zeroes = command.chain;
  }
  switch (command.letter) {
    case 'A':
    case 'I':
    case 'R':
    case 'D':
      change_rules(rules, command);
      break;
    case 'L':
      outcome.output = list(rules, command, names, counts);
      return outcome;
    case 'C':
      return {.output = check(rules, command)};
    case 'F':
      flush(rules, command.chain);
      break;
    case 'N':
      add_chain(rules, command.chain);
      break;
    case 'X':
      command.chain.empty() ? delete_chains(rules) : delete_chain(rules, command.chain);
      break;
    case 'P': {
      IpchainsChain& chain = chain_of(rules, command.chain);
      if (!rules.is_built_in(command.chain)) fail("Bad policy: only built-in chains have one");
      if (!is_policy(command.policy, command.chain)) fail("Bad policy name");
      chain.policy = command.policy;
      break;
    }
    case 'Z':
      return outcome;
    default:
      bad("no command specified");
  }
  return {.changed = true};
}

}  // namespace

Ipchains::Ipchains() {
  for (const std::string_view name : kBuiltIn) chains.push_back({std::string{name}, "ACCEPT", {}});
}

IpchainsChain* Ipchains::find(std::string_view name) {
  const auto found = std::ranges::find(chains, name, &IpchainsChain::name);
  return found == chains.end() ? nullptr : &*found;
}

const IpchainsChain* Ipchains::find(std::string_view name) const {
  return const_cast<Ipchains*>(this)->find(name);
}

bool Ipchains::is_built_in(std::string_view name) const {
  return std::ranges::find(kBuiltIn, name) != kBuiltIn.end();
}

std::size_t Ipchains::references(std::string_view name) const {
  std::size_t count = 0;
  for (const IpchainsChain& chain : chains)
    count += static_cast<std::size_t>(std::ranges::count(chain.rules, name, &IpchainsRule::target));
  return count;
}

IpchainsOutcome run_ipchains(Ipchains& rules, std::span<const std::string> words,
                             const Names& names, const Counts& counts) {
  const IpchainsCommand command = parse_ipchains(words, names);
  Ipchains changed = rules;
  IpchainsOutcome outcome = carry_out(changed, command, names, counts);
  rules = std::move(changed);
  return outcome;
}

}  // namespace masqgate::language
