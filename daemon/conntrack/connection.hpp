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
#include <chrono>
#include <cstdint>
#include <optional>
#include <ratio>
#include <type_traits>

#include "daemon/conntrack/helper_names.hpp"
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
  std::uint64_t packets : 46 = 0;
  std::uint64_t helper : 1 = 0;       // see Connection::is_helped() and is_expected()
  std::uint64_t tcp_doubt : 1 = 0;    // this side has sent a RST that its receiver may refuse
  std::uint64_t tcp_window : 16 = 0;  // the largest that was offered, before scaling
  std::uint64_t bytes = 0;            // of IP packets as they came in
  Shortcut shortcut;
};

struct Connection {
  using Tick = std::chrono::duration<std::int64_t, std::ratio<1, 16>>;  // 32 bits last 8 years

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
    kTcpPickedUp = 32768,        // TCP: the handshake was not seen (tcp_window.hpp)
  };
  enum Trait : std::uint8_t {
    kOutboundRefresh = 1,  // only what goes out keeps it alive (U-07)
    kOfHost = 2,           // counts for the host inside that began it
  };
  static constexpr unsigned kAnnouncer = 3;  // the first bit of the helper's number in traits

  Tuple original;
  Tuple reply;
  std::int64_t expires_ns = 0;      // BootClock
  std::uint32_t created_ticks = 0;  // since boot
  std::uint32_t serial = 0;         // how often this record was used: makes ids unique
  std::uint32_t identity = 0;       // checksum over what identifies the record
  std::uint32_t mark = 0;
  std::array<std::uint32_t, 2> tcp_end{};    // by direction: what its next new segment begins with
  std::array<std::uint32_t, 2> tcp_acked{};  // by direction: what it has acknowledged
  TcpState tcp_state = TcpState::none;
  std::uint8_t tcp_scales = 0;  // half a byte for each direction: 0 unknown, else shift + 1
  std::uint16_t flags = 0;
  PortIndex ingress = kNoPort;   // of the first packet
  std::uint8_t timeout_set = 0;  // of the policy's; 0: that of all connections
  std::uint8_t traits = 0;       // and above them, from kAnnouncer on, 1 + the helper of its master
  std::array<Half, 2> halves{};

  bool has(Flag flag) const { return (flags & flag) != 0; }
  void set(Flag flag) { flags = static_cast<std::uint16_t>(flags | flag); }
  void clear(Flag flag) { flags = static_cast<std::uint16_t>(flags & ~flag); }
  bool has(Trait trait) const { return (traits & trait) != 0; }
  void set(Trait trait) { traits = static_cast<std::uint8_t>(traits | trait); }
  // Whether a packet of this direction keeps the connection alive.
  bool refreshed_by(Direction d) const {
    return !has(kOutboundRefresh) || (d == Direction::reply) == has(kInbound);
  }
  Time created() const { return Time{Tick{created_ticks}}; }
  void set_created(Time time) {
    created_ticks = static_cast<std::uint32_t>(
        std::chrono::duration_cast<Tick>(time.time_since_epoch()).count());
  }
  Time expires() const { return Time{Duration{expires_ns}}; }

  Tuple& tuple(Direction d) { return d == Direction::original ? original : reply; }
  const Tuple& tuple(Direction d) const { return d == Direction::original ? original : reply; }
  // How a packet of this direction looks when it leaves.
  Tuple translated(Direction d) const { return tuple(opposite(d)).inverted(); }

  // A helper looks at this connection, or has changed the numbers of its bytes (daemon/helper).
  bool is_helped() const { return halves[0].helper != 0; }
  void set_helped(bool value) { halves[0].helper = value ? 1 : 0; }
  // It was announced in another one, and its translation comes from there.
  bool is_expected() const { return halves[1].helper != 0; }
  void set_expected() { halves[1].helper = 1; }
  // The helper that announced it, by its place in kHelperNames.
  std::optional<std::uint8_t> announcer() const {
    const unsigned number = traits >> kAnnouncer;
    if (number == 0) return std::nullopt;
    return static_cast<std::uint8_t>(number - 1);
  }
  void set_announcer(std::uint8_t helper) {
    traits = static_cast<std::uint8_t>((traits & ((1u << kAnnouncer) - 1)) | (helper + 1u)
                                                                                 << kAnnouncer);
  }
  // A helped connection takes no short cut. What its helper needs stands in that place: how much
  // later the receiver of a direction counts its bytes; whether something of them is on its way;
  // and the helper's session, which does not outlive the process.
  static constexpr std::uint16_t kNoSession = kNoPort;
  std::uint32_t number_shift(Direction d) const { return half(d).shortcut.neighbour; }
  bool is_unsettled(Direction d) const { return half(d).shortcut.trail != 0; }
  void set_numbers(Direction d, std::uint32_t shift, bool unsettled) {
    half(d).shortcut.neighbour = shift;
    half(d).shortcut.trail = unsettled ? 1 : 0;
  }
  std::uint16_t session() const { return halves[0].shortcut.egress; }
  void set_session(std::uint16_t session) { halves[0].shortcut.egress = session; }

  Half& half(Direction d) { return halves[static_cast<std::size_t>(d)]; }
  const Half& half(Direction d) const { return halves[static_cast<std::size_t>(d)]; }
};

static_assert(std::is_trivially_copyable_v<Connection>);
static_assert(kHelperNames.size() < 1u << (8 - Connection::kAnnouncer));
static_assert(sizeof(Connection) == 192, "three cache lines; a change is a new region version");

}  // namespace masqgate::conntrack
