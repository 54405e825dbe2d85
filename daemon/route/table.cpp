#include "daemon/route/table.hpp"

#include <algorithm>
#include <tuple>

#include "daemon/base/siphash.hpp"

namespace masqgate::route {
namespace {

auto order(const Route& r) {
  // A route for one type of service goes before that for any; the kernel puts the higher first.
  return std::tuple{r.destination.family(), r.table, r.destination, 255 - r.tos, r.metric};
}

auto order(const Rule& r) {
  return std::tuple{r.family, r.priority};
}

auto group_of(const Route& r) {
  return std::tuple{r.destination.family(), r.table, r.destination};
}

// IPv4 keeps to the four bits of RFC 1349 (IPTOS_RT_MASK), IPv6 compares the whole DSCP.
bool tos_matches(std::uint8_t wanted, const Query& query) {
  const std::uint8_t mask = query.destination.is_v4() ? 0x1c : 0xfc;
  return wanted == 0 || wanted == (query.tos & mask);
}

bool selectors_match(const Rule& rule, const Query& query) {
  const auto in = [](const auto& range, auto value) { return !range || range->contains(value); };
  return !rule.unmeetable &&
         (!rule.ingress || (*rule.ingress != kNoPort && *rule.ingress == query.ingress)) &&
         ((rule.mark ^ query.mark) & rule.mark_mask) == 0 && in(rule.from, query.source) &&
         in(rule.to, query.destination) && tos_matches(rule.tos, query) &&
         (!rule.protocol || *rule.protocol == query.protocol) &&
         in(rule.source_ports, query.source_port) &&
         in(rule.destination_ports, query.destination_port);
}

std::uint64_t weight_of(const NextHop& hop) {
  return hop.weight == 0 ? 1 : hop.weight;
}

// By a hash of both addresses, as fib_multipath_hash_policy 0: what belongs together stays
// together.
const NextHop& choose(const std::vector<NextHop>& hops, const Query& query) {
  if (hops.size() == 1) return hops.front();
  std::uint64_t total = 0;
  for (const NextHop& hop : hops) total += weight_of(hop);
  const std::uint64_t hash = SipHash{HashKey{}}
                                 .add(query.source.high())
                                 .add(query.source.low())
                                 .add(query.destination.high())
                                 .add(query.destination.low())
                                 .finish() >>
                             32;
  std::uint64_t place = hash * total >> 32;
  for (const NextHop& hop : hops) {
    if (place < weight_of(hop)) return hop;
    place -= weight_of(hop);
  }
  return hops.back();
}

Decision decide(const Route& route, const Query& query) {
  Decision decision{.kind = route.kind,
                    .next_hop = query.destination,
                    .preferred_source = route.preferred_source,
                    .mtu = route.mtu};
  if (route.next_hops.empty()) return decision;
  const NextHop& hop = choose(route.next_hops, query);
  decision.egress = hop.egress;
  decision.next_hop = hop.gateway.value_or(query.destination);
  return decision;
}

Kind kind_of(Rule::Action action) {
  switch (action) {
    case Rule::Action::blackhole:
      return Kind::blackhole;
    case Rule::Action::unreachable:
      return Kind::unreachable;
    case Rule::Action::prohibit:
      return Kind::prohibit;
    default:
      return Kind::none;
  }
}

}  // namespace

std::vector<Rule> default_rules() {
  std::vector<Rule> rules;
  for (const net::Family family : {net::Family::v4, net::Family::v6}) {
    rules.push_back({.family = family, .priority = 0, .table = kLocalTable});
    rules.push_back({.family = family, .priority = 32766, .table = kMainTable});
  }
  rules.push_back({.family = net::Family::v4, .priority = 32767, .table = kDefaultTable});
  return rules;
}

Table::Table(std::vector<Route> routes, std::vector<Rule> rules)
    : routes_{std::move(routes)}, rules_{std::move(rules)} {
  const auto in_order = [](const auto& a, const auto& b) { return order(a) < order(b); };
  std::stable_sort(routes_.begin(), routes_.end(), in_order);
  std::stable_sort(rules_.begin(), rules_.end(), in_order);
  build_fibs();
  for (const Rule& rule : rules_) {
    ways_.push_back({find_fib(rule.family, rule.table), find_target(rule)});
    if (rule.family == net::Family::v4) ++first_v6_rule_;
  }
  const auto asks = [](const auto& one) { return one.tos != 0; };
  looks_at_tos_ = std::ranges::any_of(routes_, asks) || std::ranges::any_of(rules_, asks);
}

void Table::build_fibs() {
  std::vector<net::Prefix> prefixes;
  const auto finish = [&] {
    if (!fibs_.empty()) fibs_.back().ranges = PrefixRanges{prefixes};
    prefixes.clear();
  };
  for (std::uint32_t at = 0; at < routes_.size();) {
    const Route& route = routes_[at];
    const net::Family family = route.destination.family();
    if (fibs_.empty() || fibs_.back().family != family || fibs_.back().number != route.table) {
      finish();
      fibs_.push_back({family, route.table, {}, {}});
    }
    prefixes.push_back(route.destination);
    fibs_.back().groups.push_back({at, group_end(at)});
    at = fibs_.back().groups.back().last;
  }
  finish();
}

std::uint32_t Table::group_end(std::uint32_t first) const {
  std::uint32_t end = first + 1;
  while (end < routes_.size() && group_of(routes_[end]) == group_of(routes_[first])) ++end;
  return end;
}

std::size_t Table::find_fib(net::Family family, std::uint32_t number) const {
  const auto found = std::find_if(fibs_.begin(), fibs_.end(), [&](const Fib& fib) {
    return fib.family == family && fib.number == number;
  });
  return static_cast<std::size_t>(found - fibs_.begin());
}

std::size_t Table::find_target(const Rule& rule) const {
  const auto found = std::find_if(rules_.begin(), rules_.end(), [&](const Rule& other) {
    return order(other) == std::tuple{rule.family, rule.target} && rule.target > rule.priority;
  });
  return static_cast<std::size_t>(found - rules_.begin());
}

const Route* Table::search(const Fib& fib, const Query& query) const noexcept {
  for (std::uint32_t prefix = fib.ranges.find(query.destination); prefix != PrefixRanges::kNobody;
       prefix = fib.ranges.parent(prefix)) {
    const Group group = fib.groups[prefix];
    for (std::uint32_t at = group.first; at != group.last; ++at)
      if (tos_matches(routes_[at].tos, query)) return &routes_[at];
  }
  return nullptr;
}

const Route* Table::follow(std::size_t index, const Query& query) const noexcept {
  if (ways_[index].fib == fibs_.size()) return nullptr;
  const Route* route = search(fibs_[ways_[index].fib], query);
  if (route == nullptr || route->kind == Kind::throw_) return nullptr;
  // Only what would be used is suppressed: a blackhole stays a blackhole.
  const bool refuses = route->kind == Kind::blackhole || route->kind == Kind::unreachable ||
                       route->kind == Kind::prohibit;
  const auto& suppress = rules_[index].suppress_prefix_length;
  if (suppress && !refuses && route->destination.length() <= *suppress) return nullptr;
  return route;
}

Table::Found Table::find(const Query& query) const noexcept {
  const bool v4 = query.destination.is_v4();
  const std::size_t end = v4 ? first_v6_rule_ : rules_.size();
  std::size_t at = v4 ? 0 : first_v6_rule_;
  while (at < end) {
    const Rule& rule = rules_[at];
    const std::size_t here = at++;
    if (selectors_match(rule, query) == rule.invert || rule.action == Rule::Action::nop) continue;
    if (rule.action == Rule::Action::go_to) {
      if (ways_[here].target != rules_.size()) at = ways_[here].target;  // always further on
      continue;
    }
    if (rule.action != Rule::Action::lookup) return {nullptr, kind_of(rule.action)};
    if (const Route* route = follow(here, query)) return {route, route->kind};
  }
  return {};
}

Decision Table::lookup(const Query& query) const noexcept {
  const Found found = find(query);
  if (found.route != nullptr) return decide(*found.route, query);
  if (found.kind == Kind::none) return {};
  return {.kind = found.kind, .next_hop = query.destination};
}

bool Table::leads_to(PortIndex port, const Query& query) const noexcept {
  const Found found = find(query);
  return found.kind == Kind::unicast && found.route != nullptr &&
         std::ranges::any_of(found.route->next_hops,
                             [&](const NextHop& hop) { return hop.egress == port; });
}

}  // namespace masqgate::route
