// What `ip` puts into the kernel comes out of netlink as the same value.

#include <doctest/doctest.h>

#include <algorithm>

#include "netlink/dump.hpp"
#include "netlink/mirror.hpp"
#include "tests/netlink/namespace.hpp"

using namespace masqgate;
using namespace masqgate::netlink;
using test::index_of;
using test::run;

namespace {

net::IpAddress ip(const char* text) {
  return *net::IpAddress::parse(text);
}

net::Prefix prefix(const char* text) {
  return *net::Prefix::parse(text);
}

Link link(const std::string& name) {
  for (const Link& one : fetch<Link>(List::links))
    if (one.name == name) return one;
  FAIL("no link " << name);
  return {};
}

std::vector<Route> routes(List list, std::uint32_t table) {
  auto all = fetch<Route>(list);
  std::erase_if(all, [&](const Route& r) { return r.table != table; });
  return all;
}

Route only_route(List list, const char* to, std::uint32_t table = kTableMain) {
  auto all = routes(list, table);
  std::erase_if(all, [&](const Route& r) { return r.destination != prefix(to); });
  REQUIRE(all.size() == 1);
  return all.front();
}

Address address(const char* text) {
  for (const Address& one : fetch<Address>(List::addresses))
    if (one.address.address == ip(text)) return one;
  FAIL("no address " << text);
  return {};
}

Rule rule(std::uint32_t priority, net::Family family = net::Family::v4) {
  const List list = family == net::Family::v4 ? List::rules_v4 : List::rules_v6;
  for (const Rule& one : fetch<Rule>(list))
    if (one.priority == priority) return one;
  FAIL("no rule " << priority);
  return {};
}

struct Fixture {
  test::Namespace own;
  Fixture() {
    test::make_veth("e0", "peer");
    run("ip addr add 192.0.2.1/24 dev e0");
    run("ip addr add 2001:db8::1/64 dev e0 nodad");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "links: name, MAC, MTU, queue, states, master, kind") {
  run("ip link add br0 type bridge");
  run("ip link set e0 master br0 mtu 1400 txqueuelen 77 address 02:00:00:00:00:07");
  const Link a = link("e0");
  CHECK(a.index == index_of("e0"));
  CHECK(a.mac == net::MacAddress::parse("02:00:00:00:00:07"));
  CHECK(a.mtu == 1400);
  CHECK(a.queue_length == 77);
  CHECK(a.up);
  CHECK(a.running);
  CHECK(a.master == index_of("br0"));
  CHECK(a.kind == "veth");
  CHECK_FALSE(link("br0").up);
  CHECK(link("br0").kind == "bridge");
  CHECK(link("lo").kind.empty());
  run("ip link set peer down");
  CHECK(link("e0").up);
  CHECK_FALSE(link("e0").running);
  run("ip tuntap add t0 mode tun");
  CHECK(link("t0").kind == "tun");
  CHECK_FALSE(link("t0").mac);
}

TEST_CASE_FIXTURE(Fixture, "addresses: both families, scope, flags, label, peer, broadcast") {
  run("ip addr add 192.0.2.9/24 dev e0 label e0:x");
  run("ip addr add 198.51.100.1 peer 198.51.100.2/32 dev e0 scope link");
  run("ip addr add 10.0.0.1/8 brd + dev e0 preferred_lft 0 valid_lft 100");
  run("ip addr add 2001:db8::2/64 dev peer");
  CHECK(address("192.0.2.1").address == *net::InterfaceAddress::parse("192.0.2.1/24"));
  CHECK(address("192.0.2.1").ifindex == index_of("e0"));
  CHECK(address("192.0.2.1").permanent);
  CHECK_FALSE(address("192.0.2.1").secondary);
  CHECK(address("192.0.2.9").secondary);
  CHECK(address("192.0.2.9").label == "e0:x");
  CHECK(address("198.51.100.1").peer == ip("198.51.100.2"));
  CHECK(address("198.51.100.1").scope == Scope::link);
  CHECK(address("10.0.0.1").broadcast == ip("10.255.255.255"));
  CHECK(address("10.0.0.1").deprecated);
  CHECK_FALSE(address("10.0.0.1").permanent);
  CHECK_FALSE(address("2001:db8::1").tentative);
  CHECK(address("2001:db8::2").tentative);
  CHECK(address("::1").scope == Scope::host);
}

TEST_CASE_FIXTURE(Fixture,
                  "routes: gateway, metric, source, MTU, TOS, table, origin, type, onlink") {
  run("ip route add 10.1.0.0/16 via 192.0.2.2 metric 50 src 192.0.2.1 mtu 1300 proto 99");
  run("ip route add 10.2.0.0/16 via 203.0.113.1 dev e0 onlink table 1000");
  run("ip route add 10.3.0.0/16 tos 0x10 dev e0");
  run("ip route add unreachable 10.4.0.0/16");
  run("ip route add prohibit 10.5.0.0/16");
  run("ip route add blackhole 10.6.0.0/16");
  run("ip route add throw 10.7.0.0/16");
  run("ip route add 10.8.0.0/16 via inet6 2001:db8::9 dev e0");
  run("ip -6 route add 2001:db8:1::/48 from 2001:db8:2::/48 via 2001:db8::9 metric 7");

  const Route first = only_route(List::routes_v4, "10.1.0.0/16");
  CHECK(first.next_hops == std::vector{NextHop{ip("192.0.2.2"), index_of("e0"), 1, false}});
  CHECK(first.metric == 50);
  CHECK(first.preferred_source == ip("192.0.2.1"));
  CHECK(first.mtu == 1300);
  CHECK(first.origin == static_cast<RouteOrigin>(99));
  CHECK(first.type == RouteType::unicast);
  const Route onlink = only_route(List::routes_v4, "10.2.0.0/16", 1000);
  CHECK(onlink.next_hops == std::vector{NextHop{ip("203.0.113.1"), index_of("e0"), 1, true}});
  const Route link_route = only_route(List::routes_v4, "10.3.0.0/16");
  CHECK(link_route.tos == 0x10);
  CHECK(link_route.scope == Scope::link);
  CHECK_FALSE(link_route.next_hops.at(0).gateway);
  CHECK(only_route(List::routes_v4, "10.4.0.0/16").type == RouteType::unreachable);
  CHECK(only_route(List::routes_v4, "10.5.0.0/16").type == RouteType::prohibit);
  CHECK(only_route(List::routes_v4, "10.6.0.0/16").type == RouteType::blackhole);
  CHECK(only_route(List::routes_v4, "10.7.0.0/16").type == RouteType::throw_out);
  CHECK(only_route(List::routes_v4, "10.8.0.0/16").next_hops.at(0).gateway == ip("2001:db8::9"));
  const Route sourced = only_route(List::routes_v6, "2001:db8:1::/48");
  CHECK(sourced.source == prefix("2001:db8:2::/48"));
  CHECK(sourced.metric == 7);
  CHECK(only_route(List::routes_v4, "192.0.2.1/32", kTableLocal).type == RouteType::local);
  CHECK(only_route(List::routes_v4, "192.0.2.255/32", kTableLocal).type == RouteType::broadcast);
}

TEST_CASE_FIXTURE(Fixture, "routes: several next hops, weights, next hop objects, encapsulation") {
  run("ip route add 10.1.0.0/16 nexthop via 192.0.2.2 weight 3 nexthop via 192.0.2.3 weight 200");
  run("ip -6 route add 2001:db8:1::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3 weight 9");
  const auto v4 = only_route(List::routes_v4, "10.1.0.0/16").next_hops;
  CHECK(v4 == std::vector{NextHop{ip("192.0.2.2"), index_of("e0"), 3, false},
                          NextHop{ip("192.0.2.3"), index_of("e0"), 200, false}});
  const auto v6 = only_route(List::routes_v6, "2001:db8:1::/48").next_hops;
  CHECK(v6 == std::vector{NextHop{ip("2001:db8::2"), index_of("e0"), 1, false},
                          NextHop{ip("2001:db8::3"), index_of("e0"), 9, false}});
  run("ip nexthop add id 5 via 192.0.2.4 dev e0");
  run("ip nexthop add id 6 via 192.0.2.5 dev e0");
  run("ip nexthop add id 7 group 5/6");
  run("ip route add 10.2.0.0/16 nhid 7");
  const Route by_object = only_route(List::routes_v4, "10.2.0.0/16");
  CHECK(by_object.next_hop_object == 7);
  CHECK(by_object.next_hops.size() == 2);
  CHECK_FALSE(by_object.unsupported);
  run("echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode");
  CHECK(only_route(List::routes_v4, "10.2.0.0/16").unsupported);
}

TEST_CASE_FIXTURE(Fixture, "routes: what stands in ::ffff:0:0/96 is not taken for IPv4") {
  run("ip -6 route add blackhole ::ffff:0:0/96");
  run("ip -6 route add ::ffff:10.0.0.0/104 via 2001:db8::9");
  for (const Route& route : fetch<Route>(List::routes_v6)) {
    CAPTURE(text(route));
    CHECK(route.destination.family() == net::Family::v6);
  }
}

TEST_CASE_FIXTURE(Fixture, "rules: everything a rule can match on and do") {
  run("ip rule add pref 10 not from 10.0.0.0/8 to 192.0.2.0/24 iif e0 oif gone fwmark 5/0xff table "
      "77");
  run("ip rule add pref 20 ipproto tcp sport 80 dport 1000-2000 uidrange 5-6 lookup 1000");
  run("ip rule add pref 30 goto 32766");
  run("ip rule add pref 40 tos 0x10 unreachable");
  run("ip rule add pref 41 blackhole");
  run("ip rule add pref 42 prohibit");
  run("ip rule add pref 50 lookup main suppress_prefixlength 0");
  run("ip -6 rule add pref 60 from 2001:db8::/32 lookup 9");
  const Rule first = rule(10);
  CHECK(first.inverted);
  CHECK(first.source == prefix("10.0.0.0/8"));
  CHECK(first.destination == prefix("192.0.2.0/24"));
  CHECK(first.in_link == "e0");
  CHECK(first.out_link == "gone");
  CHECK(first.mark == 5);
  CHECK(first.mask == 0xff);
  CHECK(first.table == 77);
  CHECK(first.action == RuleAction::to_table);
  CHECK_FALSE(first.suppress_prefix_length);
  CHECK_FALSE(first.unsupported);
  const Rule second = rule(20);
  CHECK(second.ip_protocol == 6);
  CHECK(second.source_ports == net::PortRange{80, 80});
  CHECK(second.destination_ports == net::PortRange{1000, 2000});
  CHECK(second.uids == std::pair{5u, 6u});
  CHECK(second.table == 1000);
  CHECK_FALSE(second.unsupported);
  CHECK(rule(30).action == RuleAction::go_to);
  CHECK(rule(30).go_to == 32766);
  CHECK(rule(40).tos == 0x10);
  CHECK(rule(40).action == RuleAction::unreachable);
  CHECK(rule(41).action == RuleAction::blackhole);
  CHECK(rule(42).action == RuleAction::prohibit);
  CHECK(rule(50).suppress_prefix_length == 0);
  CHECK(rule(50).table == kTableMain);
  CHECK(rule(60, net::Family::v6).source == prefix("2001:db8::/32"));
  CHECK(rule(0).table == kTableLocal);
  run("ip rule add pref 70 tun_id 3 lookup main");
  CHECK(rule(70).unsupported);
}

TEST_CASE_FIXTURE(Fixture, "neighbours: states, MAC, router and proxy") {
  const auto find = [](const char* text) {
    for (const Neighbour& one : fetch<Neighbour>(List::neighbours))
      if (one.address == ip(text)) return one;
    FAIL("no neighbour " << text);
    return Neighbour{};
  };
  run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev e0 nud permanent");
  run("ip neigh add 192.0.2.3 lladdr 02:00:00:00:00:03 dev e0 nud stale");
  run("ip neigh add 192.0.2.4 lladdr 02:00:00:00:00:04 dev e0 nud reachable");
  run("ip neigh add 192.0.2.5 dev e0 nud failed");
  run("ip neigh add 192.0.2.6 lladdr 02:00:00:00:00:06 dev e0 nud noarp");
  run("ip -6 neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev e0 nud permanent router");
  CHECK(find("192.0.2.2").state == NeighbourState::permanent);
  CHECK(find("192.0.2.2").mac == net::MacAddress::parse("02:00:00:00:00:02"));
  CHECK(find("192.0.2.2").ifindex == index_of("e0"));
  CHECK(find("192.0.2.2").usable());
  CHECK(find("192.0.2.3").state == NeighbourState::stale);
  CHECK(find("192.0.2.3").usable());
  CHECK(find("192.0.2.4").state == NeighbourState::reachable);
  CHECK(find("192.0.2.5").state == NeighbourState::failed);
  CHECK_FALSE(find("192.0.2.5").usable());
  CHECK(find("192.0.2.6").state == NeighbourState::noarp);
  CHECK(find("2001:db8::9").router);
}
