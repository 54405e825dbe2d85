// The matches and targets of iptables, their options, and what those take (history 7.1, 7.2).

#pragma once

#include "daemon/language/iptables.hpp"

namespace masqgate::language {

struct IptablesOptionKind {
  std::string_view name;
  std::string_view other;  // a second spelling
  IptablesArgument argument = IptablesArgument::none;
  bool may_negate = false;
};

struct IptablesModuleKind {
  std::string_view name;
  std::span<const IptablesOptionKind> options;
  // Matches: the protocol that the rule must name. Targets: the tables and chains, empty for all.
  std::optional<net::Protocol> protocol{};
  std::string_view table{};
  std::string_view chains{};
};

const IptablesModuleKind* match_kind(std::string_view name);
const IptablesModuleKind* target_kind(std::string_view name);
// All that there are, in one order.
std::vector<std::string_view> match_names();
std::vector<std::string_view> target_names();
const IptablesOptionKind* option_kind(const IptablesModuleKind& module, std::string_view word);

// Reads an option's arguments and gives them their one spelling; throws Mistake.
std::vector<std::string> read_argument(IptablesArgument kind, Reader& reader,
                                       std::optional<net::Protocol> protocol, const Names& names);

// What -L prints of a match or target behind the addresses: "tcp dpt:ssh ", "state NEW ".
std::string listed(const IptablesModule& module, const ListOptions& options, const Names& names,
                   std::optional<net::Protocol> protocol);

}  // namespace masqgate::language
