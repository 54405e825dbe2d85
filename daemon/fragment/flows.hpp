// Which datagram a fragment belongs to: virtual reassembly (RFC 3022 6.3, RFC 4787 REQ-14).
//
//   first fragment ──▶ its ports are noted ──▶ walks on, and so does whoever waited for it
//   later fragment ──▶ ports known? ── yes ──▶ walks on with them
//                          └── no ──▶ waits a little for the first one
//
// Only the first fragment has ports, and rules, tracking and translation ask for them. Nothing is
// put together: each fragment passes as it came, boundaries and all, in whatever order.
// Where one overlaps another, it is dropped, and so is what comes later of that datagram: its
// receiver never gets all of it, and never two versions of a byte (RFC 5722). Notes and waiting
// packets are bounded, for each source too, so that floods of fragments cost others nothing (U-20).

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "daemon/base/hash_index.hpp"
#include "daemon/fragment/datagram.hpp"
#include "daemon/fragment/identifications.hpp"

namespace masqgate::fragment {

class Flows {
 public:
  static constexpr std::size_t kMostNotes = 8192;          // datagrams; the oldest note gives way
  static constexpr std::size_t kMostOfSource = 4096;       // incomplete ones (F-06)
  static constexpr std::size_t kMostWaiting = 90;          // packets, over all datagrams
  static constexpr std::size_t kMostWaitingOfSource = 45;  // 64 KB at an MTU of 1500
  static constexpr Duration kNoteLife = std::chrono::seconds{30};  // F-08
  static constexpr Duration kWait = std::chrono::seconds{2};       // for the first fragment

  explicit Flows(HashKey key);

  enum class Fate : std::uint8_t {
    known,     // packet.tuple has its ports now: walk on
    parked,    // the packet waits here
    refused,   // too many wait already
    overlaps,  // it, or one before it (F-03)
    limit,     // of pieces, or of what its source has begun (F-06, F-08)
  };
  // For a fragment, first or later. Of a known one fresh_id is the identification that its datagram
  // gets where its source is translated.
  Fate pass(Packet& packet, Time now);
  // Packets whose first fragment has come; call until empty after a first fragment has walked.
  std::optional<Packet> unpark();
  // Packets that waited in vain; call until empty now and then.
  std::optional<Packet> give_up(Time now);
  std::size_t waiting() const { return waiting_.size() + released_.size(); }
  std::uint16_t next_identification() { return identifications_.next(); }

 private:
  struct Note {
    DatagramKey key;
    Pieces pieces;
    net::Protocol protocol{};  // of the transport header
    net::Port source_port = 0;
    net::Port destination_port = 0;
    std::uint16_t tuple_key = 0;
    std::uint16_t fresh_id = 0;
    std::uint8_t is_icmp_reply = 0;
    bool spoilt = false;  // by an overlap
    Time until{};
  };
  struct Waiting {
    DatagramKey key;
    Time since{};
    Packet packet;
  };
  static constexpr std::size_t kBuckets = 4096;  // of sources, by their hash

  std::optional<std::uint32_t> find(const DatagramKey& key) const;
  // Null where its source has begun too many.
  Note* begin(const DatagramKey& key, Time now);
  void end_oldest();
  std::uint16_t& begun_by(const net::IpAddress& source);
  Piece add(Note& note, const Packet& packet);
  Fate park(const DatagramKey& key, Packet& packet, Time now);
  void release(const Note& note);
  static void give_ports(const Note& note, Packet& packet);

  HashKey key_;
  Identifications identifications_;
  HashIndex index_;
  std::vector<Note> notes_;  // a ring: they end in the order in which they began
  std::size_t oldest_ = 0;
  std::size_t count_ = 0;
  std::array<std::uint16_t, kBuckets> begun_{};  // incomplete datagrams
  std::deque<Waiting> waiting_;
  std::deque<Packet> released_;
};

}  // namespace masqgate::fragment
