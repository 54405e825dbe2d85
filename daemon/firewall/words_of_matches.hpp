// How the words of one match are read and written; each has a specialization.

#pragma once

#include <string>
#include <string_view>

#include "daemon/firewall/firewall_json.hpp"
#include "daemon/firewall/words.hpp"

namespace masqgate::firewall {

// Its member in a rule (kMember), how it is read and how it is written.
template <typename M>
struct Words;

}  // namespace masqgate::firewall
