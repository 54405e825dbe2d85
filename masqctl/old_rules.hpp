// The rule sets of the old tools, where they live: member "firewall" of the router's configuration.
//
// A tool takes its rules from there, works on them, and hands them back; if somebody else has changed
// the document meanwhile, it begins anew. So many of them may run at once, and none sees or leaves
// half a rule set.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/language/ipchains.hpp"
#include "daemon/language/iptables.hpp"
#include "masqctl/tables.hpp"

namespace masqgate::ctl {

// Works on the document; false: nothing is to be handed back.
using Change = std::function<bool(Json& document)>;
// Throws language::Mistake where the router refuses, Failure where there is none.
void change_document(const std::string& socket, const Change& change);

// The rules of one language in a document; throws Mistake if another one's are there.
language::Ipchains ipchains_of(const Json& document);
language::Iptables iptables_of(const Json& document);
// Rules that say nothing leave an empty "firewall".
void put(Json& document, const language::Ipchains& rules);
void put(Json& document, const language::Iptables& rules);

// What the router has counted, for those who list.
class OldCounts {
 public:
  explicit OldCounts(const std::string& socket);
  language::Count ipchains(std::string_view chain, std::size_t rule) const;
  language::Count iptables(std::string_view table, std::string_view chain, std::size_t rule) const;

 private:
  // Of rule n of a chain by its name in the document, in all forms that it has there; 0: the policy.
  language::Count sum(const std::string& chain, std::size_t rule) const;
  std::map<std::string, std::map<std::string, language::Count>> chains_;
};

}  // namespace masqgate::ctl
