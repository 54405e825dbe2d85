#include "daemon/helper/surgery.hpp"

#include <algorithm>

#include "daemon/wire/checksum.hpp"
#include "daemon/wire/checksum_field.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::helper {
namespace {

using wire::VnetHeader;

// What every host must take (RFC 9293 3.7.1): a segment may grow to this where it was smaller.
constexpr std::size_t kLeastSegment = 536;

std::size_t checksum_offset(const Packet& packet) {
  return wire::checksum_offset(packet.tuple.protocol);
}

std::size_t header_length(const Packet& packet) {
  return packet.tuple.protocol == net::Protocol::tcp
             ? wire::Tcp::parse(packet.transport())->header_length()
             : wire::Udp::kHeaderSize;
}

std::uint16_t pseudo_sum(const Packet& packet) {
  return wire::pseudo_header_sum(packet.tuple.source_address, packet.tuple.destination_address,
                                 packet.tuple.protocol,
                                 static_cast<std::uint32_t>(packet.transport().size()));
}

// Bytes in the header that are summed up change by this much. Words begin at even offsets.
void adjust(Packet& packet, std::uint16_t change) {
  if (packet.frame.offload.needs_checksum()) return;
  const auto transport = packet.transport();
  const std::size_t at = checksum_offset(packet);
  wire::store16(transport, at, wire::adjust(wire::load16(transport, at), change));
}

void set_lengths(Packet& packet, std::size_t ip_size) {
  packet.frame.set_ip_size(ip_size);
  if (auto v4 = wire::MutableIpv4::parse_header(packet.frame.ip()))
    v4->set_total_length(ip_size);
  else if (auto v6 = wire::MutableIpv6::parse_header(packet.frame.ip()))
    v6->set_payload_length(ip_size - wire::MutableIpv6::kHeaderSize);
  if (packet.tuple.protocol == net::Protocol::udp)
    wire::store16(packet.transport(), 4, static_cast<std::uint16_t>(packet.transport().size()));
}

// The segment is cut again by the device, into pieces that are no larger than it was.
void order_segments(Packet& packet, std::size_t largest) {
  VnetHeader& offload = packet.frame.offload;
  if (!offload.needs_checksum()) {
    wire::store16(packet.transport(), checksum_offset(packet), pseudo_sum(packet));
    offload.flags = VnetHeader::kNeedsChecksum;
    offload.checksum_start = packet.transport_offset;
    offload.checksum_offset = static_cast<std::uint16_t>(checksum_offset(packet));
  }
  const auto gso = packet.is_v4() ? VnetHeader::Gso::tcp4 : VnetHeader::Gso::tcp6;
  offload.gso_type = static_cast<std::uint8_t>(gso);
  offload.gso_size = static_cast<std::uint16_t>(largest);
  offload.header_length =
      static_cast<std::uint16_t>(packet.transport_offset + header_length(packet));
}

}  // namespace

bool checksum_is_right(const Packet& packet) {
  if (packet.frame.offload.needs_checksum()) return true;
  const bool none = packet.tuple.protocol == net::Protocol::udp && packet.is_v4() &&
                    wire::load16(packet.transport(), wire::Udp::kChecksumOffset) == 0;
  return none || wire::add(wire::sum(packet.transport()), pseudo_sum(packet)) == 0xffff;
}

void set_number(Packet& packet, std::size_t offset, std::uint32_t value) {
  const auto transport = packet.transport();
  const std::uint32_t before = wire::load32(transport, offset);
  wire::store32(transport, offset, value);
  // In the second half of a word the bytes count the other way round.
  std::uint16_t change = wire::add(wire::complement(wire::fold(before)), wire::fold(value));
  if (offset % 2 != 0) change = static_cast<std::uint16_t>(change << 8 | change >> 8);
  adjust(packet, change);
}

void clear_fin(Packet& packet) {
  const auto transport = packet.transport();
  const std::uint16_t before = wire::load16(transport, 12);
  const auto after = static_cast<std::uint16_t>(before & ~unsigned{wire::TcpFlags::kFin});
  wire::store16(transport, 12, after);
  packet.tcp_flags.bits &= static_cast<std::uint8_t>(~wire::TcpFlags::kFin);
  adjust(packet, wire::delta(before, after));
}

bool payload_fits(const Packet& packet, std::size_t size) {
  constexpr std::size_t kLargest = 65535;
  return packet.transport_offset + header_length(packet) + size <= kLargest;
}

void set_payload(Packet& packet, wire::Bytes text) {
  const std::size_t header = header_length(packet);
  const std::size_t before = packet.transport().size();
  const std::size_t after = header + text.size();
  const std::size_t at = checksum_offset(packet);
  VnetHeader& offload = packet.frame.offload;
  const std::uint16_t old_field = wire::load16(packet.transport(), at);
  const std::uint16_t old_sum = offload.needs_checksum() ? 0 : wire::sum(packet.transport());
  set_lengths(packet, packet.transport_offset + after);
  const auto transport = packet.transport();
  std::ranges::copy(text, transport.subspan(header).begin());
  const std::uint16_t longer =
      wire::delta(static_cast<std::uint16_t>(before), static_cast<std::uint16_t>(after));
  const bool tcp = packet.tuple.protocol == net::Protocol::tcp;
  if (offload.needs_checksum()) {
    wire::store16(transport, at, wire::add(old_field, longer));
  } else if (tcp || old_field != 0) {
    wire::store16(transport, at, 0);
    // The sum of everything, the pseudo header's length included, stays what it was.
    const std::uint16_t field =
        wire::add(old_sum, wire::complement(wire::add(wire::sum(transport), longer)));
    wire::store16(transport, at, !tcp && field == 0 ? 0xffff : field);
  }
  if (!tcp) return;
  const bool cut = offload.gso() != VnetHeader::Gso::none;
  const std::size_t largest = cut ? offload.gso_size : std::max(before - header, kLeastSegment);
  if (text.size() > largest) {
    order_segments(packet, largest);
  } else if (cut) {
    offload.gso_type = 0;
    offload.gso_size = 0;
  }
}

namespace detail {

wire::MutableBytes sack_blocks(Packet& packet, std::size_t& offset) {
  constexpr std::uint8_t kKind = 5;
  const auto transport = packet.transport();
  const std::size_t end = header_length(packet);
  std::size_t at = wire::Tcp::kHeaderSize;
  while (at < end && wire::load8(transport, at) != 0) {
    if (wire::load8(transport, at) == 1) {
      ++at;
      continue;
    }
    const std::size_t length = at + 1 < end ? wire::load8(transport, at + 1) : 0;
    if (length < 2 || length > end - at) return {};
    if (wire::load8(transport, at) == kKind) {
      offset = at + 2;
      return transport.subspan(offset, (length - 2) / 8 * 8);
    }
    at += length;
  }
  return {};
}

void remove_sack(Packet& packet, std::size_t offset, std::size_t size) {
  const auto transport = packet.transport();
  constexpr std::uint8_t kNoOperation = 1;
  const std::uint16_t before =
      packet.frame.offload.needs_checksum() ? 0 : wire::sum(transport.first(header_length(packet)));
  for (std::size_t at = offset - 2; at < offset + size; ++at)
    wire::store8(transport, at, kNoOperation);
  if (!packet.frame.offload.needs_checksum())
    adjust(packet, wire::delta(before, wire::sum(transport.first(header_length(packet)))));
}

}  // namespace detail
}  // namespace masqgate::helper
