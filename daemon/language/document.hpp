// What a rule set in an old language becomes: members "firewall" and "nat" of the configuration
// document.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/json/reader.hpp"
#include "daemon/language/ipchains.hpp"
#include "daemon/language/iptables.hpp"

namespace masqgate::language {

// A port and the NICs at its network side: old rule sets know the NICs. A rule that masquerades a
// network and names no interface does not mean the port where that network is.
struct PortNames {
  std::string name;
  std::vector<std::string> devices;
  std::vector<net::Prefix> networks{};
};

struct Document {
  json::Json firewall = json::Json::object();
  json::Json nat = json::Json::array();
  // Of table nat: where each rule of nat comes from.
  struct Origin {
    std::string chain;
    std::size_t rule = 0;  // from 1 on
  };
  std::vector<Origin> origins{};
};

// What the old rules said and masqgate's cannot is refused: Mistake, whose sentence tells chain and
// number. The rule in place n of a chain has the id "n" where its packets are counted.
//
//   input    sees what arrives: prerouting        MASQ      masquerade with profile classic-2.2
//   forward  without answers to masqueraded ones  REDIRECT  redirect
//   output   sees what leaves: leaving
//
// A chain of one's own stands there once for each of the three that reaches it.
Document ipchains_document(const Ipchains& rules, std::span<const PortNames> ports);

// filter and mangle become chains; nat becomes rules of translation, as far as those can say which
// packets they mean. A chain of one's own stands there as "filter-NAME" or "mangle-NAME".
Document iptables_document(const Iptables& rules, std::span<const PortNames> ports);

// The ports that an interface of a rule means: "eth0" (a port, or the one with this NIC), "eth+".
// Empty for "lo", which masqgate never sees. Throws Mistake where there is none.
std::vector<std::string> ports_meant(std::string_view interface, std::span<const PortNames> ports);
// Those by which packets from this network leave it.
std::vector<std::string> ports_out_of(const net::Prefix& network, std::span<const PortNames> ports);

}  // namespace masqgate::language
