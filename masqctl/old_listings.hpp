// What the old tools printed beside their rules: masqueraded connections, and the frame of saved
// files (history 1.1, 3.7, 3.8).

#pragma once

#include <ctime>
#include <string>

#include "daemon/language/ipchains.hpp"
#include "daemon/language/iptables.hpp"

namespace masqgate::ctl {

// "ipchains -M -L" of the text of net/ip_masquerade.
std::string masquerade_listing(const std::string& file,
                               const language::IpchainsOutcome::MasqueradeListing& options,
                               const language::Names& names);

// iptables-save of one table, or of all where it is empty; with_counts: of each rule, too.
std::string saved_iptables(const language::Iptables& rules, const std::string& table,
                           bool with_counts, const language::IptablesCounts& counts,
                           std::time_t now);

}  // namespace masqgate::ctl
