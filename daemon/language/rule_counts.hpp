// What old rules have counted: masqgate counts for the rules that they became (document.hpp).

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/language/ipchains.hpp"

namespace masqgate::language {

// The chains of masqgate's in which rules of this chain may stand.
std::vector<std::string> chains_of_ipchains(std::string_view chain);
// The one; rules of table nat are no rules of a chain, they are counted under such a name.
std::string chain_of_iptables(std::string_view table, std::string_view chain);

class RuleCounts {
 public:
  // Of one rule of masqgate's; several of one name are counted together.
  void add(const std::string& chain, const std::string& rule, Count count);

  // Of rule n, from 1 on; 0 is the policy.
  Count ipchains(std::string_view chain, std::size_t rule) const;
  bool has(const std::string& chain) const { return chains_.contains(chain); }
  Count iptables(std::string_view table, std::string_view chain, std::size_t rule) const;

 private:
  Count sum(const std::string& chain, std::size_t rule) const;
  std::map<std::string, std::map<std::string, Count>> chains_;
};

}  // namespace masqgate::language
