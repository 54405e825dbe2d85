// Who finds no room for diverted packets, out of counters that only grow: told when it begins, every
// ten seconds while it lasts, and when nobody was turned away for two seconds. So a flood of packets
// is no flood of events.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/divert/listener.hpp"

namespace masqgate::control {

class Overflows {
 public:
  static constexpr Duration kQuiet = std::chrono::seconds{2};
  static constexpr Duration kAgain = std::chrono::seconds{10};

  // Who may find no room: a port, or one of its listeners that gets copies.
  struct Sample {
    std::uint16_t port = 0;
    divert::Member member = divert::kNoMember;  // none: the port itself
    divert::Peer peer;
    std::string name;
    std::uint64_t count = 0;  // packets that found none, ever
  };
  struct News {
    Sample who;
    bool ended = false;
    std::uint64_t packets = 0;  // since it began
    Duration lasts{};
  };
  // What is to be told. Who is not among the samples has gone.
  std::vector<News> step(const std::vector<Sample>& samples, Time now);

 private:
  using Key = std::pair<std::uint16_t, divert::Member>;
  struct Watched {
    Sample who;
    bool active = false, there = true;
    std::uint64_t packets = 0;
    Time began{}, told{}, last{};
  };
  std::map<Key, Watched> watched_;
};

}  // namespace masqgate::control
