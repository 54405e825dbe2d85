// Rewriting of addresses and ports, in packets and in packets quoted by ICMP errors.
//
// Checksums are adjusted, never recomputed (RFC 1624), so that a wrong one stays wrong and partial
// ones stay partial: with checksum offload the field holds the sum of the pseudo header, which
// knows the addresses but not the ports. Translation can neither fail nor allocate.

#pragma once

#include "daemon/packet/packet.hpp"

namespace masqgate::nat {

// What a translation adds to one's complement sums.
struct Delta {
  std::uint16_t address = 0;    // over the addresses: partial checksums
  std::uint16_t transport = 0;  // over whatever the transport checksum covers: complete ones
};

Delta delta_between(const Tuple& from, const Tuple& to);

// Makes the packet read as `to` says and sets packet.tuple. Both tuples have the same protocol.
void rewrite(Packet& packet, const Tuple& to, Delta delta);
inline void rewrite(Packet& packet, const Tuple& to) {
  rewrite(packet, to, delta_between(packet.tuple, to));
}

// Makes the packet quoted by this ICMP error read as `to` says, outer checksum included.
void rewrite_quote(Packet& packet, const Tuple& to);

// The transport checksum, where it is still partial, is completed in place (before a packet is cut
// into fragments). GSO packets must not be given in.
void complete_checksum(Packet& packet);

}  // namespace masqgate::nat
