// Puts datagrams together: for whoever must see all of one (ip_always_defrag, M7).
//
//   fragment ──▶ its bytes go to their place in one frame ──▶ all there? ──▶ the datagram walks on
//                                                        └── no: nothing is left of the fragment
//
// One frame for each datagram that is not complete, whatever its fragments. When there is no place
// for another the oldest gives way, of the same source first: a flood never keeps out what arrives
// in order (U-20, F-06). Overlaps spoil the whole datagram (RFC 5722, F-03).

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/fragment/datagram.hpp"

namespace masqgate::fragment {

class Reassembly {
 public:
  static constexpr std::size_t kMost = 64;  // datagrams, and frames
  static constexpr std::size_t kMostOfSource = 32;
  static constexpr Duration kLife = std::chrono::seconds{30};  // RFC 1122 3.3.2: 30 to 60
  static constexpr std::size_t kMostHeader = 256;  // bytes of IP header, extensions included

  explicit Reassembly(HashKey key) : key_{key} {}

  enum class Fate : std::uint8_t {
    whole,      // packet is the datagram now, parsed again; largest_fragment says how it came
    held,       // its bytes are here now; the packet is no more
    overlaps,   // the datagram is spoilt
    limit,      // of pieces
    malformed,  // what came together is no packet
  };
  Fate pass(Packet& packet, Time now);
  // Whether some of its datagram is here already.
  bool is_open(const Packet& fragment) const {
    return used_ != 0 && find(key_of(fragment)) != nullptr;
  }

  // A datagram that gave way or was not completed in time; call until empty after pass() and now and
  // then. With its first fragment there is a packet to answer (ICMP time exceeded, F-08).
  struct Lost {
    std::optional<Packet> first;
  };
  std::optional<Lost> give_up(Time now);
  std::size_t size() const { return used_; }

 private:
  struct Datagram {
    bool used = false;
    bool spoilt = false;
    DatagramKey key;
    Pieces pieces;
    Time until{};
    Packet packet;  // of the fragment that came first; its frame takes the bytes of all
    std::array<std::byte, kMostHeader> header{};  // of the first one, as it came
    FragmentParts parts;                          // of it
    std::uint16_t largest = 0;
    bool dont_fragment = false;  // some fragment said so
  };

  const Datagram* find(const DatagramKey& key) const;
  Datagram& begin(const DatagramKey& key, Time now);
  void lose(Datagram& datagram);
  Fate finish(Datagram& datagram, Packet& packet);
  static void write(Datagram& datagram, std::size_t header, std::size_t payload);
  static void finish_header(Datagram& datagram);

  HashKey key_;
  std::array<Datagram, kMost> datagrams_;
  std::size_t used_ = 0;
  std::vector<Lost> lost_;
};

}  // namespace masqgate::fragment
