// Fuzz target: whatever parse() lets through keeps every promise that the stages build on, and what
// masqgate answers to it is right.
//
// Input: one byte of orders to repair the packet (else hardly one would get past its checksum), a
// virtio header counted from the IP packet, the packet. The frame's memory around the packet is
// poisoned, so that AddressSanitizer sees every step aside.

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "daemon/icmp/error.hpp"
#include "daemon/icmp/reset.hpp"
#include "daemon/packet/packet.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/udp.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;

namespace {

enum Order : std::uint8_t { kChecksum = 1, kLength = 2, kQuotedChecksum = 4, kNoOffload = 8 };

void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

void repair_checksum(wire::MutableBytes bytes) {
  if (auto ip = wire::MutableIpv4::parse_header(bytes)) ip->compute_checksum();
}

void repair(wire::MutableBytes bytes, unsigned orders) {
  const unsigned version = bytes.empty() ? 0 : wire::load8(bytes, 0) >> 4;
  if ((orders & kLength) != 0 && version == 4 && bytes.size() >= wire::Ipv4::kHeaderSize)
    wire::store16(bytes, 2, static_cast<std::uint16_t>(bytes.size()));
  if ((orders & kLength) != 0 && version == 6 && bytes.size() >= wire::Ipv6::kHeaderSize)
    wire::store16(bytes, 4, static_cast<std::uint16_t>(bytes.size() - wire::Ipv6::kHeaderSize));
  const auto quote = wire::Ipv4::kHeaderSize + wire::Icmp::kHeaderSize;
  if ((orders & kQuotedChecksum) != 0 && bytes.size() > quote)
    repair_checksum(bytes.subspan(quote));
  if ((orders & kChecksum) != 0) repair_checksum(bytes);
}

void poison_around(Frame& frame) {
  std::byte* packet = frame.ip().data();
  __asan_poison_memory_region(packet - Frame::kIpOffset, Frame::kIpOffset);
  __asan_poison_memory_region(packet + frame.ip().size(), Frame::kMaxIpSize - frame.ip().size());
}

void unpoison(Frame& frame) {
  __asan_unpoison_memory_region(frame.ip().data() - Frame::kIpOffset,
                                Frame::kIpOffset + Frame::kMaxIpSize);
}

void check_header(const Packet& packet) {
  const auto bytes = packet.frame.ip();
  const Tuple& tuple = packet.tuple;
  promise(tuple.source_address.family() == packet.family, "source of the packet's family");
  promise(tuple.destination_address.family() == packet.family, "destination of its family");
  promise(packet.transport_offset <= bytes.size(), "transport inside the packet");
  promise(packet.fragment_offset == 0 || packet.is_fragment, "later fragments are fragments");
  promise(!packet.is_fragment || packet.fragment_offset + packet.transport().size() <= 65535,
          "fragments inside the largest packet");
  if (packet.is_v4()) {
    const auto ip = wire::Ipv4::parse(bytes);
    promise(ip && ip->checksum_is_valid() && ip->bytes().size() == bytes.size(), "an IPv4 packet");
    promise(ip->ttl() == packet.hop_limit && ip->source() == tuple.source_address, "its fields");
  } else {
    const auto ip = wire::Ipv6::parse(bytes);
    promise(ip && ip->bytes().size() == bytes.size(), "an IPv6 packet");
    promise(ip->hop_limit() == packet.hop_limit && packet.dont_fragment, "its fields");
  }
}

void check_transport(const Packet& packet) {
  const Tuple& tuple = packet.tuple;
  const auto bytes = packet.transport();
  if (packet.fragment_offset != 0 || !tuple.has_ports()) {
    const bool has_index = tuple.protocol == net::Protocol::esp && packet.fragment_offset == 0;
    promise(!has_index || tuple.spi() == (bytes.size() < 8 ? 0 : wire::load32(bytes, 0)),
            "the index");
    promise(tuple.is_icmp() || has_index || (tuple.source_port == 0 && tuple.destination_port == 0),
            "no ports");
    return;
  }
  promise(bytes.size() >= 8 && wire::load16(bytes, 0) == tuple.source_port &&
              wire::load16(bytes, 2) == tuple.destination_port,
          "ports");
  if (tuple.protocol != net::Protocol::tcp) return;
  const auto tcp = wire::Tcp::parse(bytes);
  promise(tcp->flags().bits == packet.tcp_flags.bits, "a TCP header");
  for (const std::uint8_t kind : {wire::load8(bytes, 13), std::uint8_t{3}, std::uint8_t{8}}) {
    const auto option = wire::find_tcp_option(tcp->options(), kind, 3);
    promise(option.empty() || (option.size() == 3 && wire::load8(option, 0) == kind), "an option");
  }
}

void check_quote(const Packet& packet) {
  if (!packet.quoted) return;
  const std::size_t size = packet.frame.ip().size();
  promise(packet.quote_offset >= packet.transport_offset + 8, "the quote behind the ICMP header");
  promise(packet.quote_transport_offset > packet.quote_offset, "its transport behind its header");
  const bool known = packet.quoted->has_ports() || packet.quoted->is_icmp();
  promise(packet.quote_transport_offset + (known ? 8u : 0u) <= size, "eight bytes of it");
  promise(packet.quoted->source_address.family() == packet.family, "of the packet's family");
  promise(packet.quoted->destination_address.family() == packet.family, "of the packet's family");
}

void check_offload(const Packet& packet) {
  const wire::VnetHeader& o = packet.frame.offload;
  const std::size_t size = packet.frame.ip().size();
  promise(o.header_length <= size, "headers inside the packet");
  promise(!o.needs_checksum() || (o.checksum_start >= packet.transport_offset &&
                                  o.checksum_start + o.checksum_offset + 2u <= size),
          "the checksum field in the transport");
  if (o.gso() == wire::VnetHeader::Gso::none) return;
  promise(o.needs_checksum() && !packet.is_fragment && packet.tuple.has_ports(),
          "segments of ports");
  promise(o.gso_size != 0 && o.gso_size != 0xffff, "segments of a size");
}

// Parsed again it is the same; errors and resets about it are good packets.
void check_answers(Packet& packet, FramePool& pool) {
  const Tuple before = packet.tuple;
  promise(!parse(packet) && packet.tuple == before, "parsing is repeatable");
  const icmp::Message message = icmp::too_big(packet.family, 1280);
  const auto source = packet.is_v4() ? net::IpAddress::v4(0xc0000201) : net::IpAddress::v6(1, 1);
  Packet error;
  error.frame = pool.take();
  if (icmp::may_answer(packet, message)) {
    promise(icmp::build_error(error.frame, packet, message, source), "an error");
    poison_around(error.frame);
    promise(test::good_checksums(error.frame.ip()), "an error's checksums");
    promise(error.frame.ip().size() <= (packet.is_v4() ? 576 : 1280), "an error's size");
    promise(!parse(error), "an error parses");
    promise(!error.quoted || *error.quoted == before, "an error quotes what it is about");
    promise(!icmp::may_answer(error, message), "no error about errors");
    unpoison(error.frame);
  }
  if (icmp::build_reset(error.frame, packet)) {
    promise(test::good_checksums(error.frame.ip()), "a reset's checksums");
    promise(!parse(error) && error.tuple == before.inverted(), "a reset goes back");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static FramePool pool{2};
  const auto input = std::as_bytes(std::span{data, size});
  constexpr std::size_t kFront = 1 + wire::VnetHeader::kSize;
  if (size < kFront || size - kFront > Frame::kMaxIpSize) return 0;
  Packet packet;
  packet.frame = pool.take();
  const auto bytes = input.subspan(kFront);
  packet.frame.set_ip_size(bytes.size());
  std::ranges::copy(bytes, packet.frame.ip().begin());
  repair(packet.frame.ip(), data[0]);
  if ((data[0] & kNoOffload) == 0)
    packet.frame.offload = *wire::VnetHeader::parse(input.subspan(1));
  poison_around(packet.frame);
  if (!parse(packet)) {
    check_header(packet);
    check_transport(packet);
    check_quote(packet);
    check_offload(packet);
    check_answers(packet, pool);
  }
  unpoison(packet.frame);
  return 0;
}
