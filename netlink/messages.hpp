// What the kernel tells about links, addresses, routes, rules and neighbours, as values (RFC 3549,
// rtnetlink(7)).
//
// Bytes become values here and nowhere else; every length is checked, because a value that was read
// past its end would steer packets. Not told: bridge forwarding entries, cached routes, and
// whatever stands in ::ffff:0:0/96, which never goes over a wire (RFC 4291 2.5.5.2).

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/net/endpoint.hpp"
#include "daemon/net/mac_address.hpp"
#include "daemon/net/prefix.hpp"

namespace masqgate::netlink {

using Bytes = std::span<const std::uint8_t>;
using Message = std::vector<std::uint8_t>;  // one netlink message, header included

// Tables the kernel numbers by itself (rtnetlink(7)); others are the administrator's.
inline constexpr std::uint32_t kTableDefault = 253;
inline constexpr std::uint32_t kTableMain = 254;
inline constexpr std::uint32_t kTableLocal = 255;

struct Link {
  std::uint32_t index = 0;
  std::string name;
  std::optional<net::MacAddress> mac;  // a TUN has none
  std::uint32_t mtu = 0;
  std::uint32_t queue_length = 0;  // txqueuelen
  bool up = false;                 // wanted up by the administrator
  bool running = false;            // up, with carrier
  std::uint32_t master = 0;        // index of the bridge or bond it belongs to; 0 for none
  std::string kind;                // "bridge", "veth", "tun" …; empty for hardware
  bool deleted = false;
  bool operator==(const Link&) const = default;
};

// Where an address or a destination is meaningful; other numbers are the administrator's.
enum class Scope : std::uint8_t {
  universe = 0,
  site = 200,
  link = 253,
  host = 254,
  nowhere = 255,
};

struct Address {
  std::uint32_t ifindex = 0;
  net::InterfaceAddress address;
  std::optional<net::IpAddress> peer;  // of a point-to-point address: the network is the peer's
  std::optional<net::IpAddress> broadcast;
  Scope scope = Scope::universe;
  std::string label;            // IPv4 only: "eth0:1"
  bool tentative = false;       // duplicate address detection runs (RFC 4862 5.4)
  bool duplicate = false;       // … and found another owner
  bool deprecated = false;      // not for new connections
  bool secondary = false;       // of IPv4: not the first of its network; of IPv6: temporary
  bool permanent = false;       // has no lifetime
  bool autoconfigured = false;  // of IPv6: temporary addresses are made from its prefix (RFC 8981)
  bool deleted = false;
  bool operator==(const Address&) const = default;
};

// Numbers are the kernel's (RTN_*).
enum class RouteType : std::uint8_t {
  unspecified = 0,
  unicast = 1,
  local = 2,
  broadcast = 3,
  anycast = 4,
  multicast = 5,
  blackhole = 6,
  unreachable = 7,
  prohibit = 8,
  throw_out = 9,  // this table has no answer, the next rule is asked
};

// Who made a route; other numbers belong to routing daemons.
enum class RouteOrigin : std::uint8_t {
  unspecified = 0,
  redirect = 1,
  kernel = 2,
  boot = 3,
  administrator = 4,  // RTPROT_STATIC
  router_advertisement = 9,
};

struct NextHop {
  std::optional<net::IpAddress> gateway;  // may be IPv6 for an IPv4 destination (RFC 8950)
  std::uint32_t ifindex = 0;
  std::uint32_t weight = 1;
  bool onlink = false;  // the gateway is a neighbour even if no route says so
  bool operator==(const NextHop&) const = default;
};

struct Route {
  net::Prefix destination;
  std::optional<net::Prefix> source;  // IPv6 routes may also match on the source
  std::uint32_t table = kTableMain;
  RouteType type = RouteType::unicast;
  RouteOrigin origin = RouteOrigin::administrator;
  Scope scope = Scope::universe;
  std::uint32_t metric = 0;  // the smaller wins
  std::uint8_t tos = 0;      // IPv4 routes may also match on TOS
  std::optional<net::IpAddress> preferred_source;
  std::uint32_t mtu = 0;  // 0: the link's
  std::vector<NextHop> next_hops;
  std::uint32_t next_hop_object = 0;  // `ip nexthop` id the next hops were taken from, or 0
  // Needs what user space has not: an encapsulation, or a next hop object that the kernel does not
  // spell out because net.ipv4.nexthop_compat_mode is 0.
  bool unsupported = false;
  bool deleted = false;
  bool operator==(const Route&) const = default;
};

// Numbers are the kernel's (FR_ACT_*).
enum class RuleAction : std::uint8_t {
  none = 0,
  to_table = 1,
  go_to = 2,
  nothing = 3,
  blackhole = 6,
  unreachable = 7,
  prohibit = 8,
};

// One line of `ip rule`. Ranges hold both their ends.
struct Rule {
  net::Family family = net::Family::v4;
  std::uint32_t priority = 0;  // the smaller is asked first
  RuleAction action = RuleAction::to_table;
  std::uint32_t table = 0;  // of to_table
  std::uint32_t go_to = 0;  // of go_to: the priority asked next
  bool inverted = false;    // "not"
  std::optional<net::Prefix> source;
  std::optional<net::Prefix> destination;
  std::string in_link;   // iif, by name: the link need not exist
  std::string out_link;  // oif
  std::uint32_t mark = 0;
  std::uint32_t mask = 0;
  std::uint8_t tos = 0;
  std::optional<std::uint32_t> suppress_prefix_length;  // answers this short are no answers
  std::optional<std::uint32_t> suppress_group;
  bool l3mdev = false;           // the table is that of the link's VRF
  std::uint8_t ip_protocol = 0;  // 0: any
  std::optional<net::PortRange> source_ports;
  std::optional<net::PortRange> destination_ports;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> uids;
  bool unsupported = false;  // matches on something that is not in this list
  bool deleted = false;
  bool operator==(const Rule&) const = default;
};

// RFC 4861 7.3.2; the numbers are the kernel's bits (NUD_*).
enum class NeighbourState : std::uint8_t {
  none = 0,
  incomplete = 0x01,
  reachable = 0x02,
  stale = 0x04,
  delay = 0x08,
  probe = 0x10,
  failed = 0x20,
  noarp = 0x40,
  permanent = 0x80,
};

struct Neighbour {
  std::uint32_t ifindex = 0;
  net::IpAddress address;
  std::optional<net::MacAddress> mac;
  NeighbourState state = NeighbourState::none;
  bool router = false;  // RFC 4861 4.4
  bool proxy = false;   // answered for, not asked
  bool deleted = false;
  // The MAC may be written on frames; a stale one too, the kernel must then be asked to confirm it.
  bool usable() const {
    return mac && state != NeighbourState::none && state != NeighbourState::incomplete &&
           state != NeighbourState::failed;
  }
  bool operator==(const Neighbour&) const = default;
};

using Event = std::variant<Link, Address, Route, Rule, Neighbour>;

// One netlink message, header included. Empty for what is not told and for malformed bytes.
std::optional<Event> parse(Bytes message);

// How a message for the list of routes is meant; a dump only appends.
enum class Placement { first, last, instead };
Placement placement(Bytes message);

// Cuts the first message off `rest`; empty at the end and where the length field lies.
Bytes next_message(Bytes& rest);

// The user of the socket in an answer of the kernel's; none where it is no such answer, or where
// the socket belongs to nobody: a handshake of a listener, a connection that rests in TIME_WAIT.
std::optional<std::uint32_t> parse_socket_owner(Bytes message);

std::string text(const Address& address);  // "192.0.2.1/24"
std::string text(const Route& route);      // "192.0.2.0/24 via 198.51.100.1 metric 100"

}  // namespace masqgate::netlink
