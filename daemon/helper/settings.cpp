#include "daemon/helper/settings.hpp"

#include <algorithm>

namespace masqgate::helper {
namespace {

// Services that listen on high ports of hosts inside, and that nobody outside should reach because
// a program was talked into announcing them: SQL servers, NFS, RDP, VNC, X11, key-value stores.
constexpr net::PortRange kDenied[] = {{1433, 1434},   {2049, 2049},  {3306, 3306}, {3389, 3389},
                                      {5432, 5432},   {5900, 5909},  {6000, 6063}, {6379, 6379},
                                      {11211, 11211}, {27017, 27019}};

}  // namespace

Settings Settings::defaults() {
  Settings settings;
  for (const Helper* helper : all_helpers())
    settings.services.push_back(
        {helper->on_by_default, {helper->ports.begin(), helper->ports.end()}, {}, false});
  settings.denied.assign(std::begin(kDenied), std::end(kDenied));
  return settings;
}

std::optional<std::size_t> Settings::service_for(const Tuple& original, const Tuple& reply) const {
  for (std::size_t i = 0; i < services.size(); ++i) {
    const Service& service = services[i];
    const bool has_port =
        all_helpers()[i]->protocol == original.protocol &&
        std::ranges::find(service.ports, reply.source_port) != service.ports.end();
    if (!service.enabled || (!has_port && all_helpers()[i]->beside != original.protocol)) continue;
    const auto is_inside = [&](const net::Prefix& network) {
      return network.contains(original.source_address) || network.contains(reply.source_address);
    };
    if (service.networks.empty() || std::ranges::any_of(service.networks, is_inside)) return i;
  }
  return std::nullopt;
}

bool Settings::is_denied(net::Port port) const {
  return std::ranges::any_of(denied, [&](net::PortRange range) { return range.contains(port); });
}

}  // namespace masqgate::helper
