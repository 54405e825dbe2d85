// Stories of translation by rule: profiles, pools, forwards, 1:1, hairpin (M3 to M7, M11).

#include <doctest/doctest.h>

#include <set>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/path/behaviour_router.hpp"

namespace path_behaviour {

using namespace masqgate;
using namespace masqgate::test;
using nat::Behaviour;
using nat::DestinationRule;
using nat::SourceRule;

namespace {

struct Expected {
  const char* name;
  Behaviour behaviour;
  bool same_for_port;     // one outside endpoint for another port of the peer
  bool same_for_address;  // … for another peer
  bool lets_port_in;      // another port of a known peer comes in
  bool lets_address_in;   // a stranger comes in
};

const Expected kProfiles[] = {
    {"rfc", nat::kRfc, true, true, true, false},
    {"linux", nat::kLinux, true, true, false, false},
    {"classic-2.2", nat::kClassic22, false, false, false, false},
    {"symmetric", nat::kSymmetric, false, false, false, false},
    {"open", nat::kOpen, true, true, true, true},
    {"address-dependent both",
     {.mapping = nat::Scope::address, .filtering = nat::Scope::address},
     true,
     false,
     true,
     false},
};

// Another inside host that holds the port already, and many flows more.
void add_load(BehaviourRouter& router) {
  router.sent(ask("192.168.1.99", 4000, "198.51.100.1", 3478));
  for (net::Port i = 0; i < 500; ++i)
    router.sent(ask("192.168.1.98", static_cast<net::Port>(20000 + i), "198.51.100.7", 53));
}

}  // namespace

TEST_CASE("U-01, U-09, U-13: each profile maps and filters as it says, idle and under load") {
  for (const Expected& e : kProfiles)
    for (const bool loaded : {false, true}) {
      CAPTURE(e.name);
      CAPTURE(loaded);
      BehaviourRouter router{e.behaviour};
      if (loaded) add_load(router);
      const auto one = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 3478));
      const auto two = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 3479));
      const auto three = router.sent(ask("192.168.1.10", 4000, "198.51.100.2", 3478));
      REQUIRE(one.port != 0);
      CHECK((one == two) == e.same_for_port);
      CHECK((one == three) == e.same_for_address);
      CHECK(router.reaches(from_outside("198.51.100.1", 3478, one), "192.168.1.10", 4000));
      CHECK(router.reaches(from_outside("198.51.100.1", 9, one), "192.168.1.10", 4000) ==
            e.lets_port_in);
      CHECK(router.reaches(from_outside("192.0.2.77", 9, one), "192.168.1.10", 4000) ==
            e.lets_address_in);
      CHECK(router.imbalance() == "");
    }
}

TEST_CASE("U-09: who comes in by a mapping is related, until it is answered, then established") {
  BehaviourRouter router{nat::kOpen};
  const auto document = json::Json::parse(R"({"forward": {"policy": "drop", "rules": [
      {"id": "answers", "state": ["established", "related"], "action": "accept"},
      {"id": "out", "in": "lan", "action": "accept"}]}})");
  router.policy.ruleset = std::make_shared<firewall::Ruleset>(firewall::from_json(
      json::Value{document, "/firewall"}, std::vector<std::string>{"lan", "wan"}));
  router.apply();
  const auto outside = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53));
  for (int i = 0; i < 3; ++i)
    CHECK(router.reaches(from_outside("192.0.2.77", 9, outside), "192.168.1.10", 4000));
  CHECK(router.sent(ask("192.168.1.10", 4000, "192.0.2.77", 9)) == outside);
  CHECK(router.reaches(from_outside("192.0.2.77", 9, outside), "192.168.1.10", 4000));
  CHECK_FALSE(
      router.reaches(from_outside("192.0.2.77", 9, {outside.address, 4001}), "192.168.1.10", 4001));
}

TEST_CASE("TS-09: by a mapping of TCP only a SYN comes in, whatever the filter lets in") {
  BehaviourRouter router{nat::kOpen};
  const auto outside =
      router.sent(tcp().flags("S").from("192.168.1.10", 4000).to("198.51.100.1", 80));
  const auto stranger = [&](const char* flags) {
    return tcp().flags(flags).from("192.0.2.77", 99).to(outside.address.text(), outside.port);
  };
  for (const char* flags : {".", "P.", "F.", "R", "R.", "S."}) {
    CAPTURE(std::string{flags});
    CHECK_FALSE(router.reaches(stranger(flags), "192.168.1.10", 4000));
  }
  router.left(kWan, Side::host);
  router.pass(std::chrono::hours{24 * 6});
  router.sent(tcp().flags("S").from("192.168.1.10", 4000).to("198.51.100.1", 80));
  CHECK(router.reaches(stranger("S"), "192.168.1.10", 4000));
}

TEST_CASE("U-10, U-11: two hosts inside meet by their outside endpoints, and see those only") {
  for (const bool tcp_too : {false, true}) {
    CAPTURE(tcp_too);
    BehaviourRouter router;
    const auto base = [&] { return tcp_too ? tcp().flags("S") : udp().payload("x"); };
    const auto b = router.sent(base().from("192.168.1.11", 5000).to("198.51.100.1", 80));
    const auto a = router.sent(base().from("192.168.1.10", 4000).to("198.51.100.1", 80));
    router.arrive(kLan, base().from("192.168.1.10", 4000).to(b.address.text(), b.port));
    const Octets to_b = router.one(kLan);
    CHECK(mismatch(to_b, {source("203.0.113.7", a.port), destination("192.168.1.11", 5000),
                          good_checksums()}) == "");
    const auto answer = tcp_too ? tcp().flags("S.") : udp().payload("y");
    router.arrive(kLan, answer_to(to_b, answer));
    CHECK(mismatch(router.one(kLan), {source("203.0.113.7", b.port),
                                      destination("192.168.1.10", 4000), good_checksums()}) == "");
    CHECK(router.left(kWan).empty());
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("U-10: a socket hears itself by its outside endpoint, and another one of the same host") {
  for (const net::Port port : {net::Port{4000}, net::Port{4001}}) {
    BehaviourRouter router;
    const auto one = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53));
    const auto other = router.sent(ask("192.168.1.10", port, "198.51.100.1", 53));
    for (int i = 0; i < 3; ++i) {
      router.arrive(kLan, ask("192.168.1.10", port, one.address.text(), one.port));
      CHECK(mismatch(router.one(kLan), {source("203.0.113.7", other.port),
                                        destination("192.168.1.10", 4000), good_checksums()}) ==
            "");
    }
    router.shard.connections().remove(
        *router.connection(ask("192.168.1.10", port, one.address.text(), one.port).tuple()));
    CHECK(router.shard.connections().size() == (port == 4000 ? 1 : 2));
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("I-15: an ICMP error about a hairpinned packet comes back to its sender") {
  BehaviourRouter router;
  const auto b = router.sent(ask("192.168.1.11", 5000, "198.51.100.1", 53));
  router.arrive(kLan, udp().from("192.168.1.10", 4000).to(b.address.text(), b.port).payload("x"));
  const Octets to_b = router.one(kLan);
  router.arrive(kLan, icmp_error(3, 3).from("192.168.1.11").to("203.0.113.7").quoting(to_b));
  CHECK(mismatch(router.one(kLan),
                 {source("203.0.113.7"), destination("192.168.1.10"),
                  quotes({source("192.168.1.10", 4000), destination("203.0.113.7", b.port)}),
                  good_checksums()}) == "");
}

TEST_CASE("hairpin off: an outside endpoint asked from inside is the router's own business") {
  BehaviourRouter router{nat::kLinux};
  const auto b = router.sent(ask("192.168.1.11", 5000, "198.51.100.1", 53));
  router.arrive(kLan, udp().from("192.168.1.10", 4000).to(b.address.text(), b.port).payload("x"));
  CHECK(router.left(kLan).empty());
  CHECK(router.left(kLan, Side::host).size() == 1);
}

TEST_CASE("U-03, X-04: linux shares a port towards different peers, rfc never does") {
  for (const bool shared : {false, true}) {
    BehaviourRouter router{shared ? nat::kLinux : nat::kRfc};
    const auto one = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53));
    const auto two = router.sent(ask("192.168.1.11", 4000, "198.51.100.2", 53));
    CHECK((one == two) == shared);
    const auto three = router.sent(ask("192.168.1.12", 4000, "198.51.100.1", 53));
    CHECK(one != three);
  }
}

TEST_CASE(
    "U-02, C-03: a pool gives each host one address; without pairing each socket has its own") {
  for (const bool paired : {true, false}) {
    CAPTURE(paired);
    BehaviourRouter router;
    SourceRule& rule = router.policy.nat.source[0];
    rule.kind = SourceRule::Kind::pool;
    rule.pool = {range("198.51.100.1", "198.51.100.3"), range("198.51.100.9", "198.51.100.9")};
    rule.behaviour.paired = paired;
    router.apply();
    std::set<net::IpAddress> of_one, of_all;
    for (net::Port i = 0; i < 200; ++i)
      of_one.insert(
          router.sent(ask("192.168.1.10", static_cast<net::Port>(4000 + i), "192.0.2.1", 53))
              .address);
    for (unsigned i = 0; i < 100; ++i)
      of_all.insert(
          router.sent(ask("192.168.1." + std::to_string(20 + i), 4000, "192.0.2.1", 53)).address);
    CHECK(of_one.size() == (paired ? 1 : 4));
    CHECK(of_all == std::set{address("198.51.100.1"), address("198.51.100.2"),
                             address("198.51.100.3"), address("198.51.100.9")});
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE(
    "a port range is kept, by chance or from its first port on, and is over when it is full") {
  for (const auto choice :
       {nat::PortChoice::random, nat::PortChoice::contiguous, nat::PortChoice::preserve}) {
    BehaviourRouter router;
    SourceRule& rule = router.policy.nat.source[0];
    rule.ports = {5000, 5003};
    rule.behaviour.ports = choice;
    rule.behaviour.parity = false;
    router.apply();
    std::vector<net::Port> got;
    for (net::Port i = 0; i < 4; ++i)
      got.push_back(
          router.sent(ask("192.168.1.10", static_cast<net::Port>(4000 + i), "192.0.2.1", 53)).port);
    CHECK(std::set<net::Port>(got.begin(), got.end()) ==
          std::set<net::Port>{5000, 5001, 5002, 5003});
    if (choice == nat::PortChoice::contiguous)
      CHECK(got == std::vector<net::Port>{5000, 5001, 5002, 5003});
    CHECK(router.sent(ask("192.168.1.10", 4999, "192.0.2.1", 53)).port == 0);
    CHECK(router.drops(DropReason::no_free_ports) == 1);
  }
}

TEST_CASE("C-08: what is excluded leaves as it is; the next rule does not see it") {
  BehaviourRouter router;
  SourceRule none = router.policy.nat.source[0];
  none.kind = SourceRule::Kind::none;
  none.selector.destination = prefix("198.51.100.0/24");
  router.policy.nat.source.insert(router.policy.nat.source.begin(), none);
  router.apply();
  CHECK(router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53)).address ==
        address("192.168.1.10"));
  CHECK(router.sent(ask("192.168.1.10", 4000, "192.0.2.1", 53)).address == address("203.0.113.7"));
}

TEST_CASE("N-02: 1:1 works from both sides, for hosts and for networks, ports and ids unchanged") {
  BehaviourRouter router;
  SourceRule& rule = router.policy.nat.source[0];
  rule.kind = SourceRule::Kind::network;
  rule.network = prefix("198.51.100.0/24");
  DestinationRule back;
  back.kind = DestinationRule::Kind::network;
  back.selector.destination = prefix("198.51.100.0/24");
  back.network = prefix("192.168.1.0/24");
  router.policy.nat.destination = {back};
  router.apply();
  CHECK(router.sent(ask("192.168.1.10", 4000, "192.0.2.1", 53)) ==
        net::Endpoint{address("198.51.100.10"), 4000});
  CHECK(router.reaches(from_outside("192.0.2.9", 99, {address("198.51.100.11"), 8000}),
                       "192.168.1.11", 8000));
  router.arrive(kWan, icmp_echo(7).from("192.0.2.9").to("198.51.100.12"));
  const Octets request = router.one(kLan);
  CHECK(mismatch(request, {destination("192.168.1.12"), good_checksums()}) == "");
  CHECK(router.imbalance() == "");
}

TEST_CASE(
    "M5: a forward leads to a host inside, its answers leave as ours; other ports stay ours") {
  BehaviourRouter router;
  DestinationRule web;
  web.owner = kWan;
  web.selector.protocol = net::Protocol::tcp;
  web.selector.destination_ports = {80, 81};
  web.to = range("192.168.1.20", "192.168.1.20");
  web.ports = {8080, 8081};
  router.policy.nat.destination = {web};
  router.apply();
  router.arrive(kWan, tcp().flags("S").from("192.0.2.9", 999).to("203.0.113.7", 81));
  const Octets syn = router.one(kLan);
  CHECK(mismatch(syn, {source("192.0.2.9", 999), destination("192.168.1.20", 8081),
                       good_checksums()}) == "");
  router.arrive(kLan, answer_to(syn, tcp().flags("S.")));
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 81), destination("192.0.2.9", 999),
                                    good_checksums()}) == "");
  router.arrive(kWan, tcp().flags("S").from("192.0.2.9", 999).to("203.0.113.7", 82));
  CHECK(router.left(kLan).empty());
  CHECK(router.left(kWan, Side::host).size() == 1);

  // From inside by the same address: the server sees an outside endpoint and answers this way.
  router.arrive(kLan, tcp().flags("S").from("192.168.1.10", 4000).to("203.0.113.7", 80));
  const Octets inner = router.one(kLan);
  CHECK(mismatch(inner, {source("203.0.113.7", 4000), destination("192.168.1.20", 8080),
                         good_checksums()}) == "");
  router.arrive(kLan, answer_to(inner, tcp().flags("S.")));
  CHECK(mismatch(router.one(kLan),
                 {source("203.0.113.7", 80), destination("192.168.1.10", 4000)}) == "");
  CHECK(router.imbalance() == "");
}

TEST_CASE("P-02: no mapping stands where a forward takes what comes in") {
  BehaviourRouter router;
  DestinationRule game;
  game.owner = kWan;
  game.selector.protocol = net::Protocol::udp;
  game.selector.destination_ports = {4000, 4000};
  game.to = range("192.168.1.20", "192.168.1.20");
  router.policy.nat.destination = {game};
  router.apply();
  const auto outside = router.sent(ask("192.168.1.10", 4000, "192.0.2.1", 53));
  CHECK(outside.port != 0);
  CHECK(outside.port != 4000);
}

TEST_CASE(
    "redirect: what passes by is taken in, and answered with the address that was asked for") {
  BehaviourRouter router;
  DestinationRule proxy;
  proxy.kind = DestinationRule::Kind::redirect;
  proxy.ingress = kLan;
  proxy.selector.protocol = net::Protocol::tcp;
  proxy.selector.destination_ports = {80, 80};
  proxy.ports = {3128, 3128};
  router.policy.nat.destination = {proxy};
  router.apply();
  router.arrive(kLan, tcp().flags("S").from("192.168.1.10", 4000).to("192.0.2.1", 80));
  const auto in = router.left(kLan, Side::host);
  REQUIRE(in.size() == 1);
  CHECK(mismatch(in[0].bytes, {destination("192.168.1.1", 3128), good_checksums()}) == "");
  router.send_from_host(kLan, answer_to(in[0].bytes, tcp().flags("S.")));
  CHECK(mismatch(router.one(kLan), {source("192.0.2.1", 80), destination("192.168.1.10", 4000),
                                    good_checksums()}) == "");
}

TEST_CASE("a forward to several hosts spreads sources over them, each source always to the same") {
  BehaviourRouter router;
  DestinationRule farm;
  farm.owner = kWan;
  farm.to = range("192.168.1.20", "192.168.1.23");
  router.policy.nat.destination = {farm};
  router.apply();
  std::set<net::IpAddress> used;
  for (unsigned i = 0; i < 100; ++i) {
    std::set<net::IpAddress> of_source;
    for (net::Port port = 1; port <= 3; ++port) {
      router.arrive(
          kWan,
          udp().from("192.0.2." + std::to_string(i), port).to("203.0.113.7", 99).payload("x"));
      of_source.insert(BehaviourRouter::tuple_of(router.one(kLan)).destination_address);
    }
    CHECK(of_source.size() == 1);
    used.insert(*of_source.begin());
  }
  CHECK(used.size() == 4);
}

}  // namespace path_behaviour
