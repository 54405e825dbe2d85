// ipmasqadm: the historic command over a running masqgated (history 4).
//
// Reads its words as the historic tool did, sends changes to the router and lists tables in the
// tool's own format.

#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace masqgate::ctl {

// words: the module and what follows it. Returns the exit status, the historic one.
int ipmasqadm(const std::string& socket, const std::vector<std::string>& words, std::ostream& out,
              std::ostream& err);

// What -l and -L print for a file of the router. Names are asked for unless numeric.
std::string portfw_listing(const std::string& file, bool numeric);
std::string mfw_listing(const std::string& file, bool numeric);

}  // namespace masqgate::ctl
