// Outside addresses that ports had and have no more: translated connections still stand behind them,
// and ip_dynaddr says what becomes of these (nat/dynaddr.hpp).
//
//   a port loses an address ──▶ lost ──▶ a port has it again: all go on
//                                  └───▶ its port has another one: who may moves with the next packet
//                                        from inside, or is swept away if none comes
//
// Owned by the shard; changes between two bursts.

#pragma once

#include <optional>
#include <vector>

#include "daemon/conntrack/table.hpp"
#include "daemon/path/policy.hpp"

namespace masqgate::path {

// A connection that begins anew behind another address: for the log.
struct Move {
  net::Protocol protocol{};
  net::IpAddress from;
  net::IpAddress to;
};

class LostAddresses {
 public:
  static constexpr std::size_t kMost = 32;       // each packet of the corridor looks at all
  static constexpr std::size_t kMostMoves = 64;  // that wait to be told

  explicit LostAddresses(conntrack::Table& table);

  // Between two policies.
  void update(const Policy& before, const Policy& now);
  bool empty() const { return lost_.empty(); }

  // Before tracking: why this packet may not leave, if so. Where its connection may move, that is
  // forgotten, and the packet will begin a new one.
  std::optional<DropReason> check(const Packet& packet, const Policy& policy);

  // Forgets connections that would have to move and do not speak; at most budget records.
  void sweep(const Policy& policy, std::uint32_t budget);

  // What has moved since the last call, if the policy asks for that.
  std::vector<Move> take_moves();

 private:
  struct Lost {
    net::IpAddress address;
    PortIndex port;  // whose it was
  };

  const Lost* find(net::IpAddress address) const;
  void add(Lost lost);
  void add_adopted(const Policy& now);
  void forget(net::IpAddress address);
  void move(conntrack::Connection& connection, const Lost& lost, const Policy& policy);
  static std::optional<net::IpAddress> successor(const Lost& lost, const Policy& policy);

  conntrack::Table& table_;
  std::vector<Lost> lost_;
  std::uint32_t swept_ = 0;  // records, since the last change
  std::vector<Move> moves_;
};

}  // namespace masqgate::path
