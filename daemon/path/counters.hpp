// What a shard counts. Frames in plus frames made here equal frames out plus consumed plus parked
// plus all drops, to the unit.

#pragma once

#include <array>
#include <cstdint>
#include <numeric>

#include "daemon/packet/verdict.hpp"
#include "daemon/path/path.hpp"

namespace masqgate::path {

struct StageCounters {
  std::uint64_t entered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t stolen = 0;
};

struct InterfaceCounters {
  std::uint64_t frames_in = 0;
  std::uint64_t bytes_in = 0;  // of IP packets
  std::uint64_t frames_out = 0;
  std::uint64_t bytes_out = 0;
};

struct Counters {
  std::uint64_t frames_in = 0;
  std::uint64_t frames_made = 0;  // ICMP errors and resets of our own, fragments
  std::uint64_t frames_out = 0;
  std::uint64_t consumed = 0;  // packets that went on as their fragments
  std::uint64_t shortcuts =
      0;  // packets that took the short cut, all of them also frames out or drops
  std::uint64_t connections_refused = 0;  // ended, because new rules do not admit them
  std::array<std::uint64_t, kDropReasons> drops{};
  std::array<std::array<StageCounters, kMostStages>, kLists> stages{};

  std::uint64_t dropped() const {
    return std::accumulate(drops.begin(), drops.end(), std::uint64_t{0});
  }
};

}  // namespace masqgate::path
