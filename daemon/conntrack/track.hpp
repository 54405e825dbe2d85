// Which connection does this packet belong to, and what does it do to the connection's state?

#pragma once

#include <optional>

#include "daemon/conntrack/table.hpp"
#include "daemon/conntrack/timeouts.hpp"

namespace masqgate::conntrack {

// Asked before a connection begins: who may have none must not push others out of a full table.
class Gate {
 public:
  struct Answer {
    std::optional<DropReason> refusal;
    bool may_use_reserve = false;
  };
  virtual Answer ask(const Packet& packet) noexcept = 0;

 protected:
  ~Gate() = default;
};

// Sets packet.connection, direction and state. A new connection is created unconfirmed. Says why if
// the packet must be dropped: the table is full, an ICMP error is wrong (I-04) or forged (TS-08), or
// a TCP segment is out of its window (TS-01, TS-04).
std::optional<DropReason> track(Packet& packet, Table& table, const TimeoutsInForce& timeouts,
                                Time now, Gate* gate = nullptr);

// Counts a packet of a known connection and prolongs its life; the state has been decided by
// track().
void account(Packet& packet, std::size_t bytes);

// The lifetime that the connection's present state gives it.
Duration timeout_of(const Connection& connection, const TimeoutsInForce& timeouts);

// May later packets of this connection go without the state machine? True when a plain packet (TCP:
// ACK without SYN, FIN, RST) can change nothing but the expiry.
bool is_steady(const Connection& connection, const Packet& packet);

// The state machine's share of a steady packet: TCP's window. False if the packet does not fit, and
// then nothing has been changed.
bool follow_steadily(Connection& connection, Direction direction, const Packet& packet,
                     const Timeouts& timeouts);

}  // namespace masqgate::conntrack
