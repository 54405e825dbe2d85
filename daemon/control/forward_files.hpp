// The files of PORTFW, AUTOFW and MFW below /proc/net/ip_masq, byte for byte (history 1.2).

#pragma once

#include <span>
#include <string>

#include "daemon/nat/forwards.hpp"

namespace masqgate::control {

// Entries come in the order in which the tables list them.

// Records of 64 bytes; ports in decimal.
std::string portfw_file(std::span<const nat::PortForward> entries);
std::string mfw_file(std::span<const nat::MarkForward> entries);
// Lines without padding; all in hexadecimal but the time left, in 1/100 s.
std::string autofw_file(std::span<const nat::AutoForward> entries, Time now);

}  // namespace masqgate::control
