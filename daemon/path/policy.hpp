// The Policy: everything that decides about packets, compiled by control into one immutable value.
//
// A shard holds one and swaps it between two bursts; so no packet is judged by a mixture. The parts
// are shared, so that a change of one costs that one.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/conntrack/timeouts.hpp"
#include "daemon/firewall/ruleset.hpp"
#include "daemon/helper/settings.hpp"
#include "daemon/nat/dynaddr.hpp"
#include "daemon/nat/rules.hpp"
#include "daemon/net/mac_address.hpp"
#include "daemon/net/prefix.hpp"
#include "daemon/path/limits.hpp"
#include "daemon/path/source_validation.hpp"
#include "daemon/path/syn_proxy_rule.hpp"
#include "daemon/route/table.hpp"

namespace masqgate::path {

// A port as packets need to know it; its place in Policy::ports is its PortIndex.
struct PortInfo {
  std::string name;
  net::MacAddress mac;         // the router's address on this link
  unsigned mtu = 1500;         // bytes of IP packet
  bool up = true;              // carrier and administratively
  bool has_link_layer = true;  // false: TUN
  SourceValidation source_validation = SourceValidation::loose;
  std::vector<net::InterfaceAddress> addresses;

  bool owns(net::IpAddress address) const;
  // The address to speak from to this neighbour or destination: one in its network, else the first
  // of its family that is not link-local; empty if there is none.
  std::optional<net::IpAddress> source_towards(net::IpAddress other) const;
};

struct Policy {
  std::shared_ptr<const firewall::Ruleset> ruleset = std::make_shared<firewall::Ruleset>();
  std::shared_ptr<const route::Table> routes = std::make_shared<route::Table>();
  std::vector<PortInfo> ports;
  nat::Rules nat;
  conntrack::Timeouts timeouts = conntrack::Timeouts::of(conntrack::Profile::rfc);
  conntrack::RuleTimeouts rule_timeouts;
  Limits limits;
  helper::Settings helpers = helper::Settings::defaults();
  bool forwarding = true;
  bool always_defragment = false;  // put datagrams together before they are judged (M7)
  nat::Dynaddr dynaddr;
  std::vector<SynProxyRule> syn_proxy;
  // TCP ports by which the router itself is managed: no missing program shuts them (divert).
  std::vector<net::PortRange> management;

  conntrack::TimeoutsInForce timeouts_in_force() const { return {timeouts, rule_timeouts}; }
  // The port that has this address; kNoPort if none has.
  PortIndex owner_of(net::IpAddress address) const;
  // The rule for what leaves through this port; null if it goes as it is.
  const nat::SourceRule* source_rule_for(PortIndex egress, const Tuple& tuple) const;
  // The rule behind which this sender stands outside, if its packet asks for an address there
  // although both ends are inside; null if it does not.
  const nat::SourceRule* hairpin_rule_for(PortIndex ingress, const Tuple& tuple) const;
  // The rule by which somebody may stand at this address of the network behind this port; null if
  // none gives it.
  const nat::SourceRule* rule_giving(PortIndex egress, net::IpAddress address) const;
  // Whether a rule translates what leaves by this port: strangers are behind it.
  bool is_outside(PortIndex port) const;
  // What a port does whose owner has not said it: strict where only hosts of ours are, as behind
  // a router that translates.
  SourceValidation usual_source_validation(PortIndex port) const;
  // Whether the sender of what begins a connection may stand behind the port it came in by. to: as
  // translated already; answers would be routed from there.
  bool admits_source(PortIndex ingress, const Tuple& to, std::uint32_t mark,
                     std::uint8_t tos) const;
  // Whether it is for one of the ports of management, or from there.
  bool is_management(const Packet& packet) const;
  // Whether a packet that leaves by this port shows an address that a rule should have hidden.
  bool shows_inside(PortIndex egress, const Tuple& tuple) const;
};

}  // namespace masqgate::path
