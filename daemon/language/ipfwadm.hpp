// ipfwadm, the tool of Linux 2.0, said in ipchains' words: as its wrapper did in the time of 2.2.
//
//   -I -O -F  input, output, forward     -A  rules that count only, at the head of input and output
//   -M        masquerading: list, set timeouts
//
// A rule with several ports becomes a rule for each pair of them.

#pragma once

#include <span>
#include <string>
#include <vector>

namespace masqgate::language {

// The command lines of ipchains that do what this one said; throws Mistake.
std::vector<std::vector<std::string>> ipfwadm_as_ipchains(std::span<const std::string> words);

}  // namespace masqgate::language
