// Whether the ports of the configuration can be on this host, asked before anything is changed.

#pragma once

#include <string>
#include <vector>

#include "daemon/control/host_ports.hpp"
#include "netlink/messages.hpp"

namespace masqgate::control {

std::string pointer_to(const PortPlan& plan);  // "/ports/wan"

// MAC of the bridge that a port makes: by it the bridge is known as ours.
net::MacAddress bridge_mac(const PortPlan& plan);
net::MacAddress network_side_mac(const PortPlan& plan);
net::MacAddress host_side_mac(const PortPlan& plan);

// Throws state::Error{invalid or conflict} with a pointer into the configuration.
void check_plans(const std::vector<PortPlan>& plans, const std::vector<netlink::Link>& links);

}  // namespace masqgate::control
