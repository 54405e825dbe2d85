// What each host inside holds: sessions, outside ports, and how fast it begins new ones; and how many
// it may (RFC 6888 REQ-3 to REQ-5; K-18: a scan takes no more than one host's share).
//
// A host is an IPv4 address or an IPv6 network, a /64 unless told otherwise. There are records for
// kMost of them; hosts beyond share one. A record lives as long as its host holds anything.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/base/hash_index.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/net/prefix.hpp"
#include "daemon/packet/verdict.hpp"

namespace masqgate::nat {

// Of each host; 0: as many as it likes.
struct HostLimits {
  std::uint32_t sessions = 0;
  std::uint32_t ports = 0;          // outside endpoints, of all protocols together
  std::uint32_t per_second = 0;     // new sessions, and as many at once
  unsigned prefix_v6 = 64;          // bits of an IPv6 address that name a host
  std::vector<net::Prefix> except;  // these have no limits

  bool holds_for(net::IpAddress address) const;
};

struct Host {
  net::IpAddress address;  // the network's first
  std::uint32_t sessions = 0;
  std::uint32_t ports = 0;
  std::uint64_t refused = 0;  // new sessions and ports beyond the limits
  Time full{};                // when it may begin per_second of them at once again
};

class Hosts {
 public:
  static constexpr std::uint32_t kMost = 65536;

  Hosts(HashKey key, std::size_t most_connections);

  // Why this host may not begin another session now; empty if it may.
  std::optional<DropReason> objection(net::IpAddress address, const HostLimits& limits, Time now);
  bool may_take_port(net::IpAddress address, const HostLimits& limits) const;
  // It wanted one all the same.
  void refuse_port(net::IpAddress address, unsigned prefix_v6);

  void take_session(net::IpAddress address, const HostLimits& limits, Time now);
  void release_session(net::IpAddress address, unsigned prefix_v6);
  void take_port(net::IpAddress address, unsigned prefix_v6);
  void release_port(net::IpAddress address, unsigned prefix_v6);
  void clear();

  std::size_t size() const { return index_.size(); }
  // The records from..to of all; those that hold nothing are free. The first is what all share that
  // found no record.
  std::span<const Host> records() const { return {hosts_.get(), untouched_}; }
  std::size_t bytes() const { return index_.bytes() + (most_ + 1) * sizeof(Host); }

  // The last hosts that were refused anything, the latest first; for whoever writes the log.
  static constexpr std::size_t kOffenders = 8;
  const std::array<net::IpAddress, kOffenders>& offenders() const { return offenders_; }

 private:
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(Host* hosts) const { unmap(hosts, bytes); }
  };

  std::uint32_t hash(net::IpAddress host) const;
  Host* find(net::IpAddress host) const;
  Host& find_or_shared(net::IpAddress address, unsigned prefix_v6);
  Host& find_or_make(net::IpAddress address, unsigned prefix_v6);
  template <std::uint32_t Host::*member>
  void release(net::IpAddress address, unsigned prefix_v6);
  void refuse(Host& host, net::IpAddress address);

  HashKey key_;
  std::uint32_t most_;
  HashIndex index_;  // of all records but the shared one
  std::unique_ptr<Host[], Unmap> hosts_;
  std::vector<std::uint32_t> free_;
  std::uint32_t untouched_ = 1;  // 0: shared
  std::array<net::IpAddress, kOffenders> offenders_{};
};

}  // namespace masqgate::nat
