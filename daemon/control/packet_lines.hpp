// Lines about packets that rules log, as ipchains -l and iptables' LOG wrote them (history 3.4, 7.2),
// and as masqgate does.
//
// Pure functions of the first bytes of a packet, which are a stranger's: whatever is not there is not
// told.

#pragma once

#include <span>
#include <string>
#include <string_view>

#include "daemon/firewall/log_ring.hpp"

namespace masqgate::control {

// Names of interfaces as the line shall tell them; empty where there is none.
struct LineInterfaces {
  std::string_view in{}, out{};
};

// "<prefix>IN=eth0 OUT= MAC=… SRC=… DST=… … PROTO=TCP SPT=… " with the blank at its end.
std::string iptables_line(std::string_view prefix, const firewall::LogNote& note,
                          const LineInterfaces& interfaces);
// "Packet log: input DENY eth0 PROTO=17 … (#3)"; the prefix tells chain and target. IPv4 only;
// others as plain_line().
std::string ipchains_line(std::string_view prefix, const firewall::LogNote& note,
                          std::string_view interface, std::string_view number);
// The prefix, where from and to, and the packet as traces show it.
std::string plain_line(std::string_view prefix, const firewall::LogNote& note,
                       const LineInterfaces& interfaces);

}  // namespace masqgate::control
