// A command line of iptables, read; nothing is done yet (history 7).

#pragma once

#include "daemon/language/iptables.hpp"

namespace masqgate::language {

struct IptablesCommand : CommandLine {
  std::string table = "filter";
  std::string name;  // of -E the new name, of -P the policy
  IptablesRule rule;
  bool has_rule = false;
};

// Throws Mistake.
IptablesCommand parse_iptables(std::span<const std::string> words, const Names& names);

}  // namespace masqgate::language
