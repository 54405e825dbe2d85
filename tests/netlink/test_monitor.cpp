// The mirror stands as the kernel's lists do, whatever happens to them.

#include "netlink/monitor.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>

#include "netlink/dump.hpp"
#include "netlink/mirror.hpp"
#include "netlink/neighbour_prober.hpp"
#include "tests/netlink/namespace.hpp"

using namespace masqgate;
using namespace masqgate::netlink;
using test::run;

namespace {

net::IpAddress ip(const char* text) {
  return *net::IpAddress::parse(text);
}

struct Fixture {
  test::Namespace own;
  asio::io_context context;
  unsigned published = 0;
  Mirror mirror{[this](const Changes&) { ++published; }};
  Monitor monitor{context, mirror};

  // Lets the monitor work until the condition holds; false after ten seconds.
  bool until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (!condition() && std::chrono::steady_clock::now() < end)
      context.run_one_for(std::chrono::milliseconds{50});
    return condition();
  }
  bool until_listed() {
    return until([&] { return monitor.counters().listings > 0; });
  }
  bool has_route(const char* to) const {
    return mirror.routes.count({kTableMain, *net::Prefix::parse(to), {}, 0, 0}) != 0;
  }
};

// A fresh picture of the kernel, as `observer` would have it after a first listing.
void list_into(Mirror& observer) {
  asio::io_context context;
  Monitor monitor{context, observer};
  while (monitor.counters().listings == 0) context.run_one();
}

// One line each. Of IPv4 routes alike the first counts; of next hops the order does not matter.
std::multiset<std::string> lines(const std::map<Mirror::RouteKey, std::vector<Route>>& routes) {
  std::multiset<std::string> out;
  for (const auto& [key, list] : routes) {
    int place = 0;
    for (Route route : list) {
      std::sort(route.next_hops.begin(), route.next_hops.end(),
                [](const NextHop& a, const NextHop& b) { return a.gateway < b.gateway; });
      std::string line = text(route) + " type " + std::to_string(static_cast<int>(route.type));
      for (const NextHop& hop : route.next_hops) line += " dev " + std::to_string(hop.ifindex);
      if (route.destination.family() == net::Family::v4)
        line += " place " + std::to_string(place++);
      out.insert(line);
    }
  }
  return out;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "the first listing is complete, then each change is heard") {
  test::make_veth("e0", "peer");
  run("ip addr add 192.0.2.1/24 dev e0");
  REQUIRE(until([&] { return mirror.find_link("e0") != nullptr && has_route("192.0.2.0/24"); }));
  CHECK(mirror.find_link("lo") != nullptr);
  CHECK(mirror.rules.size() >= 3);
  CHECK(published > 0);
  const auto index = test::index_of("e0");

  run("ip route add 10.0.0.0/8 via 192.0.2.2");
  CHECK(until([&] { return has_route("10.0.0.0/8"); }));
  run("ip route del 10.0.0.0/8");
  CHECK(until([&] { return !has_route("10.0.0.0/8"); }));

  run("ip rule add pref 5 lookup 99");
  CHECK(until([&] { return mirror.rules.size() > 1 && mirror.rules[1].table == 99; }));
  run("ip rule del pref 5");
  CHECK(until([&] { return mirror.rules[1].table != 99; }));

  run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev e0");
  CHECK(until([&] { return mirror.neighbours.count({index, ip("192.0.2.2")}) != 0; }));
  run("ip neigh del 192.0.2.2 dev e0");
  CHECK(until([&] { return mirror.neighbours.count({index, ip("192.0.2.2")}) == 0; }));

  run("ip link set e0 mtu 1400");
  CHECK(until([&] { return mirror.links.at(index).mtu == 1400; }));
  run("ip link set e0 name e9");
  CHECK(until([&] { return mirror.links.at(index).name == "e9"; }));
  run("ip link del e9");
  CHECK(until([&] { return mirror.links.count(index) == 0 && !has_route("192.0.2.0/24"); }));
  for (const auto& [key, address] : mirror.addresses) CHECK(key.ifindex != index);
}

TEST_CASE_FIXTURE(Fixture, "routes that vanish with a link that goes down are gone") {
  test::make_veth("e0", "peer");
  run("ip addr add 192.0.2.1/24 dev e0");
  run("ip route add 10.0.0.0/8 via 192.0.2.2");
  REQUIRE(until([&] { return has_route("10.0.0.0/8"); }));
  run("ip link set e0 down");
  CHECK(until([&] { return !has_route("10.0.0.0/8") && !has_route("192.0.2.0/24"); }));
  CHECK(monitor.counters().overruns == 0);
}

TEST_CASE_FIXTURE(Fixture, "routes that vanish with the last address of a link are gone") {
  test::make_veth("e0", "peer");
  run("ip addr add 192.0.2.1/24 dev e0");
  run("ip route add 10.0.0.0/8 via 192.0.2.2");
  REQUIRE(until([&] { return has_route("10.0.0.0/8"); }));
  run("ip addr del 192.0.2.1/24 dev e0");
  CHECK(until([&] { return !has_route("10.0.0.0/8"); }));
}

TEST_CASE_FIXTURE(Fixture, "a port of a bridge is told once, not in the bridge's words") {
  run("ip link add br0 type bridge");
  test::make_veth("e0", "peer");
  run("ip link set e0 master br0");
  REQUIRE(until([&] {
    const Link* a = mirror.find_link("e0");
    return a != nullptr && a->master == test::index_of("br0");
  }));
  run("ip link set e0 nomaster");
  CHECK(until([&] { return mirror.find_link("e0")->master == 0; }));
  CHECK(mirror.find_link("e0")->kind == "veth");
}

TEST_CASE_FIXTURE(Fixture, "after an overrun everything is listed again") {
  test::make_veth("e0", "peer");
  run("ip addr add 192.0.2.1/24 dev e0");
  REQUIRE(until([&] { return has_route("192.0.2.0/24"); }));
  monitor.set_receive_buffer(4096);
  const std::string batch = "/tmp/masqgate-test-routes-" + std::to_string(getpid());
  {
    std::ofstream file{batch};
    for (int i = 0; i < 5000; ++i)
      file << "route add 10." << i / 250 << "." << i % 250 << ".0/24 via 192.0.2.2\n";
  }
  run("ip -batch " + batch + "; status=$?; rm " + batch + "; exit $status");
  CHECK(until([&] { return has_route("10.19.249.0/24"); }));
  CHECK(monitor.counters().overruns > 0);
  Mirror fresh{{}};
  list_into(fresh);
  CHECK(lines(mirror.routes) == lines(fresh.routes));
  CHECK(mirror.routes.size() > 5000);
}

TEST_CASE_FIXTURE(Fixture, "a flood of addresses overruns and is caught up with") {
  test::make_veth("e0", "peer");
  REQUIRE(until_listed());
  monitor.set_receive_buffer(4096);
  const std::string batch = "/tmp/masqgate-test-addresses-" + std::to_string(getpid());
  {
    std::ofstream file{batch};
    for (int i = 0; i < 2000; ++i)
      file << "addr add 10.1." << i / 250 << "." << 1 + i % 250 << "/32 dev e0\n";
  }
  run("ip -batch " + batch + "; status=$?; rm " + batch + "; exit $status");
  CHECK(until([&] { return mirror.addresses.size() >= 2000; }));
  CHECK(monitor.counters().overruns > 0);
}

TEST_CASE_FIXTURE(Fixture, "random route commands: the mirror equals a fresh listing") {
  test::make_veth("e0", "peer");
  test::make_veth("e1", "peer2");
  run("ip addr add 192.0.2.1/24 dev e0; ip addr add 2001:db8::1/64 dev e0 nodad");
  run("ip addr add 198.51.100.1/24 dev e1; ip addr add 2001:db8:1::1/64 dev e1 nodad");
  const char* const verbs[] = {"add", "append", "prepend", "replace", "change", "del"};
  const char* const to_v4[] = {"10.0.0.0/8", "10.1.0.0/16 metric 5", "10.0.0.0/8 tos 0x10"};
  const char* const how_v4[] = {"via 192.0.2.2", "via 198.51.100.2", "dev e0",
                                "nexthop via 192.0.2.2 nexthop via 198.51.100.2"};
  // A v6 destination has routes of one kind only: Linux 6.18 loses routes where `replace` meets
  // both.
  const char* const v6[] = {"2001:db8:9::/48 via 2001:db8::2",
                            "2001:db8:9::/48 via 2001:db8:1::2",
                            "2001:db8:9::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2",
                            "2001:db8:9::/48 metric 5 via 2001:db8:1::2",
                            "2001:db8:8::/48 dev e0",
                            "2001:db8:8::/48 dev e1",
                            "unreachable 2001:db8:7::/48",
                            "2001:db8:7::/48 dev e1"};
  std::minstd_rand random{20240229};
  const auto pick = [&](const auto& list) { return std::string{list[random() % std::size(list)]}; };
  for (int round = 0; round < 60; ++round) {
    std::string commands;
    for (int i = 0; i < 6; ++i)
      commands += random() % 2 == 0
                      ? "route " + pick(verbs) + " " + pick(to_v4) + " " + pick(how_v4) + "\n"
                      : "-6 route " + pick(verbs) + " " + pick(v6) + "\n";
    CAPTURE(commands);
    run("printf -- '" + commands + "' | while read -r c; do ip $c 2>/dev/null; done; true");
    std::multiset<std::string> expected;
    const bool same = until([&] {
      Mirror fresh{{}};
      list_into(fresh);
      expected = lines(fresh.routes);
      return lines(mirror.routes) == expected;
    });
    for (const std::string& line : same ? std::multiset<std::string>{} : lines(mirror.routes))
      if (expected.count(line) == 0) MESSAGE("too much: " << line);
    for (const std::string& line : same ? std::multiset<std::string>{} : expected)
      if (lines(mirror.routes).count(line) == 0) MESSAGE("missing: " << line);
    REQUIRE(same);
  }
  CHECK(monitor.counters().overruns == 0);
}

TEST_CASE_FIXTURE(Fixture, "a replaced IPv6 route that takes others along is listed again") {
  test::make_veth("e0", "peer");
  run("ip addr add 2001:db8::1/64 dev e0 nodad");
  REQUIRE(until_listed());
  const std::string route = " 2001:db8:9::/48 ";
  const std::string several = route + "nexthop via 2001:db8::2 nexthop via 2001:db8::3";
  run("ip -6 route add" + several);
  run("ip -6 route prepend" + route + "dev e0; ip -6 route append" + route + "dev peer");
  const auto known = [&]() -> std::size_t {
    const auto found =
        mirror.routes.find({kTableMain, *net::Prefix::parse("2001:db8:9::/48"), {}, 0, 1024});
    return found == mirror.routes.end() ? 0 : found->second.size();
  };
  REQUIRE(until([&] { return known() == 3; }));
  run("ip -6 route change" + several);
  CHECK(until([&] {
    const auto all = fetch<Route>(List::routes_v6);
    return known() == static_cast<std::size_t>(std::count_if(
                          all.begin(), all.end(), [](const Route& r) { return r.metric == 1024; }));
  }));
}

TEST_CASE_FIXTURE(Fixture, "the kernel resolves a neighbour it is asked for") {
  test::make_veth("e0", "peer");
  run("ip addr add 192.0.2.1/24 dev e0");
  run("ip addr add 2001:db8::1/64 dev e0 nodad");
  const auto index = test::index_of("e0");
  REQUIRE(until_listed());
  NeighbourProber prober;
  // The kernel does not tell that it begins to ask, only how that ends.
  const auto state_now = [&](const char* who) {
    for (const Neighbour& one : fetch<Neighbour>(List::neighbours))
      if (one.ifindex == index && one.address == ip(who)) return one.state;
    return NeighbourState::none;
  };
  for (const char* who : {"192.0.2.77", "2001:db8::77"}) {
    CAPTURE(std::string{who});
    CHECK(prober.probe(index, ip(who)));
    CHECK(state_now(who) == NeighbourState::incomplete);
    CHECK(until([&] {
      const auto found = mirror.neighbours.find({index, ip(who)});
      return found != mirror.neighbours.end() && found->second.state == NeighbourState::failed;
    }));
  }
  run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev e0 nud stale");
  CHECK(prober.probe(index, ip("192.0.2.2")));
  CHECK(state_now("192.0.2.2") == NeighbourState::delay);
  // Questions about links that are gone do no harm, however many.
  for (int i = 0; i < 5000; ++i) prober.probe(999, ip("192.0.2.2"));
  CHECK(prober.probe(index, ip("192.0.2.3")));
  CHECK(state_now("192.0.2.3") == NeighbourState::incomplete);
}

TEST_CASE("a monitor may go away with questions under way") {
  test::Namespace own;
  asio::io_context context;
  {
    Mirror mirror{{}};
    Monitor monitor{context, mirror};
    context.poll_one();
  }
  context.run_for(std::chrono::milliseconds{20});
  CHECK(context.stopped());
}
