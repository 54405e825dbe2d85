// Asks the kernel to resolve or confirm a neighbour, and does not wait for the answer.
//
// The answer comes as a Neighbour from the Monitor. RTM_NEWNEIGH with NTF_USE, as a packet that the
// kernel sends to the neighbour would ask (RFC 4861 7.3.3, RFC 826). The kernel takes its
// configuration lock inside the call, which is short but not bounded: call it from control, not
// from a shard.

#pragma once

#include <cstdint>

#include "daemon/net/ip_address.hpp"
#include "netlink/socket.hpp"

namespace masqgate::netlink {

class NeighbourProber {
 public:
  // Throws std::system_error.
  NeighbourProber();
  // False where the kernel did not even take the question; ask again later.
  bool probe(std::uint32_t ifindex, const net::IpAddress& address) noexcept;

 private:
  Socket socket_;
  unsigned since_drained_ = 0;
};

}  // namespace masqgate::netlink
