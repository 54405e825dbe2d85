#include "daemon/port/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace masqgate::port {
namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

}  // namespace

Poller::Poller()
    : epoll_{checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")},
      bell_{checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")} {
  add(bell_.get(), kBell);
}

void Poller::add(int descriptor, std::uint32_t tag) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u32 = tag;
  checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");
}

std::span<const std::uint32_t> Poller::wait(Duration most) noexcept {
  std::array<epoll_event, std::tuple_size_v<decltype(tags_)>> events;
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(most).count();
  const int timeout = static_cast<int>(std::clamp<std::int64_t>(milliseconds, 0, 1'000'000));
  const int found = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout);
  const auto count = static_cast<std::size_t>(std::max(0, found));  // a signal: nothing found
  for (std::size_t i = 0; i < count; ++i) {
    tags_[i] = events[i].data.u32;
    eventfd_t rings = 0;
    if (tags_[i] == kBell) ::eventfd_read(bell_.get(), &rings);
  }
  return std::span{tags_}.first(count);
}

void Poller::ring() noexcept {
  ::eventfd_write(bell_.get(), 1);
}

}  // namespace masqgate::port
