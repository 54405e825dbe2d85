// A listener: a program at the other end of a channel, bound to one port.
//
//   queue ──emit──▶ outbox ──send──▶ the program        given: what it has and has not answered
//
// A packet is on `queue` until there is room and credit, then on `given` until its verdict.

#pragma once

#include <array>
#include <bit>
#include <string>

#include "daemon/divert/outbox.hpp"

namespace masqgate::divert {

// Who stands at the other end, as the kernel says (SO_PEERCRED).
struct Peer {
  std::uint32_t process = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
};

struct ListenerCounters {
  std::uint64_t delivered = 0, bytes = 0, frames = 0;
  std::uint64_t accepted = 0, modified = 0, dropped = 0, rejected = 0, repeated = 0;
  std::uint64_t expired = 0, redelivered = 0, injected = 0, inject_refused = 0;
  std::uint64_t lost = 0;     // copies for a tee that had no room
  std::uint64_t notices = 0;  // it was told that something went wrong
};

// How long verdicts take: powers of two of microseconds.
class Latency {
 public:
  static constexpr std::size_t kBuckets = 24;
  void add(Duration taken) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(taken).count();
    const auto width = std::bit_width(static_cast<std::uint64_t>(us < 0 ? 0 : us));
    ++buckets_[static_cast<std::size_t>(width) < kBuckets ? static_cast<std::size_t>(width)
                                                          : kBuckets - 1];
  }
  // Bucket i counts what took less than 2^i us and was in no bucket before.
  const std::array<std::uint64_t, kBuckets>& buckets() const { return buckets_; }
  // The time in us that the fraction of verdicts did not exceed, as far as buckets tell.
  std::uint64_t quantile(double fraction) const;

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
};

struct Listener {
  Channel* channel = nullptr;  // null: free
  Peer peer;
  bool bound = false;
  bool blocked = false;   // the channel took no more
  bool draining = false;  // gets no new packets
  bool drained = false;   // and knows that it has had all
  bool plain = false;     // speaks without records (format.hpp, PlainHeader)
  std::uint8_t port = 0;  // index of the port's state, once bound
  std::uint16_t number = 0;
  std::uint16_t flags = 0;
  std::int16_t priority = 0;
  std::uint16_t weight = 1;
  std::uint32_t credit = 0;
  std::uint32_t snapshot = 0;
  std::uint32_t options = 0;
  std::uint32_t permissions = 0;
  std::uint16_t lost = 0;       // since the last frame
  std::uint64_t news_lost = 0;  // records that found no room in `news`
  bool sent_away = false;       // it heard why
  std::string name;
  HeldPackets::List queue;
  HeldPackets::List given;
  std::unique_ptr<Outbox> outbox;
  std::unique_ptr<Outbox> news;  // notices
  ListenerCounters counters;
  Latency latency;

  bool wants(std::uint16_t flag) const { return (flags & flag) != 0; }
  bool is_tee() const { return (flags & format::kBindTee) != 0; }
  bool is_ordered() const { return (flags & format::kBindOrdered) != 0; }
  bool one_by_one() const { return plain || (flags & format::kBindOneByOne) != 0; }
  // How it gets its packets: "packed" in frames, "shared" in memory, "plain" one by one and without
  // records.
  std::string_view transport() const {
    if (plain) return "plain";
    return wants(format::kBindShared) ? "shared" : "packed";
  }
  bool may(std::uint32_t permission) const { return (permissions & permission) != 0; }
};

}  // namespace masqgate::divert
