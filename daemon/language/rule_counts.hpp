// What old rules have counted: masqgate counts for the rules that they became (document.hpp).

#pragma once

#include <map>
#include <string>
#include <string_view>

#include "daemon/language/ipchains.hpp"

namespace masqgate::language {

class RuleCounts {
 public:
  // Of one rule of masqgate's.
  void add(const std::string& chain, const std::string& rule, Count count);

  // Of rule n, from 1 on; 0 is the policy.
  Count ipchains(std::string_view chain, std::size_t rule) const;
  Count iptables(std::string_view table, std::string_view chain, std::size_t rule) const;

 private:
  Count sum(const std::string& chain, std::size_t rule) const;
  std::map<std::string, std::map<std::string, Count>> chains_;
};

}  // namespace masqgate::language
