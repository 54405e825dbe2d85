// The next hops of one shard: their link-layer addresses as Linux knows them, and the packets that
// wait.
//
//             ask                    Linux answers
//   (none) ────────▶ unresolved ────────────────────▶ usable ◀──────▶ stale (usable, to be asked
//   about)
//                        │ Linux gives up                │ Linux forgets or gives up
//                        └──────────▶ failed ◀───────────┘
//
// Linux does ARP and ND; this table mirrors its answers and asks it (through Asker) when a packet
// needs a next hop. A bounded number of packets waits for each answer (R-28, K-24); the rest is
// dropped by name.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "daemon/base/hash_index.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::neighbour {

enum class State : std::uint8_t { unresolved, usable, stale, failed };

// Asks Linux to resolve or confirm a next hop. Called on the packet path: must not wait.
class Asker {
 public:
  virtual void ask(PortIndex port, net::IpAddress address) noexcept = 0;

 protected:
  ~Asker() = default;
};

struct Neighbour {
  net::IpAddress address;
  PortIndex port = kNoPort;
  State state = State::unresolved;
  bool was_usable = false;   // some short cut may point here
  std::uint8_t waiting = 0;  // packets parked for it
  net::MacAddress mac{};
  Time asked{};        // when Linux was last asked
  Time waits_since{};  // the oldest packet, if any waits
};

class Table {
 public:
  static constexpr std::size_t kMost = 16384;      // entries
  static constexpr std::size_t kMostWaiting = 64;  // packets, over all entries
  static constexpr std::uint8_t kMostWaitingEach =
      8;  // packets for one next hop: R-28 asks for one
  static constexpr Duration kAskAgain = std::chrono::seconds{1};
  static constexpr Duration kGiveUp = std::chrono::seconds{5};    // without any word from Linux

  Table(HashKey key, Asker& asker);

  // The entry of this next hop, made if it is missing; asks Linux where that is due. Empty if all
  // entries are in use.
  std::optional<std::uint32_t> resolve(PortIndex port, net::IpAddress address, Time now);
  const Neighbour& at(std::uint32_t entry) const { return entries_[entry]; }

  // Parks the packet until the entry is usable or failed; false if too many wait already (the
  // packet is then still the caller's).
  bool park(std::uint32_t entry, Packet& packet);
  // A packet that waits no longer, oldest first; call until empty after update() or expire().
  std::optional<Packet> unpark();
  std::size_t waiting() const { return waiting_.size() + released_.size(); }

  // What Linux says. An empty mac means that it does not know (any more).
  void update(PortIndex port, net::IpAddress address, std::optional<net::MacAddress> mac,
              State state);
  // Linux starts over: everything is unknown until told again, parked packets stay.
  void forget_all();
  // Asks Linux again for what waits, and fails what waits for longer than kGiveUp.
  void expire(Time now);

  // Grows when an entry that short cuts may point at got another meaning.
  std::uint32_t generation() const { return generation_; }
  const std::vector<Neighbour>& entries() const { return entries_; }

 private:
  std::uint32_t hash(PortIndex port, net::IpAddress address) const;
  std::optional<std::uint32_t> find(PortIndex port, net::IpAddress address) const;
  std::optional<std::uint32_t> add(PortIndex port, net::IpAddress address);
  std::optional<std::uint32_t> reusable();
  void release(std::uint32_t entry);

  HashKey key_;
  Asker& asker_;
  HashIndex index_;
  std::vector<Neighbour> entries_;
  std::uint32_t reuse_cursor_ = 0;
  std::uint32_t generation_ = 1;
  std::deque<Packet> waiting_;  // packet.neighbour says for whom
  std::deque<Packet> released_;
};

}  // namespace masqgate::neighbour
