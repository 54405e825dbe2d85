// Makes a packet of bytes that a program has written.

#pragma once

#include "daemon/packet/packet.hpp"
#include "divert/format.hpp"

namespace masqgate::divert {

// The packet's frame gets these bytes and is parsed; false if they are no sound packet, and then the
// packet is of no more use. fix: lengths and checksums become what they must be (but for the
// transport checksum of a fragment, which nobody here can know, and that of UDP where it is left
// out). A packet that stands for many goes on doing so if it is still larger than one.
bool rewrite(Packet& packet, format::Bytes bytes, bool fix);

}  // namespace masqgate::divert
