// A command line of ipchains, read; nothing is done yet (history 3.5).

#pragma once

#include "daemon/language/ipchains.hpp"

namespace masqgate::language {

struct IpchainsCommand : CommandLine {
  std::string policy;
  bool masquerading = false;
  std::optional<MasqueradeTimeouts> timeouts;
  IpchainsRule rule;
  bool has_rule = false;
  bool bidirectional = false;
};

// Throws Mistake.
IpchainsCommand parse_ipchains(std::span<const std::string> words, const Names& names);

}  // namespace masqgate::language
