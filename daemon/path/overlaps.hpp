// Networks that two ports think they are in: what lies in both is found behind one of them only
// (RFC 4787 REQ-7, U-08: a provider that gives out the network that the inside has).

#pragma once

#include <string>
#include <vector>

#include "daemon/path/policy.hpp"

namespace masqgate::path {

// A sentence for each pair of ports; single addresses, and link-local networks, are no networks.
std::vector<std::string> overlaps(const std::vector<PortInfo>& ports);

}  // namespace masqgate::path
