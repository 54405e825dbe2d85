// A netlink socket (netlink(7)) with the options every socket here wants.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "netlink/messages.hpp"

struct mnl_socket;

namespace masqgate::netlink {

class Socket {
 public:
  enum class Wait { yes, no };
  enum class Family { route, sockets };  // rtnetlink(7), sock_diag(7)
  // Joins the groups (RTNLGRP_*). Throws std::system_error.
  explicit Socket(Wait wait, std::initializer_list<unsigned> groups = {},
                  Family family = Family::route);

  int fd() const noexcept;
  // Throws std::system_error; `try_send` answers the errno instead, 0 for success.
  void send(Bytes message);
  int try_send(Bytes message) noexcept;

  struct Received {
    Bytes messages;  // stands in the socket's buffer until the next receive()
    int error = 0;   // errno: EAGAIN, ENOBUFS (messages were lost) …
  };
  // One datagram. Datagrams that are not the kernel's come out empty; one that is cut off is
  // ENOBUFS, as something in it is lost.
  Received receive() noexcept;

  // In bytes; past net.core.rmem_max where the process may. The kernel doubles the number.
  void set_receive_buffer(int bytes) noexcept;

 private:
  struct Close {
    void operator()(mnl_socket* socket) const noexcept;
  };
  std::unique_ptr<mnl_socket, Close> socket_;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace masqgate::netlink
