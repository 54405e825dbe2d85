// Which inside endpoint stands behind which outside endpoint, how a new one is chosen, and who may
// come in by it.
//
// A mapping is the ring of connections that share both endpoints; indices know one of them. So a
// mapping costs no record of its own, lives as long as its last connection, and is found again
// after a restart by looking at the connections. Each connection remembers the scopes that it was
// made with (Connection::kMapped… and kFilter…), so that a reload never changes a mapping (U-13).
//
// The router's own connections hold their endpoints too (M9): no masqueraded port ever equals one.

#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "daemon/base/hash_index.hpp"
#include "daemon/base/random.hpp"
#include "daemon/conntrack/table.hpp"
#include "daemon/nat/portfw.hpp"
#include "daemon/nat/resting_ports.hpp"
#include "daemon/nat/rules.hpp"
#include "daemon/nat/used_ports.hpp"

namespace masqgate::nat {

// The two ends of a translated connection as the outside and the inside see them, and the peer.
net::Endpoint outside_of(const conntrack::Connection& connection);
net::Endpoint inside_of(const conntrack::Connection& connection);
net::Endpoint peer_of(const conntrack::Connection& connection);

// Where a connection may appear outside.
struct Outside {
  std::span<const AddressRange> addresses;
  net::PortRange ports{0, 0};                   // 0 to 0: the class of the inside port
  PortIndex egress = kNoPort;                   // where it leaves
  const Rules* rules = nullptr;                 // whose forwards keep their ports
  const PortForwards* port_forwards = nullptr;  // they too
  bool may_take_port = true;                    // false: only a mapping that is there will do
};

// Outside endpoints that somebody has promised to others: no new mapping stands there.
class Reserved {
 public:
  virtual bool is_reserved(net::Protocol protocol, net::Endpoint outside) const noexcept = 0;
  // The one that was promised to this inside endpoint.
  virtual std::optional<net::Endpoint> promised_to(net::Protocol protocol,
                                                   net::Endpoint inside) const noexcept = 0;

 protected:
  ~Reserved() = default;
};

class Mappings {
 public:
  static constexpr net::Port kClassicFirst = 61000, kClassicEnd = 65096;
  static constexpr std::size_t kClassicMost = 40960;  // per protocol: 4096 ports, tenfold use

  // Counts adopted connections of the table in.
  Mappings(conntrack::Table& table, Random random);

  // Chooses the outside endpoint of a new connection and writes it into connection.reply. Says why
  // if there is none.
  std::optional<DropReason> choose(conntrack::Connection& connection, const Outside& outside,
                                   const Behaviour& behaviour);

  // A new connection from a stranger to an outside endpoint: if a mapping is there and its filter
  // lets this peer in (an insider always: filters are against the outside), the inside endpoint
  // becomes connection.reply's source.
  bool admit(conntrack::Connection& connection, bool from_inside) const;

  // What rests does so from here on (C-10). To be told often: this is the clock of the rests.
  void tell_time(Time now) { resting_->tell_time(now); }

  // The connection entered the table, or left it. True if a mapping began or ended with it.
  bool hold(const conntrack::Connection& connection);
  bool release(const conntrack::Connection& connection);

  // Whether this is the one connection of its mapping by which the mapping is found.
  bool leads(const conntrack::Connection& connection) const;
  void set_reserved(const Reserved* reserved) { reserved_ = reserved; }
  // An outside endpoint that nobody has: this one, or another port of the same address and parity,
  // and as many behind it. outside: whose forwards keep their ports.
  struct Wish {
    net::PortRange range{1024, 65535};
    unsigned count = 1;
    bool exactly = false;  // no other port will do
  };
  std::optional<net::Endpoint> find_free(net::Protocol protocol, net::Endpoint wanted,
                                         const Outside& outside, const Wish& wish);
  // Where an inside endpoint stands at this outside address, with a mapping made like that
  // (Connection::kMapped… and kFilter…) whoever the peer is.
  std::optional<net::Endpoint> find_mapped(net::Protocol protocol, net::Endpoint inside,
                                           net::IpAddress outside, std::uint16_t flags) const;

  // What mappings add to the memory of each connection: one of a ring is in both indices of rings,
  // the others are in the one of peers instead, which is smaller.
  double bytes_per_connection() const {
    return static_cast<double>(outside_.bytes() + inside_.bytes()) /
               static_cast<double>(table_.capacity()) +
           sizeof(Links);
  }

  // Each mapping is a ring of records with one that leads it: so who looks at all records counts each
  // mapping once. Both only for records that are held.
  bool leads(std::uint32_t record) const;
  std::uint32_t next_of_ring(std::uint32_t record) const { return links_[record].next; }

  // free=… of /proc/net/ip_masquerade.
  std::size_t classic_free(net::Protocol protocol) const;

 private:
  using Connection = conntrack::Connection;
  struct Links {
    std::uint32_t next;
    std::uint32_t previous;
  };

  std::uint32_t hash_outside(net::Protocol protocol, net::Endpoint outside) const;
  std::uint32_t hash_inside(const Connection& connection) const;
  std::uint32_t hash_peer(const Connection& connection) const;
  void insert(std::uint32_t record);
  bool erase(std::uint32_t record);
  template <typename Objects>
  bool is_held(net::Protocol protocol, net::Endpoint outside, Objects&& objects) const;
  std::optional<net::Endpoint> mapped(const Connection& connection, const Outside& outside) const;
  std::optional<net::Endpoint> promised(const Connection& connection, const Outside& outside) const;
  std::optional<std::uint32_t> ring_of(const Connection& connection) const;
  static void join(Connection& connection, const Connection& holder);
  void end_ring(const Connection& connection);
  bool has_spoken_to(const Connection& holder, net::IpAddress peer) const;
  bool lets_in(const Connection& holder, net::IpAddress peer) const;
  bool fits(Connection& connection, net::Endpoint outside, const Outside& given) const;
  bool take(Connection& connection, net::Endpoint outside) const;
  bool is_promised(net::Protocol protocol, net::Endpoint outside, const Outside& given) const;
  net::IpAddress pick_address(const Connection& connection, const Outside& outside,
                              const Behaviour& behaviour);
  std::optional<DropReason> choose_port(Connection& connection, net::IpAddress address,
                                        const Outside& outside, const Behaviour& behaviour);
  std::optional<DropReason> choose_rested(Connection& connection, net::IpAddress address,
                                          const Outside& outside, const Behaviour& behaviour);
  std::optional<DropReason> choose_random(Connection& connection, net::IpAddress address,
                                          net::PortRange range, const Outside& outside,
                                          bool parity);
  std::optional<DropReason> choose_next(Connection& connection, net::Endpoint from,
                                        net::PortRange range, const Outside& outside,
                                        unsigned step);
  std::optional<DropReason> choose_classic(Connection& connection, net::IpAddress address,
                                           const Outside& outside);
  std::size_t* classic_count(net::Protocol protocol);

  conntrack::Table& table_;
  Random random_;
  HashIndex outside_;  // one connection of each ring, by protocol and outside endpoint
  HashIndex inside_;   // the same by inside endpoint, and the peer's address where that counts
  HashIndex peers_;    // where mappings filter by address: the ring's others, by endpoint and peer
  UsedPorts used_ports_;
  std::unique_ptr<RestingPorts> resting_;
  std::unique_ptr<Links[]> links_;
  const Reserved* reserved_ = nullptr;
  bool ports_rest_ = true;  // false while nothing else is left
  net::Port classic_next_ = kClassicFirst;
  std::array<std::size_t, 3> classic_used_{};  // udp, tcp, icmp, as the file's header counts them
};

}  // namespace masqgate::nat
