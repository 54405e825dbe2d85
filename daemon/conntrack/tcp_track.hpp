// What a TCP segment does to its connection: the state machine behind a check of its numbers
// (RFC 9293, 5961 and 7857 as the middle sees them; requirements 2.9).
//
// Not in profile classic-2.2: Linux 2.2 looked at flags only.

#pragma once

#include "daemon/conntrack/connection.hpp"
#include "daemon/conntrack/timeouts.hpp"

namespace masqgate::conntrack {

enum class Outcome : std::uint8_t {
  refused,   // cannot belong here: neither end may hear of it
  ignored,   // passes, because only the ends can judge it; changes and prolongs nothing
  followed,  // passes; state and windows have moved
};

constexpr bool looks_at_numbers(const Timeouts& timeouts) {
  return timeouts.profile != Profile::classic_22;
}

// packet: TCP with its whole header, flags that can occur, of this connection and direction.
Outcome follow_segment(Connection& connection, const Packet& packet, const Timeouts& timeouts);

// Whether a connection may begin with such a packet: a SYN; or any with an ACK, where connections may
// be joined in their middle. Of a SYN/ACK without a SYN nobody knows what it answers.
bool may_begin(wire::TcpFlags flags, const Timeouts& timeouts);
void begin_segment(Connection& connection, const Packet& packet, const Timeouts& timeouts);

// For a packet without SYN, FIN and RST on an established connection: true if it fits, and then it
// is remembered; nothing has been changed otherwise.
bool advance_steadily(Connection& connection, Direction direction, const Packet& packet);

}  // namespace masqgate::conntrack
