// A command line of ipchains, read; nothing is done yet (history 3.5).

#pragma once

#include "daemon/language/ipchains.hpp"

namespace masqgate::language {

struct IpchainsCommand {
  char letter = 0;  // of the command; 0: none
  std::string chain;
  std::string policy;
  std::size_t number = 0;  // 0: none given
  bool masquerading = false;
  std::optional<MasqueradeTimeouts> timeouts;
  IpchainsRule rule;
  bool has_rule = false;
  bool bidirectional = false;
  ListOptions list;
};

// Throws Mistake.
IpchainsCommand parse_ipchains(std::span<const std::string> words, const Names& names);

}  // namespace masqgate::language
