#include "daemon/path/divert_sockets.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace masqgate::path {

struct DivertSockets::Socket final : divert::Channel {
  Socket(UniqueFd descriptor, port::Poller& waiter, std::uint32_t number)
      : fd{std::move(descriptor)}, poller{waiter}, tag{number} {}

  Sent send(divert::format::Bytes frame) noexcept override {
    if (::send(fd.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
      return Sent::sent;
    if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
      gone = true;
      return Sent::gone;
    }
    blocked = true;
    poller.want_writing(fd.get(), tag, true);
    return Sent::full;
  }
  void close() noexcept override { gone = true; }

  UniqueFd fd;
  port::Poller& poller;
  std::uint32_t tag;
  divert::Member member = divert::kNoMember;
  bool readable = true;
  bool blocked = false;
  bool gone = false;
};

DivertSockets::DivertSockets(Shard& shard, port::Poller& poller)
    : shard_{shard},
      poller_{poller},
      buffer_{std::make_unique<std::byte[]>(divert::format::kLargestFrame)} {}

DivertSockets::~DivertSockets() {
  for (std::size_t place = 0; place < sockets_.size(); ++place)
    if (sockets_[place]) remove(place, shard_.now());
}

void DivertSockets::adopt(UniqueFd descriptor, const divert::Peer& peer) {
  std::size_t place = 0;
  while (place < sockets_.size() && sockets_[place]) ++place;
  if (place == sockets_.size()) return;
  const auto tag = kFirstTag + static_cast<std::uint32_t>(place);
  // As much may wait in the kernel for a program that is a little late; without the right to ask for
  // it (CAP_NET_ADMIN) it stays at the system's limit.
  const int room = kSendBuffer;
  if (::setsockopt(descriptor.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
    ::setsockopt(descriptor.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  auto socket = std::make_unique<Socket>(std::move(descriptor), poller_, tag);
  socket->member = shard_.diverting().desk().attach(*socket, peer);
  if (socket->member == divert::kNoMember) return;
  poller_.add(socket->fd.get(), tag);
  sockets_[place] = std::move(socket);
  ++count_;
}

void DivertSockets::ready(std::uint32_t tag) {
  Socket* socket = sockets_[tag - kFirstTag].get();
  if (socket == nullptr) return;
  socket->readable = true;
  if (!std::exchange(socket->blocked, false)) return;
  poller_.want_writing(socket->fd.get(), tag, false);
  shard_.diverting().desk().writable(socket->member, shard_.now());
}

// Up to so many frames; true if there may be more.
bool DivertSockets::read(Socket& socket, Time now) {
  for (int i = 0; i < kFramesAtOnce && !socket.gone; ++i) {
    const ssize_t size = ::recv(socket.fd.get(), buffer_.get(), divert::format::kLargestFrame,
                                MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == ENOBUFS)) return false;
    const auto bytes = static_cast<std::size_t>(size);
    // A frame that is too long is cut off, and its length tells.
    const std::size_t got = std::min(bytes, divert::format::kLargestFrame);
    if (size <= 0 || !shard_.diverting().desk().receive(
                         socket.member, divert::format::Bytes{buffer_.get(), got}, now))
      socket.gone = true;
  }
  return !socket.gone;
}

void DivertSockets::remove(std::size_t place, Time now) {
  const std::unique_ptr<Socket> socket = std::move(sockets_[place]);
  --count_;
  shard_.diverting().desk().forget(socket->member, now);
}

bool DivertSockets::turn(Time now) {
  if (count_ == 0) return false;
  shard_.set_now(now);
  divert::Desk& desk = shard_.diverting().desk();
  bool more = false;
  for (std::size_t place = 0; place < sockets_.size(); ++place) {
    Socket* socket = sockets_[place].get();
    if (socket == nullptr) continue;
    if (socket->readable || !desk.listener(socket->member).given.empty())
      socket->readable = read(*socket, now);
    more = more || socket->readable;
    if (socket->gone) remove(place, now);
  }
  desk.flush(now);
  return more;
}

}  // namespace masqgate::path
