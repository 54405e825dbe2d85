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

namespace {

bool gives(const nat::SourceRule& rule, net::IpAddress address, const PortInfo& egress) {
  using Kind = nat::SourceRule::Kind;
  switch (rule.kind) {
    case Kind::masquerade:
      return egress.owns(address);
    case Kind::pool:
      return std::ranges::any_of(rule.pool, [&](const auto& r) { return r.contains(address); });
    case Kind::network:
      return rule.network.contains(address);
    default:
      return false;
  }
}

}  // namespace

PortIndex Policy::owner_of(net::IpAddress address) const {
  for (std::size_t i = 0; i < ports.size(); ++i)
    if (ports[i].owns(address)) return static_cast<PortIndex>(i);
  return kNoPort;
}

const nat::SourceRule* Policy::source_rule_for(PortIndex egress, const Tuple& tuple) const {
  if (nat.source.empty() || egress >= ports.size() || ports[egress].owns(tuple.source_address))
    return nullptr;
  return nat.source_for(egress, tuple);
}

const nat::SourceRule* Policy::hairpin_rule_for(PortIndex ingress, const Tuple& tuple) const {
  for (const nat::SourceRule& rule : nat.source)
    if (rule.egress != ingress && rule.egress < ports.size() && rule.selector.fits(tuple) &&
        gives(rule, tuple.destination_address, ports[rule.egress]))
      return &rule;
  return nullptr;
}

const nat::SourceRule* Policy::rule_giving(PortIndex egress, net::IpAddress address) const {
  for (const nat::SourceRule& rule : nat.source)
    if (rule.egress == egress && egress < ports.size() && gives(rule, address, ports[egress]))
      return &rule;
  return nullptr;
}

bool Policy::is_outside(PortIndex port) const {
  return std::ranges::any_of(nat.source, [&](const nat::SourceRule& rule) {
    return rule.egress == port && rule.kind != nat::SourceRule::Kind::none;
  });
}

SourceValidation Policy::usual_source_validation(PortIndex port) const {
  const auto is_real = [](const nat::SourceRule& rule) {
    return rule.kind != nat::SourceRule::Kind::none;
  };
  const bool translates = std::ranges::any_of(nat.source, is_real);
  return translates && !is_outside(port) ? SourceValidation::strict : SourceValidation::loose;
}

bool Policy::admits_source(PortIndex ingress, const Tuple& to, std::uint32_t mark,
                           std::uint8_t tos) const {
  const SourceValidation validation = ports[ingress].source_validation;
  if (validation == SourceValidation::off) return true;
  const route::Query back{.source = to.destination_address,
                          .destination = to.source_address,
                          .mark = mark,
                          .tos = tos,
                          .protocol = to.protocol,
                          .source_port = to.destination_port,
                          .destination_port = to.source_port};
  if (validation == SourceValidation::strict) return routes->leads_to(ingress, back);
  const route::Decision way = routes->lookup(back);
  if (way.kind != route::Kind::unicast) return false;
  const bool is_inside = way.egress < ports.size() && !is_outside(way.egress);
  return !is_inside || way.egress == ingress || !is_outside(ingress);
}

bool Policy::shows_inside(PortIndex egress, const Tuple& tuple) const {
  const nat::SourceRule* rule = source_rule_for(egress, tuple);
  return rule != nullptr && rule->kind != nat::SourceRule::Kind::none &&
         !gives(*rule, tuple.source_address, ports[egress]);
}

// Not what is sent on from an address of ours to somebody inside: that is his business.
bool Policy::is_management(const Packet& packet) const {
  if (management.empty() || packet.tuple.protocol != net::Protocol::tcp) return false;
  const auto is_one = [&](net::Port port) {
    return std::ranges::any_of(management,
                               [&](const net::PortRange& range) { return range.contains(port); });
  };
  if (packet.from == Side::host) return !packet.made_here && is_one(packet.tuple.source_port);
  const PortIndex owner = owner_of(packet.tuple.destination_address);
  if (!is_one(packet.tuple.destination_port) || owner == kNoPort) return false;
  const conntrack::Connection* connection = packet.connection;
  if (connection != nullptr && connection->has(conntrack::Connection::kConfirmed))
    return connection->translated(packet.direction).destination() == packet.tuple.destination();
  return nat.destination_for(packet.ingress, owner, packet.tuple) == nullptr;
}

}  // namespace masqgate::path
