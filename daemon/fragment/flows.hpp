// Which datagram a fragment belongs to: virtual reassembly (RFC 3022 6.3, RFC 4787 REQ-14).
//
//   first fragment ──▶ its ports are noted ──▶ walks on, and so does whoever waited for it
//   later fragment ──▶ ports known? ── yes ──▶ walks on with them
//                          └── no ──▶ waits a little for the first one
//
// Only the first fragment has ports, and rules, tracking and translation ask for them. Nothing is
// put together: each fragment passes as it came, boundaries and all, in whatever order. Both
// the notes and the packets that wait are bounded, so that floods of fragments cost others nothing
// (U-20).

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "daemon/base/hash_index.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::fragment {

class Flows {
 public:
  static constexpr std::size_t kMostNotes = 4096;      // datagrams; the oldest note gives way
  static constexpr std::size_t kMostWaiting = 48;      // packets, over all datagrams
  static constexpr std::size_t kMostWaitingEach = 45;  // of one datagram: 64 KB at an MTU of 1500
  static constexpr Duration kNoteLife = std::chrono::seconds{30};  // F-08
  static constexpr Duration kWait = std::chrono::seconds{2};       // for the first fragment

  explicit Flows(HashKey key);

  enum class Fate : std::uint8_t {
    known,    // packet.tuple has its ports now: walk on
    parked,   // the packet waits here
    refused,  // too many wait already
  };
  // For a fragment, first or later.
  Fate pass(Packet& packet, Time now);
  // Packets whose first fragment has come; call until empty after a first fragment has walked.
  std::optional<Packet> unpark();
  // Packets that waited in vain; call until empty now and then.
  std::optional<Packet> give_up(Time now);
  std::size_t waiting() const { return waiting_.size() + released_.size(); }

 private:
  struct Key {
    net::IpAddress source;
    net::IpAddress destination;
    std::uint32_t identification = 0;
    net::Protocol protocol{};
    bool operator==(const Key&) const = default;
  };
  struct Note {
    Key key;
    net::Port source_port = 0;
    net::Port destination_port = 0;
    std::uint8_t is_icmp_reply = 0;
    Time until{};
  };
  struct Waiting {
    Key key;
    Time since{};
    Packet packet;
  };

  static Key key_of(const Packet& packet);
  std::uint32_t hash(const Key& key) const;
  std::optional<std::uint32_t> find(const Key& key) const;
  void note(const Key& key, const Packet& first, Time now);
  void release(const Key& key);

  HashKey key_;
  HashIndex index_;
  std::vector<Note> notes_;
  std::size_t next_note_ = 0;
  std::deque<Waiting> waiting_;
  std::deque<Packet> released_;
};

}  // namespace masqgate::fragment
