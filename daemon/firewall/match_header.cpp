#include "daemon/firewall/match_header.hpp"

#include <algorithm>

#include "daemon/firewall/unclean.hpp"
#include "daemon/wire/ethernet.hpp"
#include "daemon/wire/icmp.hpp"

namespace masqgate::firewall {

bool IcmpTypeMatch::matches(const Packet& packet) const noexcept {
  if (!packet.tuple.is_icmp() || packet.fragment_offset != 0) return false;
  const auto icmp = wire::Icmp::parse(packet.transport());
  if (!icmp) return false;
  return std::ranges::any_of(kinds, [&](const Kind& kind) {
           return icmp->type() == kind.type && icmp->code() >= kind.least_code &&
                  icmp->code() <= kind.most_code;
         }) != negated;
}

bool MacMatch::matches(const Packet& packet) const noexcept {
  if (packet.from != Side::network || packet.made_here || !packet.has_link) return false;
  const auto ethernet = wire::Ethernet::parse(packet.frame.link());
  return (ethernet->source() == address) != negated;
}

bool TcpMssMatch::matches(const Packet& packet) const noexcept {
  if (packet.tuple.protocol != net::Protocol::tcp || packet.fragment_offset != 0 ||
      !packet.tcp_flags.syn())
    return false;
  const auto tcp = wire::Tcp::parse(packet.transport());
  if (!tcp) return false;
  const wire::Bytes option = wire::find_tcp_option(tcp->options(), 2, 4);
  if (option.empty()) return negated;
  return range.contains(wire::load16(option, 2)) != negated;
}

bool UncleanMatch::matches(const Packet& packet) const noexcept {
  return is_unclean(packet) != negated;
}

}  // namespace masqgate::firewall
