// The words of rates: "3/hour", and {"rate": "10/second", "burst": 20}.

#pragma once

#include <string>

#include "daemon/firewall/match_counting.hpp"
#include "daemon/firewall/words.hpp"

namespace masqgate::firewall {

// text: without a "!"; the burst is that of a new Rate.
Rate read_rate(const Value& value, std::string_view text);
std::string write_rate(const Rate& rate);
// An object's member "burst", if it is there.
void read_burst(const Value& object, Rate& rate);

}  // namespace masqgate::firewall
