// The TCP state machine as the middle of the path sees it: Linux 2.4's (history 2.9) and 2.2's
// (2.2).
//
//            SYN →            ← SYN/ACK           ACK →
//   none ──────────▶ syn_sent ─────────▶ syn_recv ─────────▶ established
//                                                               │ FIN from either side
//   time_wait ◀── last_ack ◀── close_wait / fin_wait ◀──────────┘        RST: close
//
// Sequence numbers are not looked at here: tcp_track.hpp.

#pragma once

#include "daemon/conntrack/connection.hpp"
#include "daemon/conntrack/timeouts.hpp"

namespace masqgate::conntrack {

// The state after a packet with these flags went in this direction. A packet without any of SYN,
// FIN, ACK and RST fits nowhere: see flags_are_valid().
TcpState next_state(Profile profile, Direction direction, TcpState now, wire::TcpFlags flags);

// Whether the flags can occur at all. For a connection's first packet a RST alone is no beginning.
bool flags_are_valid(wire::TcpFlags flags, bool first_packet);

std::string_view name(TcpState state);  // "ESTABLISHED", as the virtual files print it

}  // namespace masqgate::conntrack
