#include "daemon/control/kernel_sync.hpp"

#include <asio/post.hpp>

#include <algorithm>

#include "daemon/base/log.hpp"

namespace masqgate::control {
namespace {

// Changes come in bursts (a link that goes down takes its routes along): one Policy for all of
// them.
constexpr auto kSettle = std::chrono::milliseconds{5};

route::Kind kind_of(netlink::RouteType type) {
  switch (type) {
    case netlink::RouteType::unicast:
      return route::Kind::unicast;
    case netlink::RouteType::local:
    case netlink::RouteType::anycast:
      return route::Kind::local;
    case netlink::RouteType::broadcast:
      return route::Kind::broadcast;
    case netlink::RouteType::multicast:
      return route::Kind::multicast;
    case netlink::RouteType::blackhole:
      return route::Kind::blackhole;
    case netlink::RouteType::unreachable:
      return route::Kind::unreachable;
    case netlink::RouteType::prohibit:
      return route::Kind::prohibit;
    case netlink::RouteType::throw_out:
      return route::Kind::throw_;
    default:
      return route::Kind::none;
  }
}

route::Rule::Action action_of(netlink::RuleAction action) {
  using Action = route::Rule::Action;
  switch (action) {
    case netlink::RuleAction::to_table:
      return Action::lookup;
    case netlink::RuleAction::go_to:
      return Action::go_to;
    case netlink::RuleAction::blackhole:
      return Action::blackhole;
    case netlink::RuleAction::unreachable:
      return Action::unreachable;
    case netlink::RuleAction::prohibit:
      return Action::prohibit;
    default:
      return Action::nop;
  }
}

neighbour::State state_of(const netlink::Neighbour& neighbour) {
  if (neighbour.state == netlink::NeighbourState::failed) return neighbour::State::failed;
  if (neighbour.deleted || !neighbour.usable()) return neighbour::State::unresolved;
  return neighbour.state == netlink::NeighbourState::stale ? neighbour::State::stale
                                                           : neighbour::State::usable;
}

}  // namespace

KernelSync::KernelSync(asio::io_context& context, std::vector<std::string> ports, Handlers handlers)
    : Mirror{[this](const netlink::Changes& changes) {
               changes_.links |= changes.links || changes.addresses;
               changes_.routes |= changes.links || changes.routes || changes.rules;
               if (changes_.links || changes_.routes) publish_soon();
             },
             [](const std::string& problem) {
               log::warning("the kernel cannot be asked for its tables", {{"PROBLEM", problem}});
             }},
      context_{context},
      ports_{std::move(ports)},
      handlers_{std::move(handlers)},
      timer_{context},
      monitor_{context, *this} {}

void KernelSync::ask(PortIndex port, net::IpAddress address) noexcept {
  asio::post(context_, [this, port, address] {
    const netlink::Link* link = find_link(ports_[port]);
    if (link == nullptr) return;  // asked again while a packet waits
    prober_.probe(link->index, address);
    // Linux says nothing about what has not changed since the port had another name.
    const auto known = neighbours.find({link->index, address});
    if (known != neighbours.end() && state_of(known->second) == neighbour::State::usable)
      pass_on(known->second);
  });
}

PortIndex KernelSync::port_named(const std::string& name) const {
  const auto found = std::ranges::find(ports_, name);
  return found == ports_.end() ? kNoPort : static_cast<PortIndex>(found - ports_.begin());
}

PortIndex KernelSync::port_of(std::uint32_t ifindex) const {
  const auto link = links.find(ifindex);
  return link == links.end() ? kNoPort : port_named(link->second.name);
}

void KernelSync::on_reset(Scope scope) {
  Mirror::on_reset(scope);
  if (scope == Scope::everything) handlers_.on_neighbours_lost();
}

void KernelSync::on_link(const netlink::Link& link) {
  Mirror::on_link(link);
  handlers_.on_link(link);
}

void KernelSync::on_neighbour(const netlink::Neighbour& neighbour) {
  Mirror::on_neighbour(neighbour);
  pass_on(neighbour);
}

void KernelSync::pass_on(const netlink::Neighbour& neighbour) {
  const PortIndex port = port_of(neighbour.ifindex);
  if (port == kNoPort || neighbour.proxy) return;
  const bool known = !neighbour.deleted && neighbour.usable();
  handlers_.on_neighbour(
      {port, neighbour.address, known ? neighbour.mac : std::nullopt, state_of(neighbour)});
}

void KernelSync::publish_soon() {
  if (std::exchange(publishing_soon_, true)) return;
  timer_.expires_after(kSettle);
  timer_.async_wait([this](const asio::error_code& problem) {
    if (!problem) publish();
  });
}

void KernelSync::publish() {
  publishing_soon_ = false;
  const netlink::Changes changed = std::exchange(changes_, {});
  if (changed.links) {
    view_.ports.clear();
    for (const std::string& name : ports_) view_.ports.push_back(port_info(name));
  }
  if (changed.routes) view_.routes = route_table();
  handlers_.on_view(view_);
}

path::PortInfo KernelSync::port_info(const std::string& name) const {
  path::PortInfo info;
  info.name = name;
  const netlink::Link* link = find_link(name);
  info.up = link != nullptr && link->running;
  if (link == nullptr) return info;
  info.mtu = link->mtu;
  info.has_link_layer = link->mac.has_value();
  if (link->mac) info.mac = *link->mac;
  // Addresses that are not to be used for anything new come last, duplicates not at all (RFC 4862).
  std::vector<net::InterfaceAddress> second_choice;
  for (const auto& [key, address] : addresses) {
    if (address.ifindex != link->index || address.duplicate) continue;
    const bool first = !address.secondary && !address.deprecated && !address.tentative;
    (first ? info.addresses : second_choice).push_back(address.address);
  }
  info.addresses.insert(info.addresses.end(), second_choice.begin(), second_choice.end());
  return info;
}

route::Route KernelSync::convert(const netlink::Route& route) const {
  route::Route out;
  out.destination = route.destination;
  out.table = route.table;
  out.kind = kind_of(route.type);
  out.metric = route.metric;
  out.tos = route.tos;
  out.preferred_source = route.preferred_source;
  out.mtu = route.mtu;
  for (const netlink::NextHop& hop : route.next_hops)
    out.next_hops.push_back({port_of(hop.ifindex), hop.gateway, hop.weight});
  return out;
}

route::Rule KernelSync::convert(const netlink::Rule& rule) const {
  route::Rule out;
  out.family = rule.family;
  out.priority = rule.priority;
  out.from = rule.source;
  out.to = rule.destination;
  if (!rule.in_link.empty()) out.ingress = port_named(rule.in_link);
  out.mark = rule.mark;
  out.mark_mask = rule.mask;
  out.tos = rule.tos;
  if (rule.ip_protocol != 0) out.protocol = static_cast<net::Protocol>(rule.ip_protocol);
  out.source_ports = rule.source_ports;
  out.destination_ports = rule.destination_ports;
  out.unmeetable = !rule.out_link.empty() || rule.uids || rule.l3mdev || rule.unsupported;
  out.invert = rule.inverted;
  out.action = action_of(rule.action);
  out.table = rule.table;
  out.target = rule.go_to;
  out.suppress_prefix_length = rule.suppress_prefix_length;
  return out;
}

std::shared_ptr<const route::Table> KernelSync::route_table() const {
  std::vector<route::Route> converted;
  for (const auto& [key, alternatives] : routes)
    for (const netlink::Route& route : alternatives)
      if (!route.unsupported && !route.source) converted.push_back(convert(route));
  std::vector<route::Rule> converted_rules;
  for (const netlink::Rule& rule : rules) converted_rules.push_back(convert(rule));
  return std::make_shared<route::Table>(std::move(converted), std::move(converted_rules));
}

}  // namespace masqgate::control
