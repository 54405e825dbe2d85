// Which inside endpoint stands behind which outside endpoint, and how a new one is chosen.
//
// A mapping is the ring of connections that share both endpoints; both indices know one of them. So
// a mapping costs no record of its own, lives as long as its last connection, and is found again
// after a restart by looking at the connections. Two ways to choose a port:
//
//   rfc      RFC 4787, 5382, 5508: one outside endpoint per inside endpoint whatever the peer
//            (U-01), never shared by two (U-03, T-10); the port is kept if it is free, else random
//            (RFC 6056) in the same class (U-04) and with the same parity (U-05).
//   classic  Linux 2.2 (history 2.1): 61000 to 65095 by one counter for all protocols; a port
//            serves again where the peer differs; at most 40,960 entries per protocol.
//
// The router's own connections hold their endpoints too (M9): no masqueraded port ever equals one.

#pragma once

#include <array>
#include <memory>
#include <optional>

#include "daemon/base/hash_index.hpp"
#include "daemon/base/random.hpp"
#include "daemon/conntrack/table.hpp"
#include "daemon/net/prefix.hpp"

namespace masqgate::nat {

enum class PortAllocation : std::uint8_t { rfc, classic };

// Masquerade what leaves through this port and comes from this network; the first rule that fits
// counts.
struct MasqueradeRule {
  PortIndex egress = kNoPort;
  net::Prefix source;
  PortAllocation allocation = PortAllocation::rfc;
};

class Mappings {
 public:
  static constexpr net::Port kClassicFirst = 61000, kClassicEnd = 65096;
  static constexpr std::size_t kClassicMost = 40960;  // per protocol: 4096 ports, tenfold use

  // Counts adopted connections of the table in.
  Mappings(conntrack::Table& table, Random random);

  // Chooses the outside endpoint of a new connection for this outside address and writes it into
  // connection.reply. Says why if there is none.
  std::optional<DropReason> choose(conntrack::Connection& connection, net::IpAddress outside,
                                   PortAllocation allocation);

  // The connection entered the table, or left it.
  void hold(const conntrack::Connection& connection);
  void release(const conntrack::Connection& connection);

  // free=… of /proc/net/ip_masquerade.
  std::size_t classic_free(net::Protocol protocol) const;

 private:
  using Connection = conntrack::Connection;
  struct Links {
    std::uint32_t next;
    std::uint32_t previous;
  };

  std::uint32_t hash_outside(net::Protocol protocol, net::Endpoint outside) const;
  std::uint32_t hash_inside(net::Protocol protocol, net::Endpoint inside,
                            net::IpAddress outside) const;
  void insert(std::uint32_t record);
  bool erase(std::uint32_t record);
  template <typename Objects>
  bool is_held(const Connection& connection, net::Endpoint outside, Objects&& objects) const;
  std::optional<std::uint32_t> mapped(const Connection& connection, net::IpAddress outside) const;
  std::optional<std::uint32_t> ring_of(const Connection& connection) const;
  bool fits(Connection& connection, net::Endpoint outside, bool may_share) const;
  std::optional<DropReason> choose_rfc(Connection& connection, net::IpAddress outside);
  std::optional<DropReason> choose_classic(Connection& connection, net::IpAddress outside);
  std::size_t* classic_count(net::Protocol protocol);

  conntrack::Table& table_;
  Random random_;
  HashIndex outside_;
  HashIndex inside_;
  std::unique_ptr<Links[]> links_;
  net::Port classic_next_ = kClassicFirst;
  std::array<std::size_t, 3> classic_used_{};  // udp, tcp, icmp, as the file's header counts them
};

}  // namespace masqgate::nat
