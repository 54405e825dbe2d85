// Policy routing as Linux does it (ip-rule(8), ip-route(8)): rules in the order of their priority,
// each naming a table; in a table the longest prefix, then the type of service, then the lowest
// metric.
//
// Control mirrors the kernel's rules and routes into a Table and hands it to the shards; it never
// changes again. lookup() allocates nothing. Next hops that are down are not given in at all.
// Expired routes, source-specific IPv6 routes and VRFs are control's business.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/net/endpoint.hpp"
#include "daemon/net/prefix.hpp"
#include "daemon/packet/packet.hpp"
#include "daemon/route/prefix_ranges.hpp"

namespace masqgate::route {

// RTN_* of the kernel, and none for "no route at all".
enum class Kind : std::uint8_t {
  unicast,
  local,
  broadcast,
  multicast,
  blackhole,
  unreachable,
  prohibit,
  throw_,  // this table does not know: go on with the next rule
  none,
};

// The kernel's own tables.
inline constexpr std::uint32_t kDefaultTable = 253, kMainTable = 254, kLocalTable = 255;

struct NextHop {
  PortIndex egress = kNoPort;               // kNoPort: an interface that is not masqgate's
  std::optional<net::IpAddress> gateway{};  // of either family (RFC 8950); empty: on link
  unsigned weight = 1;                      // 0 counts as 1
};

struct Route {
  net::Prefix destination;
  std::uint32_t table = kMainTable;
  Kind kind = Kind::unicast;
  std::uint32_t metric = 0;
  std::uint8_t tos = 0;  // 0: any
  std::optional<net::IpAddress> preferred_source{};
  unsigned mtu = 0;                  // bytes; 0: the egress port's
  std::vector<NextHop> next_hops{};  // more than one: shared by weight, a flow stays with one
};

// A rule matches if all its selectors do, or, inverted, if one of them does not.
struct Rule {
  enum class Action : std::uint8_t { lookup, go_to, nop, blackhole, unreachable, prohibit };

  net::Family family = net::Family::v4;
  std::uint32_t priority = 0;  // equal ones are walked in the order given
  std::optional<net::Prefix> from{}, to{};
  std::optional<PortIndex> ingress{};  // kNoPort: an interface that is not masqgate's
  std::uint32_t mark = 0, mark_mask = 0;
  std::uint8_t tos = 0;  // 0: any
  std::optional<net::Protocol> protocol{};
  std::optional<net::PortRange> source_ports{}, destination_ports{};
  // There is one more selector, which no forwarded packet meets: an outgoing interface, a user, a
  // tunnel key.
  bool unmeetable = false;
  bool invert = false;

  Action action = Action::lookup;
  std::uint32_t table = kMainTable;  // of lookup
  std::uint32_t target = 0;          // of go_to: a higher priority; without such a rule, a nop
  // A route as short as this, or shorter, does not count as found: "suppress_prefixlength 0" looks
  // for all but default routes.
  std::optional<unsigned> suppress_prefix_length{};
};

// What the kernel starts with: local, main, and for IPv4 default.
std::vector<Rule> default_rules();

struct Query {
  net::IpAddress source{};
  net::IpAddress destination{};
  PortIndex ingress = kNoPort;
  std::uint32_t mark = 0;
  std::uint8_t tos = 0;
  net::Protocol protocol{};
  net::Port source_port = 0;
  net::Port destination_port = 0;
};

struct Decision {
  Kind kind = Kind::none;  // never throw_
  PortIndex egress = kNoPort;
  net::IpAddress next_hop{};  // the gateway, or the destination itself where it is on link
  std::optional<net::IpAddress> preferred_source{};
  unsigned mtu = 0;

  bool operator==(const Decision&) const = default;
};

class Table {
 public:
  Table() = default;  // knows no route
  Table(std::vector<Route> routes, std::vector<Rule> rules);

  Decision lookup(const Query& query) const noexcept;
  // Whether the route that is found has a next hop behind this port (RFC 3704).
  bool leads_to(PortIndex port, const Query& query) const noexcept;
  // Whether two packets of one flow may differ in their route by their type of service.
  bool looks_at_tos() const noexcept { return looks_at_tos_; }

  // By family, table, destination, and within one destination in the order of preference.
  const std::vector<Route>& routes() const { return routes_; }
  // By family and priority.
  const std::vector<Rule>& rules() const { return rules_; }

 private:
  // The routes to one destination in one kernel table: [first, last) in routes_.
  struct Group {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
  };
  // One kernel table of one family.
  struct Fib {
    net::Family family{};
    std::uint32_t number = 0;
    PrefixRanges ranges;
    std::vector<Group> groups;  // one for each prefix of ranges
  };
  // Where a rule leads, found out once: an index into fibs_ or rules_.
  struct Way {
    std::size_t fib = 0;
    std::size_t target = 0;
  };

  void build_fibs();
  std::uint32_t group_end(std::uint32_t first) const;
  std::size_t find_fib(net::Family family, std::uint32_t number) const;
  std::size_t find_target(const Rule& rule) const;
  const Route* search(const Fib& fib, const Query& query) const noexcept;
  // What the rules lead to: a route, or without one what they answer themselves.
  struct Found {
    const Route* route = nullptr;
    Kind kind = Kind::none;
  };
  Found find(const Query& query) const noexcept;
  // The route a matching rule leads to; null if the next rule is to be asked.
  const Route* follow(std::size_t rule, const Query& query) const noexcept;

  std::vector<Route> routes_;
  std::vector<Rule> rules_;
  std::vector<Way> ways_;  // one for each rule
  std::vector<Fib> fibs_;  // by family and number
  bool looks_at_tos_ = false;
  std::size_t first_v6_rule_ = 0;  // rules of IPv4 stand before it
};

}  // namespace masqgate::route
