// Which sequence numbers a TCP connection can carry next, as seen from the middle of its path.
//
// Guido van Rooij's "Real stateful TCP packet filtering in IP Filter" (2001), as FreeBSD's ipf and
// Linux have it, with window scaling (RFC 7323) and the caution of RFC 5961. Of each direction
// three things are remembered: the end of what was sent, what was acknowledged, and the largest
// window that was offered.
//
//            acked by the peer              end              acked + the peer's window
//   ─────────────────┼───────────────────────┼──────────────────────────┼──────────▶ sequence
//    repeated, late  │   on its way          │   may be sent            │  refused
//
// Where the handshake was not seen, nobody knows the scale of the windows: they count as the
// largest there are (TS-05, S6-32).

#pragma once

#include "daemon/conntrack/connection.hpp"

namespace masqgate::conntrack {

// A segment's place in its connection. A segment of 64 KB with offload orders is one segment.
struct Segment {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint32_t end = 0;  // behind its data, SYN and FIN; of a first fragment the most it can be
  std::uint16_t window = 0;
  wire::TcpFlags flags;
  bool has_data = false;
};

// packet: TCP, with its whole header.
Segment segment_of(const Packet& packet);

constexpr bool is_after(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(b - a) < 0;
}

// Whether numbers were looked at since the connection began.
inline bool is_tracked(const Connection& connection) {
  return connection.tcp_scales != 0 || connection.has(Connection::kTcpPickedUp);
}
void forget(Connection& connection);

// Whether this side's SYN was seen; of a connection that was picked up: always.
bool is_known(const Connection& connection, Direction direction);

// A SYN, with or without ACK. options: of its header.
void open(Connection& connection, Direction direction, const Segment& syn, wire::Bytes options);

// The first SYN of a new conversation: all that was known is forgotten.
void open_anew(Connection& connection, Direction direction, const Segment& syn,
               wire::Bytes options);

// A segment from the middle of a conversation, of which nothing is known; it must have an ACK.
void pick_up(Connection& connection, Direction direction, const Segment& segment);

// Whether the segment acknowledges something new that the peer has sent.
bool acknowledges_more(const Connection& connection, Direction direction, const Segment& segment);

// Both sides have acknowledged all of each other.
bool is_even(const Connection& connection);

// Whether sequence number and acknowledgement are possible (TS-04, TS-06). Both sides are known.
bool fits(const Connection& connection, Direction direction, const Segment& segment);

// Remembers a segment that fits.
void advance(Connection& connection, Direction direction, const Segment& segment);

// How close a RST's sequence number comes to the one that its receiver will believe (TS-01).
enum class ResetFit : std::uint8_t {
  outside,   // of the window
  inexact,   // inside: the receiver will answer with an ACK (RFC 5961 3.2)
  exact,     // behind all that was sent; some of it may not have arrived
  verified,  // what the receiver has asked for
};
ResetFit fit_of_reset(const Connection& connection, Direction direction, const Segment& reset);

// Remembers a RST that ends the connection; in doubt: its receiver may refuse it, and be right.
void note_reset(Connection& connection, Direction direction, bool in_doubt);
inline bool is_reset_in_doubt(const Connection& connection) {
  return (connection.halves[0].tcp_doubt | connection.halves[1].tcp_doubt) != 0;
}

// Whether a segment of this direction with this number can be on its way (RFC 5927 4.1).
bool is_in_flight(const Connection& connection, Direction direction, std::uint32_t sequence);

}  // namespace masqgate::conntrack
