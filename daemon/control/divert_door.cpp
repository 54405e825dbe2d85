#include "daemon/control/divert_door.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace masqgate::control {
namespace {

int listen_at(const std::string& path) {
  const auto fail = [&](const char* what) {
    throw std::system_error(errno, std::generic_category(), path + ": " + what);
  };
  UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (socket.get() < 0) fail("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    fail("bind");
  }
  path.copy(address.sun_path, path.size());
  ::unlink(path.c_str());  // of a daemon that did not come to an end
  const void* where = &address;
  if (::bind(socket.get(), static_cast<const sockaddr*>(where), sizeof address) != 0) fail("bind");
  constexpr mode_t kEverybody = 0666;
  if (::chmod(path.c_str(), kEverybody) != 0) fail("chmod");
  if (::listen(socket.get(), 64) != 0) fail("listen");
  return socket.release();
}

}  // namespace

DivertDoor::DivertDoor(asio::io_context& context, const std::string& path, path::Loop& loop)
    : path_{path}, loop_{loop}, listening_{context, listen_at(path)} {
  wait();
}

DivertDoor::~DivertDoor() {
  ::unlink(path_.c_str());
}

void DivertDoor::wait() {
  listening_.async_wait(asio::posix::stream_descriptor::wait_read, [this](asio::error_code error) {
    if (error) return;
    accept_all();
    wait();
  });
}

void DivertDoor::accept_all() {
  for (;;) {
    UniqueFd socket{
        ::accept4(listening_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (socket.get() < 0) return;
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) continue;
    loop_.adopt(std::move(socket), {static_cast<std::uint32_t>(who.pid), who.uid, who.gid});
  }
}

}  // namespace masqgate::control
