// Where the checksum stands in the header of a transport (RFC 9293 3.1, 768, 792, 4443).

#pragma once

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/tcp.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::wire {

// In bytes from the header's start, for TCP, UDP and ICMP of both families.
constexpr std::size_t checksum_offset(net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::tcp:
      return Tcp::kChecksumOffset;
    case net::Protocol::udp:
      return Udp::kChecksumOffset;
    default:
      return Icmp::kChecksumOffset;
  }
}

}  // namespace masqgate::wire
