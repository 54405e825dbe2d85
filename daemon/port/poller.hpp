// Waits for devices: epoll, edge-triggered, a bell that other threads ring, and a clock that ticks.
//
// Asio registers a descriptor anew for each wait: one system call more per burst, and a burst is one
// frame where traffic is thin. So the packet thread waits here. The clock is a descriptor as well,
// because a time limit for each wait would set a timer and take it back as often.

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
  // What wait() returns when the bell was rung, and when it is time.
  static constexpr std::uint32_t kBell = 0xffffffff, kTick = 0xfffffffe;

  // Both throw std::system_error.
  explicit Poller(Duration tick);
  // tag: what wait() returns when this descriptor became readable. It must be read until it is
  // empty before it is told of again.
  void add(int descriptor, std::uint32_t tag);
  // Needed where others hold the same descriptor open; closing it is enough where nobody does.
  void remove(int descriptor) noexcept;

  // Whether to be told, too, when more can be written to what was added; told at once if it can.
  void want_writing(int descriptor, std::uint32_t tag, bool wanted) noexcept;

  // The tags of what became readable, as soon as there are any; or those that are there now, which
  // may be none. Valid until the next call.
  std::span<const std::uint32_t> wait() noexcept { return poll(-1); }
  std::span<const std::uint32_t> look() noexcept { return poll(0); }

  // Ends a wait(), this or the next; from any thread.
  void ring() noexcept;

 private:
  std::span<const std::uint32_t> poll(int timeout) noexcept;

  UniqueFd epoll_;
  UniqueFd bell_;
  UniqueFd clock_;
  std::array<std::uint32_t, 32> tags_{};
};

}  // namespace masqgate::port
