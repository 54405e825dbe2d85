// Time as masqgate counts it: nanoseconds since the machine booted, suspended time included.
//
// Packet-path code never asks for the time: it is read once per burst and handed down, so that
// tests and simulations can hand in their own.

#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace masqgate {

// CLOCK_BOOTTIME: survives a restart of the process, so that deadlines in the connection region
// stay true.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock, duration>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    timespec spec{};
    clock_gettime(CLOCK_BOOTTIME, &spec);
    return time_point{std::chrono::seconds{spec.tv_sec} + duration{spec.tv_nsec}};
  }
};

using Time = BootClock::time_point;
using Duration = BootClock::duration;

}  // namespace masqgate
