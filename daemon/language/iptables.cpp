#include "daemon/language/iptables.hpp"

#include <algorithm>

#include "daemon/language/iptables_command.hpp"
#include "daemon/language/iptables_words.hpp"

namespace masqgate::language {
namespace {

[[noreturn]] void fail(const std::string& sentence) {
  throw Mistake{1, sentence};
}
[[noreturn]] void bad(const std::string& sentence) {
  throw Mistake{2, sentence};
}

std::span<const std::string_view> built_in(std::string_view table) {
  static constexpr std::array<std::string_view, 3> kFilter{"INPUT", "FORWARD", "OUTPUT"};
  static constexpr std::array<std::string_view, 3> kNat{"PREROUTING", "POSTROUTING", "OUTPUT"};
  static constexpr std::array<std::string_view, 5> kMangle{"PREROUTING", "INPUT", "FORWARD",
                                                           "OUTPUT", "POSTROUTING"};
  if (table == "filter") return kFilter;
  if (table == "nat") return kNat;
  return kMangle;
}

IptablesTable empty_table(std::string_view name) {
  IptablesTable table{name, {}};
  for (const std::string_view chain : built_in(name))
    table.chains.push_back({std::string{chain}, "ACCEPT", {}});
  return table;
}

IptablesChain& chain_of(IptablesTable& table, std::string_view name) {
  IptablesChain* chain = table.find(name);
  if (chain == nullptr) fail("No chain/target/match by that name");
  return *chain;
}

bool contains_word(std::string_view list, std::string_view word) {
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

void check_place(const IptablesTable& table, const IptablesCommand& command) {
  const IptablesRule& rule = command.rule;
  const std::string& chain = command.chain;
  if (!rule.in.value.empty() && (chain == "OUTPUT" || chain == "POSTROUTING"))
    bad("can't use -i with " + chain);
  if (!rule.out.value.empty() && (chain == "INPUT" || chain == "PREROUTING"))
    bad("can't use -o with " + chain);
  if (!rule.jump.empty() && (table.find(rule.jump) == nullptr || table.is_built_in(rule.jump)))
    fail("No chain/target/match by that name");
  if (!rule.target) return;
  const IptablesModuleKind& kind = *target_kind(rule.target->name);
  if (!kind.table.empty() && kind.table != table.name)
    bad(std::string{kind.name} + " is for table " + std::string{kind.table});
  if (!kind.chains.empty() && table.is_built_in(chain) && !contains_word(kind.chains, chain))
    bad(std::string{kind.name} + " is for " + std::string{kind.chains});
  if (table.name == "nat" && (kind.name == "DROP" || kind.name == "TCPMSS"))
    bad(std::string{kind.name} + " is not for table nat");
}

void change_rules(IptablesTable& table, const IptablesCommand& command) {
  IptablesChain& chain = chain_of(table, command.chain);
  auto& rules = chain.rules;
  const auto at = [&](std::size_t number) {
    return rules.begin() + static_cast<std::ptrdiff_t>(number - 1);
  };
  if (command.letter == 'D' && command.number != 0) {
    if (command.has_rule) bad("give a rule number or a rule, not both");
    if (command.number > rules.size()) fail("Index of deletion too big");
    rules.erase(at(command.number));
    return;
  }
  check_place(table, command);
  const std::size_t number = std::max<std::size_t>(command.number, 1);
  switch (command.letter) {
    case 'A':
      rules.push_back(command.rule);
      break;
    case 'I':
      if (number > rules.size() + 1) fail("Index of insertion too big");
      rules.insert(at(number), command.rule);
      break;
    case 'R':
      if (number > rules.size()) fail("Index of replacement too big");
      *at(number) = command.rule;
      break;
    default: {
      const auto found = std::ranges::find(rules, command.rule);
      if (found == rules.end()) fail("Bad rule (does a matching rule exist in that chain?)");
      rules.erase(found);
    }
  }
}

void check_name(const IptablesTable& table, const std::string& name) {
  if (name.empty() || name.size() > kMostIptablesName)
    bad("chain name `" + name + "' too long (must be under 31 chars)");
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (!plain || name.front() == '-')
    bad("chain name `" + name + "': letters, digits, `-', `.', `_'");
  if (target_kind(name) != nullptr) bad("chain name `" + name + "' is that of a target");
  if (table.find(name) != nullptr) fail("Chain already exists");
}

void delete_chain(IptablesTable& table, const std::string& name) {
  const IptablesChain& chain = chain_of(table, name);
  if (table.is_built_in(name)) fail("Can't delete built-in chain");
  if (table.references(name) != 0) fail("Can't delete chain with references left");
  if (!chain.rules.empty()) fail("Directory not empty");
  std::erase_if(table.chains, [&](const IptablesChain& one) { return one.name == name; });
}

void delete_chains(IptablesTable& table) {
  std::vector<std::string> names;
  for (const IptablesChain& chain : table.chains)
    if (!table.is_built_in(chain.name)) names.push_back(chain.name);
  for (const std::string& name : names) delete_chain(table, name);
}

void rename(IptablesTable& table, const IptablesCommand& command) {
  IptablesChain& chain = chain_of(table, command.chain);
  if (table.is_built_in(command.chain)) fail("Can't rename built-in chain");
  check_name(table, command.name);
  for (IptablesChain& one : table.chains)
    for (IptablesRule& rule : one.rules)
      if (rule.jump == command.chain) rule.jump = command.name;
  chain.name = command.name;
}

void set_policy(IptablesTable& table, const IptablesCommand& command) {
  IptablesChain& chain = chain_of(table, command.chain);
  if (!table.is_built_in(command.chain)) fail("Bad built-in chain name");
  if (command.name != "ACCEPT" && command.name != "DROP") fail("Bad policy name");
  if (table.name != "filter" && command.name == "DROP")
    fail("a policy of DROP is for table filter");
  chain.policy = command.name;
}

std::string list(const IptablesTable& table, const IptablesCommand& command, const Names& names,
                 const IptablesCounts& counts) {
  std::string text;
  for (const IptablesChain& chain : table.chains) {
    if (!command.chain.empty() && chain.name != command.chain) continue;
    if (!text.empty()) text += '\n';
    text += list_chain(table, chain, command.list, names, counts);
  }
  if (text.empty()) fail("No chain/target/match by that name");
  return text;
}

void flush(IptablesTable& table, const std::string& name) {
  if (!name.empty()) {
    chain_of(table, name).rules.clear();
    return;
  }
  for (IptablesChain& chain : table.chains) chain.rules.clear();
}

IptablesOutcome carry_out(IptablesTable& table, const IptablesCommand& command, const Names& names,
                          const IptablesCounts& counts) {
  IptablesOutcome outcome;
  if (command.zeroes) {
    if (!command.chain.empty()) chain_of(table, command.chain);
    outcome.zeroes = {command.table, command.chain};
  }
  switch (command.letter) {
    case 'L':
      outcome.output = list(table, command, names, counts);
      return outcome;
    case 'F':
      flush(table, command.chain);
      break;
    case 'N':
      check_name(table, command.chain);
      table.chains.push_back({command.chain, "", {}});
      break;
    case 'X':
      command.chain.empty() ? delete_chains(table) : delete_chain(table, command.chain);
      break;
    case 'E':
      rename(table, command);
      break;
    case 'P':
      set_policy(table, command);
      break;
    case 'Z':
      return outcome;
    case 0:
      bad("no command specified");
    default:
      change_rules(table, command);
  }
  return {.changed = true};
}

}  // namespace

IptablesChain* IptablesTable::find(std::string_view chain) {
  const auto found = std::ranges::find(chains, chain, &IptablesChain::name);
  return found == chains.end() ? nullptr : &*found;
}

const IptablesChain* IptablesTable::find(std::string_view chain) const {
  return const_cast<IptablesTable*>(this)->find(chain);
}

bool IptablesTable::is_built_in(std::string_view chain) const {
  return std::ranges::find(built_in(name), chain) != built_in(name).end();
}

std::size_t IptablesTable::references(std::string_view chain) const {
  std::size_t count = 0;
  for (const IptablesChain& one : chains)
    count += static_cast<std::size_t>(std::ranges::count(one.rules, chain, &IptablesRule::jump));
  return count;
}

Iptables::Iptables() : tables{empty_table("filter"), empty_table("nat"), empty_table("mangle")} {}

IptablesTable* Iptables::find(std::string_view table) {
  const auto found = std::ranges::find(tables, table, &IptablesTable::name);
  return found == tables.end() ? nullptr : &*found;
}

const IptablesTable* Iptables::find(std::string_view table) const {
  return const_cast<Iptables*>(this)->find(table);
}

IptablesOutcome run_iptables(Iptables& rules, std::span<const std::string> words,
                             const Names& names, const IptablesCounts& counts) {
  const IptablesCommand command = parse_iptables(words, names);
  Iptables changed = rules;
  IptablesTable* table = changed.find(command.table);
  if (table == nullptr)
    throw Mistake{3, "can't initialize iptables table `" + command.table +
                         "': there are filter, nat and mangle"};
  IptablesOutcome outcome = carry_out(*table, command, names, counts);
  rules = std::move(changed);
  return outcome;
}

}  // namespace masqgate::language
