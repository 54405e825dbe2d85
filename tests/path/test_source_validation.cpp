// Who may begin a connection from where (R-20, K-28; RFC 2827, RFC 3704).

#include <doctest/doctest.h>

#include "tests/support/test_router.hpp"

namespace path_source_validation {

using namespace masqgate;
using namespace masqgate::test;
using path::SourceValidation;

namespace {

void validate(TestRouter& router, SourceValidation lan, SourceValidation wan) {
  router.policy.ports[kLan].source_validation = lan;
  router.policy.ports[kWan].source_validation = wan;
  router.apply();
}

void add_route(TestRouter& router, route::Route route) {
  std::vector<route::Route> routes = router.policy.routes->routes();
  routes.push_back(std::move(route));
  router.policy.routes = std::make_shared<route::Table>(routes, route::default_rules());
  router.apply();
}

route::Route route_to(const char* prefix, std::vector<route::NextHop> next_hops,
                      route::Kind kind = route::Kind::unicast) {
  route::Route route;
  route.destination = *net::Prefix::parse(prefix);
  route.kind = kind;
  route.next_hops = std::move(next_hops);
  return route;
}

}  // namespace

TEST_CASE("R-20: who may come in by which port") {
  using enum SourceValidation;
  struct Case {
    std::string name;
    SourceValidation validation;
    PortIndex port;
    const char* from;
    const char* to;
    bool admitted;
  };
  // The reverse way of 10.9.9.9 is the default route, through wan.
  const Case cases[] = {
      {"a host of the network", strict, kLan, "192.168.1.10", "198.51.100.1", true},
      {"a stranger inside", strict, kLan, "10.9.9.9", "198.51.100.1", false},
      {"a stranger inside, and any route will do", loose, kLan, "10.9.9.9", "198.51.100.1", true},
      {"a host of the network, IPv6", strict, kLan, "fd00:1::10", "2001:db8:9::1", true},
      {"a stranger inside, IPv6", strict, kLan, "2001:db8:7::1", "2001:db8:9::1", false},
      {"nobody is asked", off, kLan, "10.9.9.9", "198.51.100.1", true},
      {"the world", strict, kWan, "2001:db8:9::1", "fd00:1::10", true},
      {"K-28 an inside address from outside", strict, kWan, "192.168.1.11", "192.168.1.10", false},
      {"K-28 the same where any route will do", loose, kWan, "192.168.1.11", "192.168.1.10", false},
      {"K-28 the same, IPv6", loose, kWan, "fd00:1::11", "fd00:1::10", false},
      {"nobody is asked outside", off, kWan, "fd00:1::11", "fd00:1::10", true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    TestRouter router;
    validate(router, c.port == kLan ? c.validation : off, c.port == kWan ? c.validation : off);
    router.arrive(c.port, udp().from(c.from, 4000).to(c.to, 53).payload("question"));
    CHECK(router.drops(DropReason::spoofed_source) == (c.admitted ? 0u : 1u));
    CHECK(router.left(c.port == kLan ? kWan : kLan).size() == (c.admitted ? 1u : 0u));
    CHECK(router.shard.connections().size() == (c.admitted ? 1u : 0u));
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("R-20: any of several next hops is a way back") {
  TestRouter router;
  validate(router, SourceValidation::strict, SourceValidation::strict);
  add_route(router, route_to("10.9.0.0/16", {{kWan, std::nullopt, 200}, {kLan, std::nullopt, 1}}));
  for (std::uint16_t port = 1; port <= 20; ++port)
    router.arrive(kLan, udp().from("10.9.9.9", port).to("198.51.100.1", 53));
  CHECK(router.drops(DropReason::spoofed_source) == 0);
  CHECK(router.left(kWan).size() == 20);
  CHECK(router.imbalance() == "");
}

TEST_CASE("R-20: a source that no route leads to is nobody, for loose ports too") {
  TestRouter router;
  validate(router, SourceValidation::loose, SourceValidation::loose);
  add_route(router, route_to("10.9.0.0/16", {}, route::Kind::blackhole));
  add_route(router, route_to("10.8.0.0/16", {{kNoPort, std::nullopt}}));
  router.arrive(kLan, udp().from("10.9.9.9", 1).to("198.51.100.1", 53));
  CHECK(router.drops(DropReason::spoofed_source) == 1);
  router.arrive(kLan, udp().from("10.8.9.9", 1).to("198.51.100.1", 53));
  CHECK(router.drops(DropReason::spoofed_source) == 1);
  CHECK(router.left(kWan).size() == 1);
  CHECK(router.imbalance() == "");
}

TEST_CASE("R-20: what answers, and errors on its way, may come from anywhere") {
  TestRouter router;
  validate(router, SourceValidation::strict, SourceValidation::strict);
  router.arrive(kLan, udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("question"));
  const Octets question = router.one(kWan);
  // The way to the server goes inside now: what is known goes on.
  add_route(router, route_to("198.51.100.0/24", {{kLan, std::nullopt}}));
  router.arrive(kWan, answer_to(question, udp().payload("answer")));
  CHECK(router.left(kLan).size() == 1);
  // A router with an address of our own network, as providers have them.
  router.arrive(
      kWan,
      icmp_error(3, 1)
          .from("192.168.1.200")
          .to("203.0.113.7")
          .quoting(udp().from("203.0.113.7", 4000).to("198.51.100.1", 53).payload("question")));
  CHECK(router.left(kLan).size() == 1);
  CHECK(router.drops(DropReason::spoofed_source) == 0);
  CHECK(router.imbalance() == "");
}

TEST_CASE("R-20: a port forward answers by the same port, whoever asks") {
  TestRouter router;
  validate(router, SourceValidation::strict, SourceValidation::strict);
  nat::DestinationRule forward;
  forward.owner = kWan;
  forward.selector.protocol = net::Protocol::udp;
  forward.to = {*net::IpAddress::parse("192.168.1.10"), *net::IpAddress::parse("192.168.1.10")};
  router.policy.nat.destination = {forward};
  router.apply();
  router.arrive(kWan, udp().from("198.51.100.1", 9).to("203.0.113.7", 53));
  CHECK(router.left(kLan).size() == 1);
  router.arrive(kLan, udp().from("192.168.1.11", 9).to("203.0.113.7", 53));
  CHECK(router.left(kLan).size() == 1);  // hairpin
  CHECK(router.drops(DropReason::spoofed_source) == 0);
  CHECK(router.imbalance() == "");
}

TEST_CASE("R-20: what a port does without being told") {
  TestRouter router;
  const path::Policy& policy = router.policy;
  CHECK(policy.usual_source_validation(kLan) == SourceValidation::strict);
  CHECK(policy.usual_source_validation(kWan) == SourceValidation::loose);
  router.policy.nat.source[0].kind = nat::SourceRule::Kind::none;
  CHECK(policy.usual_source_validation(kLan) == SourceValidation::loose);
  router.policy.nat.source.clear();
  CHECK(policy.usual_source_validation(kLan) == SourceValidation::loose);
}

}  // namespace path_source_validation
