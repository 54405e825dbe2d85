// Waits for devices: epoll, edge-triggered, and a bell that other threads ring.
//
// Asio registers a descriptor anew for each wait: one system call more per burst, and a burst is one
// frame where traffic is thin. So the packet thread waits here.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "daemon/base/clock.hpp"
#include "daemon/base/unique_fd.hpp"

namespace masqgate::port {

class Poller {
 public:
  static constexpr std::uint32_t kBell = 0xffffffff;  // what wait() returns when it was rung

  // Both throw std::system_error.
  Poller();
  // tag: what wait() returns when this descriptor became readable. It must be read until it is
  // empty before it is told of again.
  void add(int descriptor, std::uint32_t tag);

  // The tags of what became readable; none when that took longer than most (whole milliseconds,
  // rounded up). Valid until the next call.
  std::span<const std::uint32_t> wait(Duration most) noexcept;

  // Ends a wait(), this or the next; from any thread.
  void ring() noexcept;

 private:
  UniqueFd epoll_;
  UniqueFd bell_;
  std::array<std::uint32_t, 32> tags_{};
};

}  // namespace masqgate::port
