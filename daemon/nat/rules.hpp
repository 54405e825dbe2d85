// The translation rules: which packets get another source or destination, and which one.
//
// Immutable, part of the policy. The first rule that fits a connection's first packet counts.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/nat/behaviour.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/net/prefix.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::nat {

// Addresses of one family from first to last.
struct AddressRange {
  net::IpAddress first;
  net::IpAddress last;

  // At most 2^32, whatever the family.
  std::uint64_t size() const;
  // The index counts from first, below size().
  net::IpAddress at(std::uint64_t index) const;
  bool contains(net::IpAddress address) const;
  friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

// Host bits of `address` in the network `to`: both prefixes have the same length.
net::IpAddress map_network(net::IpAddress address, const net::Prefix& to);

// Which packets a rule means: by the tuple that they have when they reach its stage.
struct Selector {
  std::optional<net::Prefix> source;
  std::optional<net::Prefix> destination;
  std::optional<net::Protocol> protocol;
  net::PortRange destination_ports;  // all, for protocols without ports too

  bool fits(const Tuple& tuple) const;
  friend bool operator==(const Selector&, const Selector&) = default;
};

// For what leaves through a port.
struct SourceRule {
  enum class Kind : std::uint8_t {
    masquerade,  // the port's own address
    pool,        // an address of the pool
    network,     // 1:1, the host bits stay
    none,        // stays as it is: excluded from the rules behind
  };
  Kind kind = Kind::masquerade;
  PortIndex egress = kNoPort;
  Selector selector;
  std::vector<AddressRange> pool;
  net::PortRange ports{0, 0};  // of the outside endpoint; 0 to 0: the class of the inside port
  net::Prefix network;
  Behaviour behaviour;
  std::uint8_t timeout_set = 0;  // of conntrack::RuleTimeouts
  std::uint16_t number = 0;      // of the rule in the document, for its counter
};

// For what comes in by a port, or is sent to an address of a port.
struct DestinationRule {
  enum class Kind : std::uint8_t {
    forward,   // to a host, or to one of several in turn by their hash
    redirect,  // to the router itself
    network,   // 1:1, the host bits stay
  };
  Kind kind = Kind::forward;
  PortIndex ingress = kNoPort;  // kNoPort: any
  PortIndex owner = kNoPort;    // the destination must be an address of this port; kNoPort: any
  Selector selector;
  AddressRange to;
  net::PortRange ports{0, 0};  // 0 to 0: the port stays; else counted from the selector's first
  net::Prefix network;
  std::uint16_t number = 0;
};

struct Rules {
  std::vector<SourceRule> source;
  std::vector<DestinationRule> destination;
  bool loose_udp = false;  // ip_masq_udp_dloose
  // By number: of all that a rule says. One that stays the same goes on with what it has counted.
  std::vector<std::uint64_t> fingerprints;

  // Null if nothing fits.
  const SourceRule* source_for(PortIndex egress, const Tuple& tuple) const;
  // owner: the port that has the packet's destination address, if one has.
  const DestinationRule* destination_for(PortIndex ingress, PortIndex owner,
                                         const Tuple& tuple) const;
  // How the rule behaves for a new connection of this protocol: UDP of rules with the ports of
  // Linux 2.2 is loose where that is asked for.
  Behaviour behaviour_for(const SourceRule& rule, net::Protocol protocol) const {
    const bool loose =
        loose_udp && protocol == net::Protocol::udp && rule.behaviour.ports == PortChoice::classic;
    return loose ? loosened(rule.behaviour) : rule.behaviour;
  }
  // Whether a forward takes what comes in by this port (kNoPort: by any) to this endpoint (P-02):
  // no mapping may stand there.
  bool is_forwarded(PortIndex ingress, net::Protocol protocol, net::Endpoint outside) const;
};

}  // namespace masqgate::nat
