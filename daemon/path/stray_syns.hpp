// TCP SYNs from outside that nobody waits for: their senders are told six seconds later, unless the
// inside has begun the same connection by then (RFC 5382 REQ-4, RFC 6092 REC-34; T-05, S6-34).
//
// At most kMost wait, of up to kBytes each; of others nobody is told anything. All wait equally long,
// so the first one in is the first one out.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "daemon/packet/packet.hpp"

namespace masqgate::path {

class StraySyns {
 public:
  static constexpr Duration kWait = std::chrono::seconds{6};
  static constexpr std::size_t kMost = 256, kBytes = 128;

  explicit StraySyns(HashKey key) : key_{key} {}

  // Copies a packet that is a whole SYN; one that waits already does not wait twice.
  void put(const Packet& packet, Time now);
  // The inside has begun a connection whose answers have this tuple.
  void cancel(const Tuple& answer);
  // Writes the next one that is due into the packet's frame, which has storage; false if none is.
  bool take_due(Packet& packet, Time now);

  bool is_due(Time now) const { return count_ > 0 && entries_[first_].due <= now; }

 private:
  struct Entry {
    Time due{};
    std::uint32_t hash = 0;
    PortIndex ingress = kNoPort;
    std::uint16_t size = 0;  // 0: cancelled
    Tuple tuple;
    std::array<std::byte, kBytes> bytes{};
  };

  Entry* find(const Tuple& tuple, std::uint32_t hash);

  HashKey key_;
  std::array<Entry, kMost> entries_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace masqgate::path
