#include "netlink/socket.hpp"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace masqgate::netlink {
namespace {

constexpr std::size_t kDatagram = 64 * 1024;  // dumps come in 32 KiB, one big route in up to 64

void require(bool fine, const char* what) {
  if (!fine) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

void Socket::Close::operator()(mnl_socket* socket) const noexcept {
  mnl_socket_close(socket);
}

Socket::Socket(Wait wait, std::initializer_list<unsigned> groups, Family family)
    : socket_{mnl_socket_open2(family == Family::route ? NETLINK_ROUTE : NETLINK_SOCK_DIAG,
                               SOCK_CLOEXEC | (wait == Wait::no ? SOCK_NONBLOCK : 0))},
      buffer_(kDatagram) {
  require(socket_ != nullptr, "cannot open a netlink socket");
  require(mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) == 0,
          "cannot bind a netlink socket");
  // Kernels without these options still answer, only less exactly.
  int on = 1;
  mnl_socket_setsockopt(socket_.get(), NETLINK_EXT_ACK, &on, sizeof on);
  mnl_socket_setsockopt(socket_.get(), NETLINK_GET_STRICT_CHK, &on, sizeof on);
  for (unsigned group : groups)
    require(mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0,
            "cannot subscribe to the kernel's link and route events");
}

int Socket::fd() const noexcept {
  return mnl_socket_get_fd(socket_.get());
}

int Socket::try_send(Bytes message) noexcept {
  return mnl_socket_sendto(socket_.get(), message.data(), message.size()) < 0 ? errno : 0;
}

void Socket::send(Bytes message) {
  const int problem = try_send(message);
  if (problem != 0)
    throw std::system_error(problem, std::generic_category(), "cannot ask the kernel over netlink");
}

Socket::Received Socket::receive() noexcept {
  sockaddr_nl sender{};
  iovec part{buffer_.data(), buffer_.size()};
  msghdr header{};
  header.msg_name = &sender;
  header.msg_namelen = sizeof sender;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  const ssize_t size = ::recvmsg(fd(), &header, 0);
  if (size < 0) return {{}, errno};
  if ((header.msg_flags & MSG_TRUNC) != 0) return {{}, ENOBUFS};
  if (sender.nl_pid != 0) return {};
  return {Bytes{buffer_}.first(static_cast<std::size_t>(size)), 0};
}

void Socket::set_receive_buffer(int bytes) noexcept {
  const int option = ::setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (option != 0) ::setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

}  // namespace masqgate::netlink
