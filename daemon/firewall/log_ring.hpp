// What rules want to be logged, on its way from the packet path to whoever writes logs (K-23).
//
// A ring of fixed size: control takes the notes out, now and then. Notes for which there is no room
// or no rate are counted, not kept. A note has the first bytes of the packet, so that every format
// can be written from it.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/firewall/hooks.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

struct LogNote {
  static constexpr std::size_t kHead = 128;
  Time when{};
  std::uint16_t counter = 0;  // of the rule, in the ruleset of this generation
  std::uint32_t generation = 0;
  PortIndex in = kNoPort;
  PortIndex out = kNoPort;
  bool has_link = false;
  std::uint16_t size = 0;  // of the whole packet
  std::uint8_t kept = 0;   // bytes of it in head
  std::array<std::byte, Frame::kLinkSize> link{};
  std::array<std::byte, kHead> head{};
  std::uint32_t mark = 0;
};

class LogRing {
 public:
  static constexpr std::size_t kMost = 256;

  LogRing() : notes_(kMost) {}

  void add(const Packet& packet, std::uint16_t counter, Time now) noexcept {
    if (size_ == kMost) {
      ++left_out_;
      return;
    }
    LogNote& note = notes_[(first_ + size_++) % kMost];
    note.when = now;
    note.counter = counter;
    note.generation = generation_;
    note.in = packet.from == Side::network && !packet.made_here ? packet.ingress : kNoPort;
    note.out = packet.egress;
    note.has_link = packet.has_link;
    note.mark = packet.mark;
    const auto ip = packet.frame.ip();
    note.size = static_cast<std::uint16_t>(ip.size());
    note.kept = static_cast<std::uint8_t>(std::min(ip.size(), LogNote::kHead));
    std::copy_n(ip.begin(), note.kept, note.head.begin());
    if (note.has_link) std::ranges::copy(packet.frame.link(), note.link.begin());
  }
  void leave_out() noexcept { ++left_out_; }

  // All notes, oldest first; the ring is empty afterwards. left_out: since the last time.
  std::vector<LogNote> take(std::uint64_t& left_out) {
    std::vector<LogNote> all;
    all.reserve(size_);
    for (std::size_t i = 0; i < size_; ++i) all.push_back(notes_[(first_ + i) % kMost]);
    first_ = size_ = 0;
    left_out = std::exchange(left_out_, 0);
    return all;
  }

  // Counters of later notes are of another ruleset.
  void begin_generation() { ++generation_; }
  std::uint32_t generation() const { return generation_; }

 private:
  std::vector<LogNote> notes_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::uint64_t left_out_ = 0;
  std::uint32_t generation_ = 0;
};

}  // namespace masqgate::firewall
