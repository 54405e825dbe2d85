// How many TCP connections from outside may stand half open: in all, and towards one destination
// (K-20). Beyond that the oldest of them make way, so that a flood of SYNs shuts nobody out whose
// handshake is quicker than the flood takes to come round.
//
// Each ring remembers the last connections that began; a place is taken again when the ring has come
// round. So nothing needs to be counted when a handshake ends. Who pushes somebody out of his
// destination's ring takes his place in the ring of all too, so that a flood of one destination
// pushes out nobody of another.

#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "daemon/conntrack/table.hpp"

namespace masqgate::conntrack {

class HalfOpen {
 public:
  static constexpr std::uint32_t kMostEach = 4096, kMostInAll = 65536;
  // Destinations are hashed onto so many rings; those that meet in one share it.
  static constexpr std::uint32_t kRings = 256;
  struct Limits {
    std::uint32_t each = 0;  // at most kMostEach; 0: as many as there are
    std::uint32_t in_all = 0;
  };

  explicit HalfOpen(Table& table);

  // This connection of TCP from outside has entered the table, towards reply.source.
  void entered(const Connection& connection, const Limits& limits);

  std::uint64_t pushed_out() const { return pushed_out_; }

 private:
  struct Place {
    std::uint32_t record;
    std::uint32_t serial;  // 0: nobody
    std::uint32_t in_all;  // his place in the ring of all
  };
  struct Unmap {
    void operator()(Place* places) const { unmap(places, kPlaces * sizeof(Place)); }
  };
  static constexpr std::size_t kPlaces = std::size_t{kRings} * kMostEach + kMostInAll;

  static Place& advance(Place* ring, std::uint32_t& next, std::uint32_t size);
  bool push_out(const Place& place);

  Table& table_;
  std::unique_ptr<Place[], Unmap> places_;
  std::array<std::uint32_t, kRings + 1> next_{};
  std::uint64_t pushed_out_ = 0;
};

}  // namespace masqgate::conntrack
