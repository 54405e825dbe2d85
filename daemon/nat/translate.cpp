#include "daemon/nat/translate.hpp"

#include "daemon/wire/checksum.hpp"
#include "daemon/wire/checksum_field.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::nat {
namespace {

using wire::MutableBytes;

void write_addresses(MutableBytes ip, const Tuple& to) {
  if (auto v4 = wire::MutableIpv4::parse_header(ip)) {
    v4->set_source(to.source_address);
    v4->set_destination(to.destination_address);
  } else if (auto v6 = wire::MutableIpv6::parse_header(ip)) {
    v6->set_source(to.source_address);
    v6->set_destination(to.destination_address);
  }
}

constexpr std::size_t kCallOffset = 6;  // of enhanced GRE (RFC 2637 4.1)

// Ports of TCP and UDP stand first in their headers; an ICMP query has one identifier, a call another.
void write_ports(MutableBytes transport, const Tuple& to) {
  if (to.has_ports()) {
    wire::store16(transport, 0, to.source_port);
    wire::store16(transport, 2, to.destination_port);
  } else if (to.protocol == net::Protocol::gre) {
    if (to.destination_port != 0) wire::store16(transport, kCallOffset, to.destination_port);
  } else if (to.is_icmp()) {
    wire::store16(transport, wire::Icmp::kIdentifierOffset,
                  to.is_icmp_reply != 0 ? to.destination_port : to.source_port);
  }
}

bool has_query_identifier(const Tuple& tuple) {
  return tuple.is_icmp() && (tuple.source_port != 0 || tuple.destination_port != 0);
}

// A UDP checksum of zero means "none" and stays; a computed zero goes out as all ones (RFC 768).
void adjust_field(MutableBytes transport, std::size_t at, bool udp, std::uint16_t change) {
  const std::uint16_t before = wire::load16(transport, at);
  if (udp && before == 0) return;
  const std::uint16_t after = wire::adjust(before, change);
  wire::store16(transport, at, udp && after == 0 ? 0xffff : after);
}

}  // namespace

Delta delta_between(const Tuple& from, const Tuple& to) {
  const std::uint16_t address =
      wire::add(wire::delta(from.source_address, to.source_address),
                wire::delta(from.destination_address, to.destination_address));
  const std::uint16_t ports = wire::add(wire::delta(from.source_port, to.source_port),
                                        wire::delta(from.destination_port, to.destination_port));
  // ICMP for IPv4 has no pseudo header.
  if (from.protocol == net::Protocol::icmp) return {address, ports};
  return {address, wire::add(address, ports)};
}

void rewrite(Packet& packet, const Tuple& to, Delta delta) {
  write_addresses(packet.frame.ip(), to);
  const Tuple from = std::exchange(packet.tuple, to);
  const bool covered = to.has_ports() || to.is_icmp();
  const bool is_call = to.protocol == net::Protocol::gre;
  if ((!covered && !is_call) || packet.fragment_offset != 0) return;
  const MutableBytes transport = packet.transport();
  if (!covered) return write_ports(transport, to);
  if (has_query_identifier(from) || to.has_ports()) write_ports(transport, to);
  const std::size_t at = wire::checksum_offset(to.protocol);
  if (packet.frame.offload.needs_checksum())
    wire::store16(transport, at, wire::add(wire::load16(transport, at), delta.address));
  else
    adjust_field(transport, at, to.protocol == net::Protocol::udp, delta.transport);
}

void rewrite_quote(Packet& packet, const Tuple& to) {
  const Tuple from = *packet.quoted;
  const MutableBytes quote = packet.frame.ip().subspan(packet.quote_offset);
  write_addresses(quote, to);
  const MutableBytes transport = packet.frame.ip().subspan(packet.quote_transport_offset);
  write_ports(transport, to);
  // The quoted checksum is kept in step where it was quoted at all; receivers that look at it are
  // rare.
  const std::size_t at = wire::checksum_offset(to.protocol);
  if ((to.has_ports() || to.is_icmp()) && at + 2 <= transport.size())
    adjust_field(transport, at, to.protocol == net::Protocol::udp,
                 delta_between(from, to).transport);
  packet.quoted = to;

  const MutableBytes icmp = packet.transport();
  wire::store16(icmp, wire::Icmp::kChecksumOffset, 0);
  std::uint16_t total = wire::sum(icmp);
  if (!packet.is_v4())
    total = wire::add(total, wire::pseudo_header_sum(
                                 packet.tuple.source_address, packet.tuple.destination_address,
                                 packet.tuple.protocol, static_cast<std::uint32_t>(icmp.size())));
  wire::store16(icmp, wire::Icmp::kChecksumOffset, wire::complement(total));
  packet.frame.offload = {};
}

void complete_checksum(Packet& packet) {
  wire::VnetHeader& offload = packet.frame.offload;
  if (!offload.needs_checksum()) return;
  const MutableBytes covered = packet.frame.ip().subspan(offload.checksum_start);
  // The field's partial sum is part of what is summed, which is the trick of partial checksums.
  const std::uint16_t checksum = wire::complement(wire::sum(covered));
  const bool udp = packet.tuple.protocol == net::Protocol::udp;
  wire::store16(covered, offload.checksum_offset, udp && checksum == 0 ? 0xffff : checksum);
  offload = {};
}

}  // namespace masqgate::nat
