#include "daemon/port/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

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

Poller::Poller(Duration tick)
    : epoll_{checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")},
      bell_{checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")},
      clock_{checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd")} {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(tick);
  const timespec period{seconds.count(), (tick - seconds).count()};
  const itimerspec periodic{period, period};
  checked(::timerfd_settime(clock_.get(), 0, &periodic, nullptr), "timerfd_settime");
  add(bell_.get(), kBell);
  add(clock_.get(), kTick);
}

void Poller::add(int descriptor, std::uint32_t tag) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u32 = tag;
  checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");
}

void Poller::remove(int descriptor) noexcept {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void Poller::want_writing(int descriptor, std::uint32_t tag, bool wanted) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  if (wanted) event.events |= EPOLLOUT;
  event.data.u32 = tag;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event);
}

// The bell is not read: each new ring is a new edge, and nobody asks how many. The clock must be: the
// kernel sets its next tick when the last one is read.
std::span<const std::uint32_t> Poller::poll(int timeout) noexcept {
  std::array<epoll_event, std::tuple_size_v<decltype(tags_)>> events;
  const int found = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout);
  const auto count = static_cast<std::size_t>(std::max(0, found));  // a signal: nothing found
  for (std::size_t i = 0; i < count; ++i) {
    tags_[i] = events[i].data.u32;
    if (tags_[i] != kTick) continue;
    std::uint64_t ticks = 0;
    [[maybe_unused]] const ssize_t size = ::read(clock_.get(), &ticks, sizeof ticks);
  }
  return std::span{tags_}.first(count);
}

void Poller::ring() noexcept {
  ::eventfd_write(bell_.get(), 1);
}

}  // namespace masqgate::port
