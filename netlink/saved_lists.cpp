// Which addresses and routes of a link are saved, and in which order.

#include <algorithm>

#include "netlink/dump.hpp"
#include "netlink/saved.hpp"

namespace masqgate::netlink {
namespace {

std::vector<Saved> saved(std::span<const List> lists) {
  std::vector<Saved> all;
  for (const Message& message : fetch_messages(lists))
    if (auto one = Saved::from_message(message)) all.push_back(std::move(*one));
  return all;
}

bool is_on(const Route& route, std::uint32_t ifindex) {
  return std::any_of(route.next_hops.begin(), route.next_hops.end(),
                     [&](const NextHop& hop) { return hop.ifindex == ifindex; });
}

bool kernel_makes_it(const Route& route) {
  return route.table == kTableLocal || route.origin == RouteOrigin::kernel ||
         route.origin == RouteOrigin::router_advertisement || route.origin == RouteOrigin::redirect;
}

bool has_gateway(const Saved& saved) {
  const auto& hops = std::get<Route>(saved.event()).next_hops;
  return std::any_of(hops.begin(), hops.end(), [](const NextHop& hop) { return hop.gateway; });
}

}  // namespace

// IPv4 lists its addresses in the order in which they came (the first of a network is the primary
// one), IPv6 the newest first.
std::vector<Saved> saved_addresses(std::uint32_t ifindex) {
  constexpr List list = List::addresses;
  std::vector<Saved> kept;
  for (Saved& one : saved({&list, 1})) {
    const auto* address = std::get_if<Address>(&one.event());
    if (address == nullptr || address->ifindex != ifindex || address->autoconfigured) continue;
    if (!one.is_v4() && address->secondary) continue;
    kept.push_back(std::move(one));
  }
  const auto v6 =
      std::stable_partition(kept.begin(), kept.end(), [](const Saved& one) { return one.is_v4(); });
  std::reverse(v6, kept.end());
  return kept;
}

std::vector<Saved> saved_routes(std::uint32_t ifindex) {
  std::vector<Saved> kept;
  for (Saved& one : saved(kRouteLists)) {
    const auto* route = std::get_if<Route>(&one.event());
    if (route != nullptr && is_on(*route, ifindex) && !kernel_makes_it(*route))
      kept.push_back(std::move(one));
  }
  std::stable_partition(kept.begin(), kept.end(),
                        [](const Saved& one) { return !has_gateway(one); });
  return kept;
}

}  // namespace masqgate::netlink
