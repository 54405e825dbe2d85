// Any packet as one line of text, in the manner of tcpdump: for traces, test failures and the
// fuzzer.

#pragma once

#include <string>

#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

std::string describe_frame(Bytes ethernet_frame);
std::string describe_ip(Bytes ip_packet);

}  // namespace masqgate::wire
