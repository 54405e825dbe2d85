// The words of matches in documents.

#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "daemon/firewall/firewall_json.hpp"
#include "daemon/firewall/match.hpp"

namespace masqgate::firewall {

// The members of a rule that are matches, in the order of the language.
std::span<const std::string_view> match_members();
std::string_view member_of(const Match& match);

// All matches of a rule; throws json::Error.
std::vector<Match> read_matches(const json::Value& rule, PortNames ports);
json::Json write_match(const Match& match, PortNames ports);

}  // namespace masqgate::firewall
