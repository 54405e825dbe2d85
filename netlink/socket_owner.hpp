// Whose socket a packet of this machine left by, as the kernel's socket diagnosis tells it
// (sock_diag(7)).

#pragma once

#include <cstdint>
#include <optional>

#include "daemon/net/endpoint.hpp"
#include "netlink/socket.hpp"

namespace masqgate::netlink {

// Asks without waiting: the kernel answers while it is asked. In the namespace where it was made.
class SocketOwners {
 public:
  // Throws std::system_error.
  SocketOwners() : socket_{Socket::Wait::no, {}, Socket::Family::sockets} {}

  // Of TCP and UDP; local: the address and port that the packet left with. None if no socket of
  // this namespace sends so: a container's packet, a raw socket's.
  std::optional<std::uint32_t> uid_of(net::Protocol protocol, const net::Endpoint& local,
                                      const net::Endpoint& remote) noexcept;

 private:
  Socket socket_;
};

}  // namespace masqgate::netlink
