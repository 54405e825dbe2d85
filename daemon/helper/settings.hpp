// Which helpers look at which connections: a part of the policy, immutable when built.

#pragma once

#include <optional>
#include <vector>

#include "daemon/helper/helper.hpp"
#include "daemon/net/prefix.hpp"

namespace masqgate::helper {

// One helper's switches.
struct Service {
  static constexpr std::size_t kMostPorts = 12;  // as Linux 2.2 (history 5)
  bool enabled = false;
  std::vector<net::Port> ports;
  std::vector<net::Prefix> networks;  // one end must be in one of these; none: anywhere
  bool wide = false;  // what calls announce is for anybody, not for the peer's address only
  bool operator==(const Service&) const = default;
};

struct Settings {
  std::vector<Service> services;       // in the order of all_helpers()
  std::vector<net::PortRange> denied;  // ports that nothing is opened to, from 1024 on (K-03)

  static Settings defaults();

  // The helper's place in services for a new connection: by the server's port, behind whatever
  // translation. Empty if nobody cares.
  std::optional<std::size_t> service_for(const Tuple& original, const Tuple& reply) const;
  bool is_denied(net::Port port) const;
  bool operator==(const Settings&) const = default;
};

}  // namespace masqgate::helper
