// The files in which Linux 2.2 and 2.4 showed their rules (history 1.3, 1.8). Pure functions.

#pragma once

#include <string>

#include "daemon/control/config.hpp"
#include "daemon/language/rule_counts.hpp"

namespace masqgate::control {

// Rules that ipchains did not write have no lines there; its three chains always are.
std::string ip_fwchains(const Config& config, const language::RuleCounts& counts);
std::string ip_fwnames(const Config& config, const language::RuleCounts& counts);

// Tables that iptables has rules in; what it could ask and do.
std::string ip_tables_names(const Config& config);
std::string ip_tables_matches();
std::string ip_tables_targets();

}  // namespace masqgate::control
