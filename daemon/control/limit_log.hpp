// What the log says of limits: who or what was refused, each reason at most once a minute with how
// many there were since (K-23). Looked up on the control thread; packets never log.

#pragma once

#include <array>
#include <string>
#include <vector>

#include "daemon/control/router.hpp"

namespace masqgate::control {

// What the shard knows of it.
struct Refusals {
  std::array<std::uint64_t, kDropReasons> drops{};
  std::uint64_t half_open = 0;  // pushed out
  std::array<net::IpAddress, nat::Hosts::kOffenders> offenders{};
};

class LimitLog {
 public:
  static constexpr Duration kPause = std::chrono::minutes{1};

  // The sentences that are due.
  std::vector<std::string> news(const Refusals& now, Time time);

 private:
  struct Line {
    std::uint64_t told = 0;
    Time next{};
  };
  static constexpr std::size_t kLines = 6;
  std::array<Line, kLines> lines_{};
};

// Runs as long as the router does.
asio::awaitable<void> log_limits(Router& router);

// "nat/hosts": who has most.
void publish_limits(state::Tree& tree, Router& router);

}  // namespace masqgate::control
