#include "daemon/wire/ipv6.hpp"

#include <utility>

namespace masqgate::wire {
namespace {

bool is_extension(net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::hop_by_hop:
    case net::Protocol::routing:
    case net::Protocol::fragment:
    case net::Protocol::destination_options:
      return true;
    default:
      return false;
  }
}

void note_fragment(Bytes extension, ExtensionWalk& walk) {
  const std::uint16_t word = load16(extension, 2);
  walk.fragment_offset = word & 0xfff8u;
  walk.more_fragments = (word & 1) != 0;
  walk.is_fragment = walk.more_fragments || walk.fragment_offset != 0;
  walk.identification = load32(extension, 4);
}

}  // namespace

std::optional<ExtensionWalk> walk_extensions(const Ipv6& header) {
  ExtensionWalk walk{.protocol = header.next_header(), .offset = Ipv6::kHeaderSize};
  bool seen_fragment = false;  // a second one would overwrite what the first said (RFC 8200 4.1)
  for (int count = 0; is_extension(walk.protocol) && walk.fragment_offset == 0; ++count) {
    const Bytes rest = header.bytes().subspan(walk.offset);
    if (rest.size() < 8 || count == kMaxExtensions) return std::nullopt;
    const net::Protocol here = walk.protocol;
    if (here == net::Protocol::fragment && std::exchange(seen_fragment, true)) return std::nullopt;
    const std::size_t length =
        here == net::Protocol::fragment ? 8 : 8 * (std::size_t{load8(rest, 1)} + 1);
    if (length > rest.size()) return std::nullopt;
    if (here == net::Protocol::fragment) note_fragment(rest, walk);
    if (here == net::Protocol::routing && load8(rest, 2) == 0) walk.source_routed = true;
    walk.protocol = static_cast<net::Protocol>(load8(rest, 0));
    walk.offset += length;
  }
  return walk;
}

PerFragmentPart per_fragment_part(const Ipv6& header) {
  constexpr std::size_t kNextHeaderOffset = 6;
  PerFragmentPart part{Ipv6::kHeaderSize, kNextHeaderOffset};
  PerFragmentPart here = part;
  for (net::Protocol next = header.next_header(); is_extension(next);) {
    if (next == net::Protocol::fragment) return here;
    const Bytes extension = header.bytes().subspan(here.size);
    const std::size_t length = 8 * (std::size_t{load8(extension, 1)} + 1);
    // Destination options are for every hop only where a routing header follows them.
    const bool for_every_hop = next != net::Protocol::destination_options;
    next = static_cast<net::Protocol>(load8(extension, 0));
    here = {here.size + length, here.size};
    if (for_every_hop) part = here;
  }
  return part;
}

}  // namespace masqgate::wire
