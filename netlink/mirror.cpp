#include "netlink/mirror.hpp"

#include <algorithm>
#include <iterator>

namespace masqgate::netlink {
namespace {

Mirror::RouteKey key_of(const Route& route) {
  return {route.table, route.destination, route.source.value_or(net::Prefix{}), route.tos,
          route.metric};
}

bool is_v6(const Route& route) {
  return route.destination.family() == net::Family::v6;
}

// IPv6 routes to one destination are one route of many next hops if each goes through a gateway.
bool can_share(const Route& route) {
  return !route.next_hops.empty() && route.next_hops.front().gateway.has_value();
}

bool same_v4(const Route& a, const Route& b) {
  return a.type == b.type && a.origin == b.origin && a.scope == b.scope &&
         a.preferred_source == b.preferred_source && a.next_hops == b.next_hops;
}

// Which of the listed routes an IPv6 message of the kernel's is about.
bool about_v6(const Route& listed, const Route& told) {
  if (can_share(listed) != can_share(told)) return false;
  return can_share(told) || (listed.next_hops == told.next_hops && listed.type == told.type);
}

using Routes = std::vector<Route>;

void insert_v4(Routes& list, const Route& route, Placement placement) {
  const auto same =
      std::find_if(list.begin(), list.end(), [&](const Route& r) { return same_v4(r, route); });
  if (same != list.end())
    *same = route;
  else if (placement == Placement::instead && !list.empty())
    list.front() = route;
  else
    list.insert(placement == Placement::last ? list.end() : list.begin(), route);
}

// A message about a shared route lists all of its next hops.
void insert_v6(Routes& list, const Route& route, Placement placement) {
  const auto old = placement == Placement::instead
                       ? list.begin()
                       : std::find_if(list.begin(), list.end(),
                                      [&](const Route& r) { return about_v6(r, route); });
  if (old != list.end())
    *old = route;
  else
    list.push_back(route);
}

// Linux 6.18 was seen to take away more, or less, than the one route it says it replaced where
// routes of both kinds stand together.
bool is_doubtful(const Routes& list, const Route& route, Placement placement) {
  if (!is_v6(route) || placement != Placement::instead || list.empty()) return false;
  return list.size() > 1 || can_share(list.front()) != can_share(route);
}

void erase_v4(Routes& list, const Route& route) {
  const auto same =
      std::find_if(list.begin(), list.end(), [&](const Route& r) { return same_v4(r, route); });
  if (same != list.end()) list.erase(same);
}

// Next hops of a shared route go one by one or all together.
void erase_v6(Routes& list, const Route& route) {
  const auto old =
      std::find_if(list.begin(), list.end(), [&](const Route& r) { return about_v6(r, route); });
  if (old == list.end()) return;
  std::erase_if(old->next_hops, [&](const NextHop& hop) {
    return std::any_of(route.next_hops.begin(), route.next_hops.end(), [&](const NextHop& gone) {
      return gone.ifindex == hop.ifindex && gone.gateway == hop.gateway;
    });
  });
  if (old->next_hops.empty()) list.erase(old);
}

bool same_rule(Rule a, const Rule& b) {
  a.deleted = b.deleted;
  return a == b;
}

}  // namespace

const Link* Mirror::find_link(std::string_view name) const {
  for (const auto& [index, link] : links)
    if (link.name == name) return &link;
  return nullptr;
}

void Mirror::on_reset(Scope scope) {
  listing_ = true;
  routes.clear();
  changes_.routes = true;
  if (scope == Scope::routes) return;
  links.clear();
  addresses.clear();
  rules.clear();
  neighbours.clear();
  changes_ = {true, true, true, true, true};
}

void Mirror::on_link(const Link& link) {
  changes_.links = true;
  if (link.deleted)
    links.erase(link.index);
  else
    links[link.index] = link;
}

void Mirror::on_address(const Address& address) {
  changes_.addresses = true;
  const AddressKey key{address.ifindex, address.address, address.peer.value_or(net::IpAddress{})};
  if (address.deleted)
    addresses.erase(key);
  else
    addresses[key] = address;
}

bool Mirror::on_route(const Route& route, Placement placement) {
  changes_.routes = true;
  const auto place = routes.try_emplace(key_of(route)).first;
  Routes& list = place->second;
  if (listing_) {
    list.push_back(route);
    return true;
  }
  const bool sure = !is_doubtful(list, route, placement);
  if (route.deleted)
    is_v6(route) ? erase_v6(list, route) : erase_v4(list, route);
  else
    is_v6(route) ? insert_v6(list, route, placement) : insert_v4(list, route, placement);
  if (list.empty()) routes.erase(place);
  return sure;
}

void Mirror::on_rule(const Rule& rule) {
  changes_.rules = true;
  const auto same =
      std::find_if(rules.begin(), rules.end(), [&](const Rule& r) { return same_rule(r, rule); });
  if (rule.deleted) {
    if (same != rules.end()) rules.erase(same);
    return;
  }
  if (same != rules.end()) {
    *same = rule;
    return;
  }
  const auto later = std::find_if(rules.begin(), rules.end(), [&](const Rule& r) {
    return std::pair{r.family, r.priority} > std::pair{rule.family, rule.priority};
  });
  rules.insert(later, rule);
}

void Mirror::on_neighbour(const Neighbour& neighbour) {
  if (neighbour.proxy) return;
  changes_.neighbours = true;
  const std::pair key{neighbour.ifindex, neighbour.address};
  if (neighbour.deleted)
    neighbours.erase(key);
  else
    neighbours[key] = neighbour;
}

void Mirror::on_complete() {
  listing_ = false;
  const Changes changes = std::exchange(changes_, Changes{});
  const bool any =
      changes.links || changes.addresses || changes.routes || changes.rules || changes.neighbours;
  if (any && publish_) publish_(changes);
}

void Mirror::on_trouble(const std::string& problem) {
  if (trouble_) trouble_(problem);
}

}  // namespace masqgate::netlink
