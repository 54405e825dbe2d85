// A Connection: what masqgate remembers of one conversation, as one value without pointers.
//
//   original: the first packet's tuple as it came in.   reply: the tuple of the answers as they
//   come in.
//
// A packet of direction d leaves as tuple(opposite(d)).inverted(): translation is the difference
// between the two tuples, and nothing else has to be stored for it. Records live in the region
// (region.hpp), which outlives the process; so a field may be added, never reinterpreted, without a
// new version.

#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "daemon/packet/packet.hpp"
#include "daemon/packet/tuple.hpp"

namespace masqgate::conntrack {

// RFC 9293 states as the middle sees them; numbers as Linux 2.2 and 2.4 (history 2.2, 2.9).
enum class TcpState : std::uint8_t {
  none,
  established,
  syn_sent,
  syn_recv,
  fin_wait,
  time_wait,
  close,
  close_wait,
  last_ack,
  listen,
};
inline constexpr std::size_t kTcpStates = 10;

// What the stages decided for a direction, remembered for its next packets (ARCHITECTURE.md 2).
struct Shortcut {
  std::uint32_t generation = 0;  // of the policy it was decided under; 0: none
  std::uint32_t neighbour = 0;   // entry of the shard's neighbour table
  PortIndex egress = kNoPort;
  std::uint16_t address_delta = 0;    // what translation adds to a sum over the addresses
  std::uint16_t transport_delta = 0;  // … over the addresses and ports
  std::uint16_t trail = 0;            // which rules matched: an entry of the shard's trail book
};

struct Half {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // of IP packets as they came in
  Shortcut shortcut;
};

struct Connection {
  enum Flag : std::uint16_t {
    kConfirmed = 1,  // in the table
    kSeenReply = 2,
    kAssured = 4,        // worth keeping when the table is full
    kSourceNat = 8,      // the source was chosen by a NAT rule
    kMapped = 16,        // holds its outside endpoint against everybody else
    kInUse = 32,         // the record is not free
    kLocal = 64,         // begun by the router itself
    kClassicPort = 128,  // the port came from the classic range and counter
    // How the mapping was made (nat/behaviour.hpp); none of a pair: the choice that is not named.
    kFilterByAddress = 256,      // strangers with an address that was spoken to may come in
    kFilterNobody = 512,         // all may
    kMappedByAddress = 1024,     // another peer address, another outside endpoint
    kMappedByConnection = 2048,  // another connection, another outside endpoint
    kShared = 4096,              // others may have the outside endpoint towards other peers
    kInbound = 8192,             // begun outside: original.destination is the outside endpoint
    kAdmitted = 16384,           // the destination was found by a mapping
  };

  Tuple original;
  Tuple reply;
  std::int64_t expires_ns = 0;  // BootClock
  std::int64_t created_ns = 0;
  std::uint32_t serial = 0;    // how often this record was used: makes ids unique
  std::uint32_t identity = 0;  // checksum over what identifies the record
  std::uint32_t mark = 0;
  std::uint32_t handshake_ack = 0;  // TCP: what acknowledges the SYN/ACK
  TcpState tcp_state = TcpState::none;
  std::uint8_t reserved = 0;
  std::uint16_t flags = 0;
  PortIndex ingress = kNoPort;  // of the first packet
  PortIndex egress = kNoPort;   // of the first packet
  std::uint64_t reserved_too = 0;
  std::array<Half, 2> halves{};

  bool has(Flag flag) const { return (flags & flag) != 0; }
  void set(Flag flag) { flags = static_cast<std::uint16_t>(flags | flag); }
  void clear(Flag flag) { flags = static_cast<std::uint16_t>(flags & ~flag); }
  Time expires() const { return Time{Duration{expires_ns}}; }

  Tuple& tuple(Direction d) { return d == Direction::original ? original : reply; }
  const Tuple& tuple(Direction d) const { return d == Direction::original ? original : reply; }
  // How a packet of this direction looks when it leaves.
  Tuple translated(Direction d) const { return tuple(opposite(d)).inverted(); }
  Half& half(Direction d) { return halves[static_cast<std::size_t>(d)]; }
  const Half& half(Direction d) const { return halves[static_cast<std::size_t>(d)]; }
};

static_assert(std::is_trivially_copyable_v<Connection>);
static_assert(sizeof(Connection) == 192, "three cache lines; a change is a new region version");

}  // namespace masqgate::conntrack
