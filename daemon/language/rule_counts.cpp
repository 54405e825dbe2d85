#include "daemon/language/rule_counts.hpp"

#include <algorithm>

namespace masqgate::language {
namespace {

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

}  // namespace

void RuleCounts::add(const std::string& chain, const std::string& rule, Count count) {
  Count& all = chains_[chain][rule];
  all.packets += count.packets;
  all.bytes += count.bytes;
}

// Rule 3 may be there as "3", "3b", "3c"; what stands in front of it, as "3-1", is its log.
Count RuleCounts::sum(const std::string& chain, std::size_t rule) const {
  const auto found = chains_.find(chain);
  Count all;
  if (found == chains_.end()) return all;
  const std::string number = std::to_string(rule);
  for (const auto& [id, count] : found->second) {
    const bool is_form = id == number || (id.size() == number.size() + 1 &&
                                          id.starts_with(number) && id.back() >= 'a');
    const bool is_policy = rule == 0 && (id == "policy" || id == "policy-reject");
    if (!is_form && !is_policy) continue;
    all.packets += count.packets;
    all.bytes += count.bytes;
  }
  return all;
}

Count RuleCounts::ipchains(std::string_view chain, std::size_t rule) const {
  Count all;
  for (const std::string& name : chains_of_ipchains(chain)) {
    const Count one = sum(name, rule);
    all.packets += one.packets;
    all.bytes += one.bytes;
  }
  return all;
}

Count RuleCounts::iptables(std::string_view table, std::string_view chain, std::size_t rule) const {
  return sum(chain_of_iptables(table, chain), rule);
}

std::vector<std::string> chains_of_ipchains(std::string_view chain) {
  if (chain == "input") return {"prerouting"};
  if (chain == "forward") return {"forward"};
  if (chain == "output") return {"leaving"};
  const std::string name{chain};
  return {name + "-in", name + "-forward", name + "-out"};
}

std::string chain_of_iptables(std::string_view table, std::string_view chain) {
  const bool own_hook = chain == "PREROUTING" || chain == "POSTROUTING";
  const bool built_in = own_hook || chain == "INPUT" || chain == "FORWARD" || chain == "OUTPUT";
  if (table == "nat") return "nat " + std::string{chain};  // no chain of masqgate's has a blank
  if (built_in && (table == "filter" || own_hook)) return lower(chain);
  std::string name = std::string{table} + "-" + std::string{chain};
  std::ranges::replace(name, '.', '_');
  return name;
}

}  // namespace masqgate::language
