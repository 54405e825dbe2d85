// The words of actions in documents.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/firewall/action.hpp"
#include "daemon/firewall/ruleset.hpp"
#include "daemon/json/reader.hpp"

namespace masqgate::firewall {

using ChainPlaces = std::map<std::string, std::size_t, std::less<>>;

// A word, or an object of one member that names the action; throws json::Error.
Action read_action(const json::Value& value, const ChainPlaces& chains);
json::Json write_action(const Action& action, const std::vector<Chain>& chains);

}  // namespace masqgate::firewall
