// What no sound sender sends, by the list of Linux 2.4's match "unclean" (history 7.1).

#pragma once

#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

// Checksums are not looked at where a device is still to complete them. What parse() refuses never
// comes here.
bool is_unclean(const Packet& packet) noexcept;

// Whether the checksum of TCP, UDP or ICMP is right, as far as it can be told.
bool transport_checksum_is_right(const Packet& packet) noexcept;

}  // namespace masqgate::firewall
