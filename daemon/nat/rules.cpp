#include "daemon/nat/rules.hpp"

#include <algorithm>

namespace masqgate::nat {
namespace {

constexpr std::uint64_t kMostAddresses = 1ull << 32;

}  // namespace

std::uint64_t AddressRange::size() const {
  if (first.high() != last.high()) return kMostAddresses;
  return std::min(last.low() - first.low(), kMostAddresses - 1) + 1;
}

net::IpAddress AddressRange::at(std::uint64_t index) const {
  const std::uint64_t low = first.low() + index;
  if (first.is_v4()) return net::IpAddress::v4(static_cast<std::uint32_t>(low));
  return net::IpAddress::v6(first.high() + (low < index ? 1 : 0), low);
}

bool AddressRange::contains(net::IpAddress address) const {
  return address.is_v4() == first.is_v4() && first <= address && address <= last;
}

net::IpAddress map_network(net::IpAddress address, const net::Prefix& to) {
  const net::IpAddress own = net::Prefix{address, to.length()}.address();
  const std::uint64_t high = to.address().high() | (address.high() ^ own.high());
  const std::uint64_t low = to.address().low() | (address.low() ^ own.low());
  return address.is_v4() ? net::IpAddress::v4(static_cast<std::uint32_t>(low))
                         : net::IpAddress::v6(high, low);
}

bool Selector::fits(const Tuple& tuple) const {
  if (source && !source->contains(tuple.source_address)) return false;
  if (destination && !destination->contains(tuple.destination_address)) return false;
  if (protocol && tuple.protocol != *protocol) return false;
  if (destination_ports == net::PortRange{}) return true;
  return tuple.has_ports() && destination_ports.contains(tuple.destination_port);
}

const SourceRule* Rules::source_for(PortIndex egress, const Tuple& tuple) const {
  const auto rule = std::ranges::find_if(
      source, [&](const SourceRule& r) { return r.egress == egress && r.selector.fits(tuple); });
  return rule == source.end() ? nullptr : &*rule;
}

const DestinationRule* Rules::destination_for(PortIndex ingress, PortIndex owner,
                                              const Tuple& tuple) const {
  const auto rule = std::ranges::find_if(destination, [&](const DestinationRule& r) {
    return (r.ingress == kNoPort || r.ingress == ingress) &&
           (r.owner == kNoPort || r.owner == owner) && r.selector.fits(tuple);
  });
  return rule == destination.end() ? nullptr : &*rule;
}

bool Rules::is_forwarded(PortIndex ingress, net::Protocol protocol, net::Endpoint outside) const {
  return std::ranges::any_of(destination, [&](const DestinationRule& r) {
    const Selector& s = r.selector;
    return (r.ingress == kNoPort || ingress == kNoPort || r.ingress == ingress) &&
           (!s.protocol || *s.protocol == protocol) &&
           (!s.destination || s.destination->contains(outside.address)) &&
           s.destination_ports != net::PortRange{} && s.destination_ports.contains(outside.port);
  });
}

}  // namespace masqgate::nat
