#include "daemon/path/divert_sockets.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "daemon/path/shared_link.hpp"

namespace masqgate::path {

namespace {

// Of the eventfd(2) by which a program with shared memory wakes masqgate; behind those of sockets.
constexpr std::uint32_t kBellTags = divert::Desk::kMostListeners;

bool is_control(divert::format::Bytes frame) {
  return divert::format::load<divert::format::FrameHeader>(frame).kind ==
         static_cast<std::uint8_t>(divert::format::Kind::control);
}

}  // namespace

struct DivertSockets::Socket final : divert::Channel {
  Socket(UniqueFd descriptor, port::Poller& waiter, std::uint32_t number)
      : fd{std::move(descriptor)}, poller{waiter}, tag{number} {}
  ~Socket() {
    if (shared) poller.remove(shared->bell.get());
  }

  // What is said about the connection itself goes by the socket, also where all else is shared.
  Sent send(divert::format::Bytes frame) noexcept override {
    if (is_shared() && !is_control(frame)) return put(frame);
    const ssize_t size = shared && !shared->passed
                             ? send_with_memory(frame)
                             : ::send(fd.get(), frame.data(), frame.size(), kNeverWait);
    if (size >= 0) return Sent::sent;
    if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
      gone = true;
      return Sent::gone;
    }
    blocked = true;
    if (!is_shared()) poller.want_writing(fd.get(), tag, true);
    return Sent::full;
  }
  std::byte* room() noexcept override { return is_shared() ? shared->end.room() : nullptr; }
  void close() noexcept override { gone = true; }

  bool share() noexcept override {
    auto made = SharedLink::create();
    if (!made) return false;
    try {
      poller.add(made->bell.get(), tag + kBellTags);
    } catch (const std::system_error&) {
      return false;
    }
    shared = std::move(made);
    return true;
  }

  bool is_shared() const { return shared && shared->passed; }

  Sent put(divert::format::Bytes frame) noexcept {
    if (shared->end.put(frame)) return Sent::sent;
    gone = gone || shared->end.broken();
    blocked = true;
    return gone ? Sent::gone : Sent::full;
  }

  // The program has its memory before it may write there.
  ssize_t send_with_memory(divert::format::Bytes frame) noexcept {
    const std::array passed{shared->to_program.get(), shared->from_program.get(),
                            shared->bell.get()};
    const ssize_t size = divert::send_passing(fd.get(), frame, passed, MSG_DONTWAIT);
    if (size < 0) return size;
    shared->to_program = divert::Descriptor{};
    shared->from_program = divert::Descriptor{};
    shared->passed = true;
    return size;
  }

  // An empty frame wakes a program, and cannot hold masqgate up: that an eventfd(2) never does would
  // be a matter of flags that the other one can change. If there is no room for it, there are others.
  void wake_program() noexcept {
    if (!shared->end.other_must_wake()) return;
    divert::format::FrameHeader nothing;
    nothing.length = sizeof nothing;
    ::send(fd.get(), &nothing, sizeof nothing, kNeverWait);
  }

  static constexpr int kNeverWait = MSG_DONTWAIT | MSG_NOSIGNAL;

  UniqueFd fd;
  port::Poller& poller;
  std::uint32_t tag;
  divert::Member member = divert::kNoMember;
  bool readable = true;
  bool blocked = false;
  bool gone = false;
  std::unique_ptr<SharedLink> shared{};  // memory, if the program asked for it
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
  if (tag >= kFirstTag + kBellTags) return;  // each turn looks into shared memory
  Socket* socket = sockets_[tag - kFirstTag].get();
  if (socket == nullptr) return;
  socket->readable = true;
  if (socket->is_shared() || !std::exchange(socket->blocked, false)) return;
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

// The same from shared memory; a frame is copied before it is read, because its writer may change it.
bool DivertSockets::read_shared(Socket& socket, Time now) {
  divert::SharedEnd& end = socket.shared->end;
  end.wake();
  if (socket.blocked && end.room() != nullptr) {
    socket.blocked = false;
    shard_.diverting().desk().writable(socket.member, now);
  }
  for (int i = 0; i < kFramesAtOnce && !socket.gone; ++i) {
    const divert::format::Bytes frame = end.next();
    if (frame.empty()) {
      if (end.broken()) shard_.diverting().desk().receive(socket.member, {}, now);
      socket.gone = end.broken();
      return false;
    }
    std::ranges::copy(frame, buffer_.get());
    end.release();
    socket.gone = !shard_.diverting().desk().receive(
        socket.member, divert::format::Bytes{buffer_.get(), frame.size()}, now);
  }
  return !socket.gone;
}

void DivertSockets::remove(std::size_t place, Time now) {
  const std::unique_ptr<Socket> socket = std::move(sockets_[place]);
  --count_;
  shard_.diverting().desk().forget(socket->member, now);
}

bool DivertSockets::turn(Time now, bool busy) {
  if (count_ == 0) return false;
  shard_.set_now(now);
  divert::Desk& desk = shard_.diverting().desk();
  bool more = false;
  for (std::size_t place = 0; place < sockets_.size(); ++place) {
    Socket* socket = sockets_[place].get();
    if (socket == nullptr) continue;
    if (socket->is_shared())
      more = read_shared(*socket, now) || more;
    else
      socket->readable = socket->readable || !desk.listener(socket->member).given.empty();
    if (socket->readable && !socket->gone) socket->readable = read(*socket, now);
    more = more || socket->readable;
    if (socket->gone) remove(place, now);
  }
  if (busy && ++unsent_turns_ < kTurnsTogether) return true;
  unsent_turns_ = 0;
  desk.flush(now);
  for (const auto& socket : sockets_)
    if (socket && socket->is_shared()) socket->wake_program();
  return more;
}

bool DivertSockets::may_sleep() noexcept {
  return count_ == 0 || std::ranges::all_of(sockets_, [](const auto& socket) {
           return !socket || !socket->is_shared() || socket->shared->end.go_to_sleep();
         });
}

}  // namespace masqgate::path
