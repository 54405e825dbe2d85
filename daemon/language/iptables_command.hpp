// A command line of iptables, read; nothing is done yet (history 7).

#pragma once

#include "daemon/language/iptables.hpp"

namespace masqgate::language {

struct IptablesCommand {
  char letter = 0;  // of the command; 0: none
  std::string table = "filter";
  std::string chain;
  std::string name;        // of -E the new name, of -P the policy
  std::size_t number = 0;  // 0: none given
  IptablesRule rule;
  bool has_rule = false;
  ListOptions list;
};

// Throws Mistake.
IptablesCommand parse_iptables(std::span<const std::string> words, const Names& names);

}  // namespace masqgate::language
