// ipchains, ipfwadm and iptables with their companions (history 3, 7): what masqctl does under these
// names.

#pragma once

#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace masqgate::ctl {

struct OldStreams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
};

// Whether there is a tool of this name.
bool is_old_tool(std::string_view name);
// Returns the exit status, the historic one: 0 done, 1 other trouble, 2 a bad argument.
int old_tool(std::string_view name, const std::string& socket,
             const std::vector<std::string>& words, const OldStreams& streams);

}  // namespace masqgate::ctl
