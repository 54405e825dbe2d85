#include "daemon/control/rule_files.hpp"

#include "daemon/control/print.hpp"
#include "daemon/language/iptables_words.hpp"

namespace masqgate::control {
namespace {

using language::Count;
using language::Ipchains;
using language::IpchainsChain;
using language::IpchainsRule;

// The lines were read once already.
Ipchains ipchains_of(const Config& config) {
  if (!config.old_rules || config.old_rules->language != OldRules::Language::ipchains) return {};
  return language::read_ipchains(config.old_rules->lines);
}

std::string network(const net::Prefix& prefix) {
  const std::uint32_t mask = prefix.length() == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix.length());
  return print("%08X/%08X", prefix.address().v4_number(), mask);
}

unsigned flags_of(const IpchainsRule& rule) {
  const bool is_wild = rule.interface.value.empty() || rule.interface.value.ends_with('+');
  return (rule.log ? 0x01u : 0u) | (rule.syn.value ? 0x02u : 0u) |
         (rule.fragment.value ? 0x04u : 0u) |
         (rule.marking == IpchainsRule::Mark::set ? 0x08u : 0u) | (is_wild ? 0x10u : 0u);
}

unsigned inversions_of(const IpchainsRule& rule) {
  return (rule.source.negated ? 0x01u : 0u) | (rule.destination.negated ? 0x02u : 0u) |
         (rule.protocol.negated ? 0x04u : 0u) | (rule.source_ports.negated ? 0x08u : 0u) |
         (rule.destination_ports.negated ? 0x10u : 0u) | (rule.interface.negated ? 0x20u : 0u) |
         (rule.syn.negated ? 0x40u : 0u) | (rule.fragment.negated ? 0x80u : 0u);
}

constexpr unsigned high(std::uint64_t number) {
  return static_cast<unsigned>(number >> 32);
}
constexpr unsigned low(std::uint64_t number) {
  return static_cast<unsigned>(number);
}

std::string row(const IpchainsChain& chain, const IpchainsRule& rule, const Count& count) {
  std::string interface = rule.interface.value;
  if (interface.ends_with('+')) interface.pop_back();
  if (interface.empty()) interface = "-";
  std::string text = print("%9s ", chain.name.c_str()) + network(rule.source.value) + "->" +
                     network(rule.destination.value);
  text += print(" %.16s %X %X %u ", interface.c_str(), flags_of(rule), inversions_of(rule),
                rule.protocol.value ? unsigned{net::number(*rule.protocol.value)} : 0u);
  text += print("%-9u %-9u %-9u %-9u ", high(count.packets), low(count.packets), high(count.bytes),
                low(count.bytes));
  text += print("%u-%u %u-%u ", rule.source_ports.value.first, rule.source_ports.value.last,
                rule.destination_ports.value.first, rule.destination_ports.value.last);
  return text + print("A%02X X%02X %08X %u %u %9s\n", rule.tos_and, rule.tos_xor, rule.redirect,
                      rule.mark, 0u, rule.target.empty() ? "-" : rule.target.c_str());
}

std::string lines_of(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += std::string{name} + "\n";
  return text;
}

}  // namespace

std::string ip_fwchains(const Config& config, const language::RuleCounts& counts) {
  std::string text;
  for (const IpchainsChain& chain : ipchains_of(config).chains)
    for (std::size_t i = 0; i < chain.rules.size(); ++i)
      text += row(chain, chain.rules[i], counts.ipchains(chain.name, i + 1));
  return text;
}

std::string ip_fwnames(const Config& config, const language::RuleCounts& counts) {
  const Ipchains rules = ipchains_of(config);
  std::string text;
  for (const IpchainsChain& chain : rules.chains) {
    const bool built_in = rules.is_built_in(chain.name);
    const Count count = built_in ? counts.ipchains(chain.name, 0) : Count{};
    text +=
        print("%s %s %zu %u %u %u %u\n", chain.name.c_str(), built_in ? chain.policy.c_str() : "-",
              built_in ? std::size_t{1} : rules.references(chain.name), high(count.packets),
              low(count.packets), high(count.bytes), low(count.bytes));
  }
  return text;
}

std::string ip_tables_names(const Config& config) {
  if (!config.old_rules || config.old_rules->language != OldRules::Language::iptables) return {};
  const language::Iptables rules = language::read_iptables(config.old_rules->lines), none;
  std::string text;  // filter was loaded first, and stands last
  for (const char* name : {"mangle", "nat", "filter"})
    if (!(*rules.find(name) == *none.find(name))) text += std::string{name} + "\n";
  return text;
}

std::string ip_tables_matches() {
  return lines_of(language::match_names());
}

std::string ip_tables_targets() {
  return lines_of(language::target_names());
}

}  // namespace masqgate::control
