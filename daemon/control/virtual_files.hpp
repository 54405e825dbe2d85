// The historic files of /proc/net, byte for byte (history 1.1, 1.2, 1.4, 1.5).
//
// Pure functions from copies of connections to text; widths, padding, order and trailing blanks are
// the kernels', because old tools read by column or by record.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "daemon/conntrack/connection.hpp"

namespace masqgate::control {

// What the header of the masquerade files tells.
struct FreePorts {
  std::size_t udp = 0;
  std::size_t tcp = 0;
  std::size_t icmp = 0;
};

using Connections = std::span<const conntrack::Connection>;

// /proc/net/ip_masquerade of Linux 2.2 and 2.0: records of 128 bytes, expiry in 1/100 s.
std::string ip_masquerade(Connections connections, FreePorts free, Time now);
// /proc/net/ip_masq/{tcp,udp,icmp} of Linux 2.2: records of 128 bytes, expiry in seconds.
std::string ip_masq(net::Protocol protocol, Connections connections, FreePorts free, Time now);
// /proc/net/ip_conntrack of Linux 2.4.
std::string ip_conntrack(Connections connections, Time now);
// /proc/net/nf_conntrack of Linux 2.6 and later: both families.
std::string nf_conntrack(Connections connections, Time now);

// One direction as these files write it, with a blank behind.
std::string track_tuple(const Tuple& tuple);

}  // namespace masqgate::control
