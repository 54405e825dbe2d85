// Who may bind to which port and do what there (by user and group, as the kernel names the peer).

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/divert/listener.hpp"

namespace masqgate::divert {

struct AccessRule {
  std::uint16_t first = 1;  // ports
  std::uint16_t last = 65535;
  std::optional<std::uint32_t> user;  // neither: everybody who may open the socket
  std::optional<std::uint32_t> group;
  std::uint32_t permissions = format::kMayListen;
  bool operator==(const AccessRule&) const = default;
};

// The superuser may do everything; everybody else what rules say together.
struct Access {
  static constexpr std::uint32_t kEverything = 0xff;
  std::vector<AccessRule> rules;

  std::uint32_t permissions(const Peer& peer, std::uint16_t port) const {
    if (peer.user == 0) return kEverything;
    std::uint32_t granted = 0;
    for (const AccessRule& rule : rules)
      if (port >= rule.first && port <= rule.last && (!rule.user || *rule.user == peer.user) &&
          (!rule.group || *rule.group == peer.group))
        granted |= rule.permissions;
    return granted;
  }
};

}  // namespace masqgate::divert
