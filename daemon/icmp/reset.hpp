// The TCP reset with which the firewall refuses a connection (RFC 9293 3.10.7.1).

#pragma once

#include "daemon/packet/packet.hpp"

namespace masqgate::icmp {

// Writes the reset that answers this segment into out, a whole IP packet with checksums. False if
// there must be none: the packet is no TCP, a fragment, a reset itself, its checksum is wrong, it
// was sent to many or by nobody; or out has no storage.
bool build_reset(Frame& out, const Packet& about) noexcept;

}  // namespace masqgate::icmp
