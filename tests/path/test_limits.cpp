// Stories of limits: what one host may take, what a flood may take, and who still gets through
// (RFC 6888 REQ-3 to 5 and 11, requirements K-18 to K-22).

#include <doctest/doctest.h>

#include <chrono>
#include <set>

#include "daemon/path/overlaps.hpp"
#include "tests/path/behaviour_router.hpp"

namespace path_limits {

using namespace masqgate;
using namespace masqgate::test;
using conntrack::Connection;
using std::chrono::seconds;

namespace {

struct LimitedRouter : BehaviourRouter {
  explicit LimitedRouter(const path::Limits& limits) {
    policy.limits = limits;
    apply();
  }
  // How many of so many new sessions of a host to different peers come through.
  unsigned begin(std::string_view host, unsigned count) {
    unsigned through = 0;
    for (unsigned i = 0; i < count; ++i)
      if (sent(ask(host, 4000, "198.51.100.1", static_cast<net::Port>(++peer_))).port != 0)
        ++through;
    return through;
  }
  const nat::Host* host(std::string_view text) {
    for (const nat::Host& one : shard.hosts().records())
      if (one.address == address(text) && (one.sessions != 0 || one.ports != 0)) return &one;
    return nullptr;
  }

 private:
  unsigned peer_ = 0;
};

path::Limits sessions(std::uint32_t count) {
  path::Limits limits;
  limits.hosts.sessions = count;
  return limits;
}

PacketBuilder syn_to_web(unsigned stranger, net::Port port = 80) {
  return tcp()
      .flags("S")
      .from("192.0.2." + std::to_string(stranger % 250 + 1),
            static_cast<net::Port>(1024 + stranger / 250))
      .to("203.0.113.7", port);
}

}  // namespace

TEST_CASE("K-18, C-06: a scan of one host takes its share of sessions; others go on") {
  LimitedRouter router{sessions(100)};
  CHECK(router.begin("192.168.1.10", 500) == 100);
  CHECK(router.drops(DropReason::host_sessions) == 400);
  CHECK(router.begin("192.168.1.11", 50) == 50);
  REQUIRE(router.host("192.168.1.10") != nullptr);
  CHECK(router.host("192.168.1.10")->sessions == 100);
  CHECK(router.host("192.168.1.10")->ports == 1);
  CHECK(router.host("192.168.1.10")->refused == 400);
  CHECK(router.shard.hosts().offenders().front() == address("192.168.1.10"));
  // What is over counts no more.
  router.pass(seconds{400});
  CHECK(router.shard.connections().size() == 0);
  CHECK(router.host("192.168.1.10") == nullptr);
  CHECK(router.begin("192.168.1.10", 10) == 10);
  CHECK(router.imbalance() == "");
}

TEST_CASE("C-04: a host takes its share of outside ports, and goes on by those that it has") {
  path::Limits limits;
  limits.hosts.ports = 10;
  LimitedRouter router{limits};
  unsigned through = 0;
  for (net::Port i = 0; i < 50; ++i)
    if (router.sent(ask("192.168.1.10", static_cast<net::Port>(4000 + i), "198.51.100.1", 53)).port)
      ++through;
  CHECK(through == 10);
  CHECK(router.drops(DropReason::host_ports) == 40);
  CHECK(router.host("192.168.1.10")->refused == 40);
  CHECK(router.begin("192.168.1.10", 20) == 20);  // by the port of a socket that has one
  CHECK(router.sent(ask("192.168.1.11", 4000, "198.51.100.1", 53)).port != 0);
}

TEST_CASE("C-07: a host begins no more sessions a second than it may") {
  path::Limits limits;
  limits.hosts.per_second = 10;
  LimitedRouter router{limits};
  CHECK(router.begin("192.168.1.10", 30) == 10);
  CHECK(router.drops(DropReason::host_rate) == 20);
  CHECK(router.begin("192.168.1.11", 30) == 10);
  router.pass(std::chrono::milliseconds{500});
  CHECK(router.begin("192.168.1.10", 30) == 5);
  router.pass(seconds{60});
  CHECK(router.begin("192.168.1.10", 30) == 10);
}

TEST_CASE("limits: exceptions have none, and an IPv6 host is its network") {
  path::Limits limits = sessions(5);
  limits.hosts.ports = 3;
  limits.hosts.per_second = 5;
  limits.hosts.except = {prefix("192.168.1.10")};
  LimitedRouter router{limits};
  CHECK(router.begin("192.168.1.10", 30) == 30);
  const auto through = [&](const char* sender) {
    router.know(kLan, sender);
    unsigned count = 0;
    for (net::Port i = 0; i < 4; ++i) {
      router.arrive(kLan, udp()
                              .from(sender, static_cast<net::Port>(4000 + i))
                              .to("2001:db8:5::1", 53)
                              .payload("x"));
      count += static_cast<unsigned>(router.left(kWan).size());
    }
    return count;
  };
  CHECK(through("fd00:1::10") == 4);
  CHECK(through("fd00:1::11") == 1);
  CHECK(router.host("fd00:1::")->sessions == 5);
  router.policy.limits.hosts.prefix_v6 = 128;
  router.apply();
  CHECK(router.host("fd00:1::10")->sessions == 4);
  CHECK(router.host("fd00:1::11")->sessions == 1);
  CHECK(router.host("192.168.1.10")->ports == 1);
}

TEST_CASE("I-16, C-11: who may begin no connection is told so, as the owner likes it") {
  using Answer = path::Limits::Answer;
  for (const Answer answer : {Answer::host, Answer::prohibited, Answer::silent}) {
    path::Limits limits = sessions(1);
    limits.answer = answer;
    LimitedRouter router{limits};
    router.begin("192.168.1.10", 1);
    router.arrive(kLan, tcp().flags("S").from("192.168.1.10", 4000).to("198.51.100.1", 80));
    const auto told = router.left(kLan);
    REQUIRE(told.size() == (answer == Answer::silent ? 0 : 1));
    if (answer != Answer::silent)
      CHECK(mismatch(told[0].bytes,
                     {destination("192.168.1.10"), icmp_type(3, answer == Answer::host ? 1 : 13),
                      quotes({source("192.168.1.10", 4000), destination("198.51.100.1", 80)})}) ==
            "");
    CHECK(router.imbalance() == "");
  }
  BehaviourRouter full;
  full.policy.nat.source[0].ports = {5000, 5000};
  full.policy.nat.source[0].behaviour.parity = false;
  full.apply();
  full.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53));
  full.arrive(kLan, ask("192.168.1.11", 4000, "198.51.100.1", 53));
  CHECK(full.drops(DropReason::no_free_ports) == 1);
  CHECK(mismatch(full.one(kLan), {destination("192.168.1.11"), icmp_type(3, 1)}) == "");
}

TEST_CASE("I-16, I-19: errors about refusals are limited as all others are") {
  LimitedRouter router{sessions(1)};
  router.begin("192.168.1.10", 500);
  CHECK(router.left(kLan).size() <= 10);
}

TEST_CASE("K-19: on a full table established connections stay, and the router has its reserve") {
  path::Limits limits = sessions(3000);
  limits.reserve = 96;
  LimitedRouter router{limits};
  const auto known = ask("192.168.1.11", 4000, "198.51.100.1", 53);
  const auto outside = router.sent(known);
  router.reaches(from_outside("198.51.100.1", 53, outside), "192.168.1.11", 4000);
  router.sent(known);
  REQUIRE(router.connection(known.tuple())->has(Connection::kAssured));
  CHECK(router.begin("192.168.1.10", 5000) == 3000);  // its share; it pushes nobody out
  CHECK(router.drops(DropReason::table_full) == 0);
  CHECK(router.begin("192.168.1.12", 2000) == 2000);  // pushes out what nobody has answered
  CHECK(router.shard.connections().size() == 4000);
  CHECK(router.shard.connections().counters().evicted > 0);
  CHECK(router.connection(known.tuple()) != nullptr);

  // The router's own, and what hosts inside ask of it, find room without that.
  const auto evicted = router.shard.connections().counters().evicted;
  for (net::Port i = 0; i < 40; ++i) {
    router.send_from_host(kWan, udp()
                                    .from("203.0.113.7", static_cast<net::Port>(30000 + i))
                                    .to("203.0.113.50", 53)
                                    .payload("x"));
    router.arrive(kLan, udp()
                            .from("192.168.1.11", static_cast<net::Port>(30000 + i))
                            .to("192.168.1.1", 53)
                            .payload("x"));
  }
  CHECK(router.left(kWan).size() == 40);
  CHECK(router.left(kLan, Side::host).size() == 40);
  CHECK(router.shard.connections().counters().evicted == evicted);
  CHECK(router.imbalance() == "");
}

TEST_CASE("K-20: of half open connections to one forward the oldest make way, others' stay") {
  path::Limits limits;
  limits.half_open = {.each = 20, .in_all = 200};
  LimitedRouter router{limits};
  nat::DestinationRule web;
  web.owner = kWan;
  web.selector.protocol = net::Protocol::tcp;
  web.to = range("192.168.1.20", "192.168.1.20");
  router.policy.nat.destination = {web};
  router.apply();

  // A destination shares the flood's ring by chance, once in 256 times: of four nearly never three.
  for (net::Port port = 443; port < 447; ++port) router.arrive(kWan, syn_to_web(1, port));
  router.left(kLan);
  const auto handshake = [&](unsigned stranger) {
    router.arrive(kWan, syn_to_web(stranger).seq(1));
    router.arrive(kLan, answer_to(router.one(kLan), tcp().flags("S.").seq(7).ack(2)));
    router.left(kWan);
    auto ack = syn_to_web(stranger).flags(".").seq(2).ack(8);
    router.arrive(kWan, ack);
    router.left(kLan);
    return ack;
  };
  const auto real = handshake(9999);
  for (unsigned i = 0; i < 1000; ++i) router.arrive(kWan, syn_to_web(i));
  router.left(kLan);
  std::size_t others = 0;
  for (net::Port port = 443; port < 447; ++port)
    others += router.connection(syn_to_web(1, port).tuple()) != nullptr ? 1 : 0;
  CHECK(others >= 2);
  CHECK(router.shard.half_open().pushed_out() == 980 + (4 - others));
  CHECK(router.shard.connections().size() == 20 + others + 1);  // and the real one
  CHECK(router.connection(real.tuple()) != nullptr);
  const auto late = handshake(8888);  // gets through while the flood lasts
  CHECK(router.connection(late.tuple())->tcp_state == conntrack::TcpState::established);

  // In all: many destinations together.
  for (net::Port port = 1000; port < 1500; ++port) router.arrive(kWan, syn_to_web(5, port));
  CHECK(router.shard.connections().size() <= 202);
  router.left(kLan);
  CHECK(router.imbalance() == "");
}

TEST_CASE("limits: what was counted is counted again after a restart") {
  LimitedRouter router{sessions(100)};
  router.begin("192.168.1.10", 30);
  const nat::Host before = *router.host("192.168.1.10");
  router.policy.limits.hosts.prefix_v6 = 56;  // counts anew from the records, as a restart does
  router.apply();
  CHECK(router.host("192.168.1.10")->sessions == before.sessions);
  CHECK(router.host("192.168.1.10")->ports == before.ports);
}

TEST_CASE("K-22: when all expire at once each tick looks at few, and all are gone soon") {
  BehaviourRouter router;
  for (unsigned i = 0; i < 4000; ++i)
    router.arrive(kLan, ask("192.168.1.10", static_cast<net::Port>(1024 + i), "198.51.100.1", 53));
  CHECK(router.shard.connections().size() == 4000);
  router.pass(seconds{302});
  CHECK(router.shard.connections().size() == 0);
  static_assert(path::Shard::kExpireBudget <= 4096);
}

TEST_CASE("K-21: a million chosen tuples spread over the index as if by chance, by a secret key") {
  // An attacker may choose all tuples; without the key he cannot choose slots.
  const HashKey key{0x0123456789abcdef, 0xfedcba9876543210}, other{1, 2};
  constexpr unsigned kTuples = 1'000'000, kSlots = 1 << 16;
  std::vector<unsigned> filled(kSlots);
  unsigned same = 0;
  for (unsigned i = 0; i < kTuples; ++i) {
    Tuple tuple;
    tuple.protocol = net::Protocol::udp;
    tuple.source_address = net::IpAddress::v4(0xc0a80000 | i >> 8);
    tuple.source_port = static_cast<net::Port>(i << 8);
    tuple.destination_address = net::IpAddress::v4(0xc6336401);
    tuple.destination_port = 53;
    ++filled[tuple.hash(key) >> 16];
    same += tuple.hash(key) >> 16 == tuple.hash(other) >> 16 ? 1 : 0;
  }
  const unsigned most = std::ranges::max(filled);
  CHECK(most <= 45);  // 15.3 on average; by chance more than 45 once in 10^5 trials
  CHECK(same <= 60);  // another key, other slots
}

TEST_CASE("U-08: a network that is inside and outside is said, one that is not is not") {
  BehaviourRouter router;
  std::vector<path::PortInfo> ports = router.policy.ports;
  CHECK(path::overlaps(ports).empty());
  for (const char* given : {"192.168.1.77/24", "192.168.0.7/16", "192.168.1.7/28"}) {
    CAPTURE(std::string{given});
    ports[kWan].addresses[0] = *net::InterfaceAddress::parse(given);
    REQUIRE(path::overlaps(ports).size() == 1);
    CHECK(path::overlaps(ports)[0].find("lan and wan are both in 192.168.1.0/2") !=
          std::string::npos);
  }
  for (const char* given : {"192.168.2.7/24", "192.168.1.7/32", "169.254.1.1/16", "fe80::1/64"}) {
    ports[kWan].addresses[0] = *net::InterfaceAddress::parse(given);
    ports[kLan].addresses.push_back(*net::InterfaceAddress::parse("fe80::1/64"));
    CHECK(path::overlaps(ports).empty());
  }
}

}  // namespace path_limits
