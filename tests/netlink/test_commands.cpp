// What masqgate puts into the kernel is what `ip` shows.

#include "netlink/commands.hpp"
#include "netlink/dump.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/netlink/namespace.hpp"

using namespace masqgate;
using namespace masqgate::netlink;
using nlohmann::json;
using test::index_of;
using test::run;

namespace {

struct Fixture {
  test::Namespace own;
  Commands commands;
  Fixture() { test::make_veth("e0", "peer"); }

  static json ip(const std::string& what) {
    return json::parse(test::output("ip -j -d " + what + " | sed 's/^$/[]/'"));
  }
  static json link(const std::string& name) { return ip("link show dev " + name).at(0); }
};

net::InterfaceAddress entry(const char* text) {
  return *net::InterfaceAddress::parse(text);
}

std::string problem(const std::function<void()>& command) {
  try {
    command();
  } catch (const CommandError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a bridge is made without STP, delay, snooping, VLANs, netfilter") {
  const auto mac = *net::MacAddress::parse("02:00:00:00:00:11");
  commands.create_bridge("br-x", mac);
  const json link = Fixture::link("br-x");
  CHECK(link.at("address") == "02:00:00:00:00:11");
  const json& options = link.at("linkinfo").at("info_data");
  for (const char* off : {"stp_state", "forward_delay", "mcast_snooping", "vlan_filtering",
                          "nf_call_iptables", "nf_call_ip6tables", "nf_call_arptables"}) {
    CAPTURE(off);
    if (options.contains(off)) CHECK(options.at(off) == 0);
  }
  CHECK(options.contains("stp_state"));
  commands.set_master("e0", "br-x");
  CHECK(Fixture::link("e0").at("master") == "br-x");
  commands.set_up("br-x", true);
  // The bridge keeps the MAC it was made with, however small its ports' are.
  CHECK(find_link("br-x")->mac == mac);
  commands.clear_master("e0");
  CHECK_FALSE(Fixture::link("e0").contains("master"));
  commands.delete_link("br-x");
  CHECK_FALSE(find_link("br-x"));
  commands.delete_link("br-x");
}

TEST_CASE_FIXTURE(Fixture, "links: up, MAC, MTU, queue length, and no other flag moves") {
  run("ip link set e0 promisc on");
  commands.set_up("e0", false);
  CHECK_FALSE(find_link("e0")->up);
  commands.set_mac("e0", *net::MacAddress::parse("02:00:00:00:00:22"));
  commands.set_up("e0", true);
  commands.set_mtu("e0", 1280);
  commands.set_queue_length("e0", 123);
  const auto link = find_link("e0");
  CHECK(link->up);
  CHECK(link->mac == net::MacAddress::parse("02:00:00:00:00:22"));
  CHECK(link->mtu == 1280);
  CHECK(link->queue_length == 123);
  CHECK(test::output("ip link show dev e0").find("PROMISC") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "addresses: twice added, twice removed") {
  for (const char* text : {"192.0.2.1/24", "198.51.100.0/31", "2001:db8::1/64"}) {
    CAPTURE(text);
    commands.add_address("e0", entry(text));
    commands.add_address("e0", entry(text));
    CHECK(test::output("ip addr show dev e0").find(text) != std::string::npos);
    commands.remove_address("e0", entry(text));
    commands.remove_address("e0", entry(text));
    CHECK(test::output("ip addr show dev e0").find(text) == std::string::npos);
  }
  commands.add_address("e0", entry("192.0.2.1/24"));
  CHECK(test::output("ip addr show dev e0").find("brd 192.0.2.255") != std::string::npos);
  commands.add_address("e0", entry("2001:db8::1/64"), Commands::Detection::at_once);
  CHECK(test::output("ip addr show dev e0 to 2001:db8::1").find("tentative") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "routes: what is added is what is listed") {
  run("ip addr add 192.0.2.1/24 dev e0; ip addr add 2001:db8::1/64 dev e0 nodad");
  const auto index = index_of("e0");
  const auto address = [](const char* text) { return *net::IpAddress::parse(text); };
  const auto prefix = [](const char* text) { return *net::Prefix::parse(text); };
  Route plain;
  plain.destination = prefix("0.0.0.0/0");
  plain.next_hops = {{address("192.0.2.2"), index, 1, false}};
  Route rich;
  rich.destination = prefix("10.0.0.0/8");
  rich.table = 1000;
  rich.metric = 7;
  rich.tos = 0x10;
  rich.mtu = 1300;
  rich.preferred_source = address("192.0.2.1");
  rich.next_hops = {{address("203.0.113.1"), index, 1, true}};
  Route several;
  several.destination = prefix("2001:db8:1::/48");
  several.metric = 9;
  several.next_hops = {{address("2001:db8::2"), index, 1, false},
                       {address("2001:db8::3"), index, 5, false}};
  Route connected;
  connected.destination = prefix("10.9.0.0/16");
  connected.scope = Scope::link;
  connected.next_hops = {{std::nullopt, index, 1, false}};
  Route other_family;
  other_family.destination = prefix("10.8.0.0/16");
  other_family.next_hops = {{address("2001:db8::2"), index, 1, false}};
  Route refuse;
  refuse.destination = prefix("10.7.0.0/16");
  refuse.type = RouteType::unreachable;
  for (const Route& route : {plain, rich, several, connected, other_family, refuse}) {
    CAPTURE(text(route));
    const List list =
        route.destination.family() == net::Family::v4 ? List::routes_v4 : List::routes_v6;
    const auto listed = [&] {
      const auto all = fetch<Route>(list);
      return std::count(all.begin(), all.end(), route);
    };
    commands.add_route(route);
    CHECK(listed() == 1);
    commands.add_route(route);
    CHECK(listed() == 1);
    commands.delete_route(route);
    CHECK(listed() == 0);
    commands.delete_route(route);
  }
  commands.add_route(plain);
  plain.next_hops.front().gateway = address("192.0.2.3");
  commands.replace_route(plain);
  CHECK(test::output("ip route show default").find("192.0.2.3") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "refusals say what was tried and why") {
  CHECK(problem([&] { commands.set_up("eth9", true); }).find("cannot bring eth9 up") == 0);
  CHECK(problem([&] { commands.set_master("e0", "br9"); }) ==
        "cannot put e0 into br9: there is no br9");
  CHECK(problem([&] { commands.add_address("eth9", entry("192.0.2.1/24")); }) ==
        "cannot give eth9 the address 192.0.2.1/24: there is no eth9");
  CHECK(problem([&] { commands.set_mtu("e0", 1); }).find("the kernel says: mtu") !=
        std::string::npos);
  Route route;
  route.destination = *net::Prefix::parse("10.0.0.0/8");
  route.next_hops = {{net::IpAddress::parse("203.0.113.1"), index_of("e0"), 1, false}};
  CHECK(problem([&] { commands.add_route(route); }).find("the kernel says: Nexthop has invalid") !=
        std::string::npos);
  CHECK(problem([&] {
          commands.write_sysctl("net/ipv6/conf/eth9/disable_ipv6", "1");
        }).find("eth9") != std::string::npos);
  // The next command is not confused by the last refusal.
  commands.set_mtu("e0", 1400);
  CHECK(find_link("e0")->mtu == 1400);
}

TEST_CASE_FIXTURE(Fixture, "sysctls: read, written, absent") {
  CHECK(read_sysctl(disable_ipv6_path("e0")) == "0");
  commands.write_sysctl(disable_ipv6_path("e0"), "1");
  CHECK(read_sysctl(disable_ipv6_path("e0")) == "1");
  CHECK_FALSE(read_sysctl(disable_ipv6_path("eth9")));
}

TEST_CASE_FIXTURE(Fixture, "saved addresses and routes come back exactly, moved ones work there") {
  run("ip addr add 192.0.2.1/24 dev e0 metric 77; ip addr add 192.0.2.9/24 dev e0 label e0:x");
  run("ip addr add 198.51.100.1 peer 198.51.100.2/32 dev e0 scope link");
  run("ip addr add 2001:db8::1/64 dev e0 nodad noprefixroute; ip addr add 2001:db8::2/64 dev e0 "
      "nodad");
  run("ip route add default via 192.0.2.2 metric 100 initcwnd 20 src 192.0.2.1");
  run("ip route add 10.0.0.0/8 dev e0; ip route append 10.0.0.0/8 via 192.0.2.3");
  run("ip route add 10.9.0.0/16 nexthop via 192.0.2.3 weight 5 nexthop dev e0");
  run("ip route add 10.8.0.0/16 via 192.0.2.4 table 1000");
  run("ip nexthop add id 5 via 192.0.2.4 dev e0; ip route add 10.7.0.0/16 nhid 5");
  run("ip -6 route add default via 2001:db8::99 pref high metric 3");
  run("ip -6 route add 2001:db8::/64 dev e0 proto static");
  const auto picture = [] {
    return test::output(
        "ip -j addr show dev e0; ip -j route show table all; ip -j -6 route show table all");
  };
  CHECK(test::eventually(
      [] { return test::output("ip addr").find("tentative") == std::string::npos; }));
  const std::string before = picture();
  const auto index = index_of("e0");
  const auto routes = saved_routes(index);
  const auto addresses = saved_addresses(index);
  const auto take_all = [&](const std::vector<Saved>& list) {
    for (auto one = list.rbegin(); one != list.rend(); ++one) {
      commands.take(*one);
      commands.take(*one);
    }
  };
  const auto give_all = [&](const std::vector<Saved>& list) {
    for (const Saved& one : list) {
      CAPTURE(one.text());
      const auto copy = Saved::from_hex(one.hex());
      REQUIRE(copy);
      commands.give(*copy);
      commands.give(*copy);
    }
  };
  take_all(routes);
  take_all(addresses);
  CHECK(saved_routes(index).empty());
  CHECK(saved_addresses(index).empty());
  give_all(addresses);
  give_all(routes);
  // Duplicate address detection runs again, and only then they are as they were.
  CHECK(test::eventually([&] { return picture() == before; }));

  take_all(routes);
  take_all(addresses);
  test::make_veth("e1", "peer2");
  const auto other = index_of("e1");
  for (const Saved& one : addresses)
    if (!std::get<Address>(one.event()).address.address.is_link_local())
      commands.give(one.moved(index, other));
  for (const Saved& one : routes) commands.give(one.moved(index, other));
  const std::string on_b = test::output("ip route show table all dev e1; ip addr show dev e1");
  for (const char* text : {"default via 192.0.2.2", "initcwnd 20", "10.8.0.0/16", "10.7.0.0/16",
                           "192.0.2.9/24", "198.51.100.1 peer 198.51.100.2"}) {
    CAPTURE(text);
    CHECK(on_b.find(text) != std::string::npos);
  }
  CHECK(on_b.find("e0:x") == std::string::npos);
  CHECK(saved_routes(other).size() == routes.size());
}

TEST_CASE("saved things from text that is none are refused") {
  for (const char* text : {"", "0", "zz", "00112233", "14000000100000000000000000000000ffffffff"})
    CHECK_FALSE(Saved::from_hex(text));
}
