#include "daemon/path/policy.hpp"

#include <algorithm>

namespace masqgate::path {

bool PortInfo::owns(net::IpAddress address) const {
  return std::ranges::any_of(addresses, [&](const auto& own) { return own.address == address; });
}

std::optional<net::IpAddress> PortInfo::source_towards(net::IpAddress other) const {
  std::optional<net::IpAddress> fallback;
  for (const net::InterfaceAddress& own : addresses) {
    if (own.address.family() != other.family()) continue;
    if (own.network().contains(other)) return own.address;
    if (!fallback && !own.address.is_link_local()) fallback = own.address;
  }
  return fallback;
}

const nat::MasqueradeRule* Policy::masquerade_for(PortIndex egress, net::IpAddress source) const {
  if (masquerade.empty() || egress >= ports.size() || ports[egress].owns(source)) return nullptr;
  for (const nat::MasqueradeRule& rule : masquerade)
    if (rule.egress == egress && rule.source.contains(source)) return &rule;
  return nullptr;
}

}  // namespace masqgate::path
