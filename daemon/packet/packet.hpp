// A Packet: a frame that was parsed once, and what the stages have found out about it so far.
//
// Everything that belongs to the packet is in the packet, so that stages take (shard, packet) and
// nothing else. A Packet moves; who holds it owns the frame.

#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "daemon/base/clock.hpp"
#include "daemon/net/mac_address.hpp"
#include "daemon/packet/frame.hpp"
#include "daemon/packet/tuple.hpp"
#include "daemon/packet/verdict.hpp"
#include "daemon/wire/ethernet.hpp"
#include "daemon/wire/tcp.hpp"

namespace masqgate {

namespace conntrack {
struct Connection;
}
namespace divert {
struct RuleWalk;
}

// A port by its place in the list of ports; kernel interfaces are mapped onto it by control.
using PortIndex = std::uint16_t;
inline constexpr PortIndex kNoPort = 0xffff;
inline constexpr std::size_t kMostPorts = 64;

// The two ends of a port: the network, and Linux itself.
enum class Side : std::uint8_t { network, host };

enum class Direction : std::uint8_t { original, reply };
constexpr Direction opposite(Direction d) {
  return d == Direction::original ? Direction::reply : Direction::original;
}

// What tracking says of a packet; rules ask for it.
enum class ConnState : std::uint8_t { new_, established, related, invalid, untracked };

// Rules that matched on the packet's way: their counters are bumped when the walk has ended.
struct Trail {
  static constexpr std::size_t kMost = 32;
  std::array<std::uint16_t, kMost> counters{};
  std::uint8_t size = 0;
  bool overflowed = false;  // more matched than a trail holds: such a connection takes no short cut
  void add(std::uint16_t counter) {
    if (size == kMost) {
      overflowed = true;
      return;
    }
    counters[size++] = counter;
  }
  void clear() {
    size = 0;
    overflowed = false;
  }
};

struct Packet {
  Frame frame;

  // Of the IP header and what follows it.
  net::Family family = net::Family::v4;
  bool is_fragment = false;     // has no ports, unless it is the first
  bool more_fragments = false;  // behind this one
  bool dont_fragment = false;   // always for IPv6
  bool source_routed = false;
  std::uint8_t hop_limit = 0;
  std::uint8_t tos = 0;                // or traffic class
  std::uint16_t transport_offset = 0;  // from the start of the IP packet
  std::uint16_t fragment_offset = 0;
  std::uint32_t fragment_id = 0;  // of the datagram, where this is a fragment of one
  wire::TcpFlags tcp_flags;
  Tuple tuple;  // as the packet stands now; follows translation

  // An ICMP error quotes a packet: its tuple, where it starts and where its transport header does
  // (from the start of the IP packet). Empty where the quote ends before its ports.
  std::optional<Tuple> quoted;
  std::uint16_t quote_offset = 0;
  std::uint16_t quote_transport_offset = 0;

  // Where from, and where to.
  PortIndex ingress = kNoPort;
  PortIndex egress = kNoPort;
  Side from = Side::network;
  bool link_group = false;      // arrived in a link-layer broadcast or multicast
  bool made_here = false;       // an ICMP error of our own
  bool ttl_taken = false;       // the hop limit was decremented already
  bool not_remembered = false;  // has waited, or a rule must see the next one too: no short cut
  bool not_tracked = false;     // a rule wants no connection for it
  bool has_link = false;        // frame.link() is what it came with
  net::IpAddress next_hop;
  std::uint16_t route_mtu = 0;  // the route's own, where it has one
  // What fragment/ knows: the identification that the datagram gets where its source is translated,
  // and of a packet that was put together here the size of the largest one that it came in.
  std::uint16_t fresh_id = 0;
  std::uint16_t largest_fragment = 0;
  std::uint32_t neighbour = 0;  // entry of the next hop, once resolved

  // What tracking knows.
  conntrack::Connection* connection = nullptr;
  std::int64_t former_expiry =
      0;  // of the connection: counts again if the packet is refused
  std::uint32_t connection_serial = 0;  // while parked: which use of the record was meant
  Direction direction = Direction::original;
  ConnState state = ConnState::untracked;
  std::uint32_t mark = 0;

  // What programs have had to do with it (daemon/divert).
  std::uint8_t hops = 0;            // how often it was diverted or injected
  std::uint16_t divert_origin = 0;  // the port that it was injected by; 0: none
  bool not_diverted = false;        // a program wanted no rule to divert it again
  bool rewritten = false;           // one of them changed whom it speaks for or to
  bool new_destination = false;     // one of them changed it: the route is asked for again
  bool tracked_anew = false;        // for that it has got another connection
  bool is_final = false;            // it stands where all addresses are translated
  // Rules that hand it to a program when it stands there, and the hooks where it met them.
  static constexpr std::size_t kMostLater = 4;
  std::uint8_t later_count = 0;
  std::array<std::uint8_t, kMostLater> later_hooks{};
  std::array<std::uint32_t, kMostLater> later_rules{};
  divert::RuleWalk* rules = nullptr;  // while chains are asked: where from, and where it stopped

  // How the walk goes, for whoever steals the packet and brings it back.
  std::uint8_t list = 0;
  std::uint8_t stage = 0;
  Trail trail;

  bool is_v4() const { return family == net::Family::v4; }
  std::span<std::byte> transport() { return frame.ip().subspan(transport_offset); }
  std::span<const std::byte> transport() const { return frame.ip().subspan(transport_offset); }
};

// Looks at the IP packet in packet.frame and fills in the fields of the first two groups, whatever
// they were before. Every check of RFC 1812 5.2.2 is made here; afterwards views can be taken
// without asking again. Trims link-layer padding. Empty if all is well.
std::optional<DropReason> parse(Packet& packet);

}  // namespace masqgate
