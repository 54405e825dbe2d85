// Stories of an outside address that goes away and of timeouts that change (M4, M5, M6; history 1.9,
// 2.2, 2.5).

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdlib>

#include "tests/support/test_router.hpp"

namespace path_dynaddr {

using namespace masqgate;
using namespace masqgate::test;

namespace {

constexpr const char* kOld = "203.0.113.7";
constexpr const char* kNew = "203.0.113.77";

struct DynaddrRouter : TestRouter {
  explicit DynaddrRouter(unsigned mode,
                         path::ShardOptions options = {.region = {}, .max_connections = 1024})
      : TestRouter{std::move(options)} {
    policy.dynaddr = nat::Dynaddr{mode};
    apply();
  }

  // The port has this IPv4 address now; null: none.
  void readdress(const char* to) {
    std::erase_if(policy.ports[kWan].addresses,
                  [](const auto& own) { return own.address.is_v4(); });
    if (to != nullptr)
      policy.ports[kWan].addresses.push_back(
          *net::InterfaceAddress::parse(std::string{to} + "/24"));
    apply();
  }
  // The source outside of what left, or "nothing".
  std::string leaves(const PacketBuilder& packet) {
    arrive(kLan, packet);
    const auto out = left(kWan);
    if (out.empty()) return "nothing";
    for (const char* address : {kOld, kNew})
      if (mismatch(out[0].bytes, {source(address), good_checksums()}) == "") return address;
    return "something else";
  }
  void answer(const PacketBuilder& packet, const char* to, net::Port port) {
    arrive(kWan, PacketBuilder{packet}.from("198.51.100.1", 53).to(to, port));
    left(kLan);
  }
};

PacketBuilder query() {
  return udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("query");
}
PacketBuilder segment(const char* flags) {
  return tcp().from("192.168.1.10", 4000).to("198.51.100.1", 53).flags(flags);
}

}  // namespace

TEST_CASE("M5: what becomes of unanswered and answered connections, for each ip_dynaddr") {
  struct Row {
    unsigned mode;
    const char* unanswered;
    const char* answered;
  };
  for (const Row& row :
       {Row{0, "nothing", "nothing"}, Row{1, kNew, "nothing"}, Row{2, kNew, "nothing"},
        Row{3, kNew, "nothing"}, Row{4, "nothing", "nothing"}, Row{5, kNew, kNew},
        Row{6, kNew, kNew}, Row{7, kNew, kNew}}) {
    CAPTURE(row.mode);
    DynaddrRouter router{row.mode};
    const auto other = query().from("192.168.1.11", 5000);
    CHECK(router.leaves(query()) == kOld);
    CHECK(router.leaves(other) == kOld);
    router.answer(udp().payload("answer"), kOld, 5000);
    router.readdress(kNew);
    CHECK(router.leaves(query()) == row.unanswered);
    CHECK(router.leaves(other) == row.answered);
    const bool drops = row.answered != std::string{kNew};
    CHECK((router.drops(DropReason::address_lost) > 0) == drops);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("M5: a SYN that nobody has answered goes out again behind the new address") {
  DynaddrRouter router{1};
  CHECK(router.leaves(segment("S")) == kOld);
  router.readdress(kNew);
  CHECK(router.leaves(segment("S")) == kNew);
  CHECK(router.shard.connections().size() == 1);
}

TEST_CASE("M5: an established connection that may move is reset by its far end, and hears that") {
  DynaddrRouter router{5};
  CHECK(router.leaves(segment("S").seq(100)) == kOld);
  router.answer(tcp().flags("S.").seq(900).ack(101), kOld, 4000);
  CHECK(router.leaves(segment(".").seq(101).ack(901)) == kOld);
  CHECK(router.leaves(segment(".").seq(101).ack(901).payload("x")) == kOld);
  router.readdress(kNew);
  CHECK(router.leaves(segment(".").seq(102).ack(901).payload("y")) == kNew);
  router.arrive(kWan, tcp().from("198.51.100.1", 53).to(kNew, 4000).flags("R").seq(901));
  CHECK(mismatch(router.one(kLan), {source("198.51.100.1", 53), destination("192.168.1.10", 4000),
                                    tcp_flags("R"), good_checksums()}) == "");
}

TEST_CASE("M5: while there is no address everything waits, and goes on when the old one is back") {
  for (const unsigned mode : {0u, 1u, 5u}) {
    CAPTURE(mode);
    DynaddrRouter router{mode};
    CHECK(router.leaves(query()) == kOld);
    router.answer(udp().payload("answer"), kOld, 4000);
    router.readdress(nullptr);
    CHECK(router.leaves(query()) == "nothing");
    CHECK(router.drops(DropReason::no_outside_address) == 1);
    router.pass(std::chrono::seconds{1});
    router.readdress(kOld);
    CHECK(router.leaves(query()) == kOld);
    const Tuple tuple{
        address("192.168.1.10"), address("198.51.100.1"), 4000, 53, net::Protocol::udp, 0};
    REQUIRE(router.connection(tuple) != nullptr);
    CHECK(router.connection(tuple)->has(conntrack::Connection::kSeenReply));
  }
}

TEST_CASE("M5, K-29: nothing leaves with a lost address: no error, no answer of a forwarded host") {
  DynaddrRouter router{1};
  nat::DestinationRule forward;
  forward.owner = kWan;
  forward.selector.protocol = net::Protocol::udp;
  forward.selector.destination_ports = {80, 80};
  forward.to = {address("192.168.1.10"), address("192.168.1.10")};
  router.policy.nat.destination = {forward};
  router.apply();
  CHECK(router.leaves(query()) == kOld);
  router.arrive(kWan, udp().from("198.51.100.1", 53).to(kOld, 4000).payload("answer"));
  const Octets answer = router.one(kLan);
  router.arrive(kWan, udp().from("198.51.100.9", 99).to(kOld, 80).payload("hello"));
  router.one(kLan);
  router.readdress(kNew);
  router.arrive(kLan, icmp_error(3, 3).from("192.168.1.10").to("198.51.100.1").quoting(answer));
  router.arrive(kLan, udp().from("192.168.1.10", 80).to("198.51.100.9", 99).payload("welcome"));
  for (const auto& packet : router.left(kWan)) {
    CHECK(mismatch(packet.bytes, {source(kOld)}) != "");
    CHECK(mismatch(packet.bytes, {source("192.168.1.10")}) != "");
  }
  CHECK(router.imbalance() == "");
}

TEST_CASE("M5: who would have to move and does not speak is forgotten; who may not stays") {
  for (const bool moves : {true, false}) {
    DynaddrRouter router{moves ? 5u : 1u};
    for (net::Port port = 1; port <= 100; ++port) router.leaves(query().from("192.168.1.10", port));
    router.send_from_host(kWan, udp().from(kOld, 9).to("198.51.100.1", 53).payload("own"));
    router.readdress(kNew);
    router.pass(std::chrono::seconds{1});
    CHECK(router.shard.connections().size() == (moves ? 1 : 101));
    CHECK(router.shard.lost_addresses().empty() == moves);
  }
}

TEST_CASE("M5: moves are told of in the verbose modes only") {
  for (const unsigned mode : {1u, 2u, 5u, 7u}) {
    CAPTURE(mode);
    DynaddrRouter router{mode};
    router.leaves(query());
    router.readdress(kNew);
    router.leaves(query());
    const auto moves = router.shard.lost_addresses().take_moves();
    REQUIRE(moves.size() == ((mode & 2) != 0 ? 1 : 0));
    for (const path::Move& move : moves) {
      CHECK(move.from == address(kOld));
      CHECK(move.to == address(kNew));
    }
    CHECK(router.shard.lost_addresses().take_moves().empty());
  }
}

TEST_CASE("M5: connections of an earlier process behind an address that is gone move too") {
  char folder[] = "/tmp/masqgate-dynaddr-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  const path::ShardOptions options{.region = std::string{folder} + "/connections",
                                   .max_connections = 1024};
  path::Policy policy;
  {
    DynaddrRouter before{5, options};
    CHECK(before.leaves(query()) == kOld);
    before.policy.ports[kWan].addresses = {
        *net::InterfaceAddress::parse(std::string{kNew} + "/24")};
    policy = before.policy;
  }
  FakeAsker asker;
  path::Shard after{options, HashKey{1, 2}, asker, Time{std::chrono::seconds{1000}}};
  REQUIRE(after.connections().size() == 1);
  after.set_policy(std::make_shared<path::Policy>(policy));
  CHECK_FALSE(after.lost_addresses().empty());
  after.tick(Time{std::chrono::seconds{1001}});
  CHECK(after.connections().size() == 0);
  CHECK(after.lost_addresses().empty());
  ::unlink(options.region.c_str());
  ::rmdir(folder);
}

TEST_CASE("M4: a changed timeout acts at the connection's next packet, not before") {
  TestRouter router;
  const auto alive = [&] { return router.shard.connections().size() == 1; };
  router.arrive(kLan, query());
  router.policy.timeouts.udp = std::chrono::seconds{5};
  router.apply();
  router.pass(std::chrono::seconds{20});  // of the 30 that it had
  REQUIRE(alive());
  router.arrive(kLan, query());
  router.pass(std::chrono::seconds{4});
  CHECK(alive());
  router.pass(std::chrono::seconds{2});
  CHECK_FALSE(alive());
  // A longer one too.
  router.arrive(kLan, query());
  router.policy.timeouts.udp = std::chrono::seconds{100};
  router.apply();
  router.arrive(kLan, query());
  router.pass(std::chrono::seconds{90});
  CHECK(alive());
}

TEST_CASE("M4: … also where packets take the short cut") {
  TestRouter router;
  const auto answer = udp().from("198.51.100.1", 53).to(kOld, 4000).payload("answer");
  for (int i = 0; i < 3; ++i) {
    router.arrive(kLan, query());
    router.arrive(kWan, answer);
  }
  REQUIRE(router.shard.counters().shortcuts > 0);
  router.policy.timeouts.udp_stream = std::chrono::seconds{5};
  router.apply();
  router.pass(std::chrono::seconds{100});
  REQUIRE(router.shard.connections().size() == 1);
  router.arrive(kLan, query());
  router.pass(std::chrono::seconds{6});
  CHECK(router.shard.connections().size() == 0);
}

TEST_CASE("M6: loose UDP: classic rules take answers from anybody, other profiles do not change") {
  struct Row {
    bool loose;
    nat::Behaviour behaviour;
    bool enters;
  };
  for (const Row& row : {Row{false, nat::kClassic22, false}, Row{true, nat::kClassic22, true},
                         Row{true, nat::kRfc, false}, Row{true, nat::kSymmetric, false}}) {
    TestRouter router;
    router.policy.nat.source[0].behaviour = row.behaviour;
    router.policy.nat.loose_udp = row.loose;
    router.apply();
    const auto outside = [&](const PacketBuilder& packet) {
      router.arrive(kLan, packet);
      const Octets out = router.one(kWan);
      return net::Endpoint{address(kOld), wire::load16(out, 20)};
    };
    const net::Endpoint first = outside(query());
    router.arrive(kWan, udp().from("198.51.100.99", 1234).to(kOld, first.port).payload("hello"));
    CHECK((router.left(kLan).size() == 1) == row.enters);
    if (!row.enters) continue;
    // One port whomever it speaks to (history 2.5: the peer of the entry follows), in the range of 2.2.
    CHECK(outside(query().to("198.51.100.50", 99)) == first);
    CHECK(nat::Mappings::kClassicFirst <= first.port);
    CHECK(first.port < nat::Mappings::kClassicEnd);
    // Nobody else gets it, or it would be unclear whose the answer is.
    CHECK(outside(query().from("192.168.1.11", 4000)) != first);
    // TCP stays as strict as it was.
    const auto syn = [](const char* peer) {
      return tcp().from("192.168.1.10", 7000).to(peer, 80).flags("S");
    };
    CHECK(outside(syn("198.51.100.1")) != outside(syn("198.51.100.2")));
  }
}

}  // namespace path_dynaddr
