// What the doors show of helpers and expectations: JSON, and the historic files byte for byte (history
// 1.2, 1.4, 1.6).

#pragma once

#include <string>
#include <vector>

#include "daemon/control/shard_access.hpp"
#include "daemon/helper/helpers.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

// Copied out of the shard.
struct HelpersCopy {
  helper::Settings settings;
  std::vector<helper::HelperCounters> counters;
  std::vector<helper::AttachedPort> attached;
};
struct ExpectationsCopy {
  std::vector<helper::Expectation> waiting;
  std::vector<helper::PastExpectation> past;  // oldest first
  Time now{};
};

state::Json helpers_document(const HelpersCopy& copy);
state::Json expectations_document(const ExpectationsCopy& copy);

// /proc/net/ip_masq/app of Linux 2.2: records of 40 bytes.
std::string ip_masq_app(const HelpersCopy& copy);
// The last lines of /proc/net/ip_conntrack of Linux 2.4; IPv4 only.
std::string expecting(const std::vector<helper::Expectation>& waiting, Time now);
// /proc/net/ip_conntrack_expect of Linux 2.6, and nf_conntrack_expect of both families.
std::string ip_conntrack_expect(const std::vector<helper::Expectation>& waiting, Time now);
std::string nf_conntrack_expect(const std::vector<helper::Expectation>& waiting, Time now);

}  // namespace masqgate::control
