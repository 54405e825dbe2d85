// The names of the C library, for programs that open classic divert sockets: LD_PRELOAD this. Every
// other socket goes where it would have gone.

#include <dlfcn.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "divert/classic/classic.h"

namespace {

// The function of that name which is behind this library.
template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool ours(int fd) {
  return dv_is_divert_socket(fd) != 0;
}

}  // namespace

#define NEXT(name) static auto* const real = next<decltype(name)>(#name)

extern "C" {

int socket(int domain, int type, int protocol) noexcept {
  NEXT(socket);
  const int before = errno;
  const int fd = dv_socket(domain, type, protocol);
  if (fd >= 0 || errno != EAFNOSUPPORT) return fd;
  errno = before;
  return real(domain, type, protocol);
}

int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  NEXT(bind);
  return ours(fd) ? dv_bind(fd, address, size) : real(fd, address, size);
}

ssize_t recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* from, socklen_t* length) {
  NEXT(recvfrom);
  return ours(fd) ? dv_recvfrom(fd, buffer, size, flags, from, length)
                  : real(fd, buffer, size, flags, from, length);
}

ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  NEXT(recv);
  return ours(fd) ? dv_recvfrom(fd, buffer, size, flags, nullptr, nullptr)
                  : real(fd, buffer, size, flags);
}

ssize_t read(int fd, void* buffer, size_t size) {
  NEXT(read);
  return ours(fd) ? dv_recvfrom(fd, buffer, size, 0, nullptr, nullptr) : real(fd, buffer, size);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  NEXT(recvmsg);
  if (!ours(fd) || message->msg_iovlen != 1) return real(fd, message, flags);
  message->msg_controllen = 0;
  message->msg_flags = 0;
  return dv_recvfrom(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags,
                     static_cast<sockaddr*>(message->msg_name), &message->msg_namelen);
}

ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to,
               socklen_t length) {
  NEXT(sendto);
  return ours(fd) ? dv_sendto(fd, data, size, flags, to, length)
                  : real(fd, data, size, flags, to, length);
}

ssize_t send(int fd, const void* data, size_t size, int flags) {
  NEXT(send);
  return ours(fd) ? dv_sendto(fd, data, size, flags, nullptr, 0) : real(fd, data, size, flags);
}

ssize_t write(int fd, const void* data, size_t size) {
  NEXT(write);
  return ours(fd) ? dv_sendto(fd, data, size, 0, nullptr, 0) : real(fd, data, size);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  NEXT(sendmsg);
  if (!ours(fd) || message->msg_iovlen != 1) return real(fd, message, flags);
  return dv_sendto(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags,
                   static_cast<const sockaddr*>(message->msg_name), message->msg_namelen);
}

// What programs call that were built with _FORTIFY_SOURCE.
ssize_t __recvfrom_chk(int fd, void* buffer, size_t size, size_t room, int flags, sockaddr* from,
                       socklen_t* length) {
  return recvfrom(fd, buffer, size < room ? size : room, flags, from, length);
}
ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags) {
  return recv(fd, buffer, size < room ? size : room, flags);
}
ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
  return read(fd, buffer, size < room ? size : room);
}

int close(int fd) {
  NEXT(close);
  return ours(fd) ? dv_close_socket(fd) : real(fd);
}

}  // extern "C"
