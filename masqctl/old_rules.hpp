// The rule sets of the old tools, where they live: member "firewall" of the router's configuration.
//
// A tool takes its rules from there, works on them, and hands them back; if somebody else has
// changed the document meanwhile, it begins anew. So many of them may run at once, and none sees or
// leaves half a rule set.

#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/language/ipchains.hpp"
#include "daemon/language/iptables.hpp"
#include "daemon/language/rule_counts.hpp"
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

// What the router has counted, for those who list: of rules, and of translation.
language::RuleCounts rule_counts(const std::string& socket);
// The same up to the moment in which these chains begin at zero. chains: as RuleCounts has them.
language::RuleCounts zero_counts(const std::string& socket, const std::vector<std::string>& chains);

}  // namespace masqgate::ctl
