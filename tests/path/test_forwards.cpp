// Stories of PORTFW, AUTOFW and MFW: who inside gets what comes to our address (history 4, 10).

#include <doctest/doctest.h>

#include "tests/support/test_router.hpp"

namespace path_forwards {

using namespace masqgate;
using namespace masqgate::test;
using nat::AutoForward;
using nat::ForwardOrder;
using net::Protocol;
using Act = ForwardOrder::Act;

namespace {

constexpr auto kOurs = "203.0.113.7";
constexpr auto kPeer = "198.51.100.1";
constexpr auto kStranger = "198.51.100.66";

net::Endpoint at(const char* text, net::Port port) {
  return {address(text), port};
}

ForwardOrder portfw(const char* remote, int preference, Act act = Act::add) {
  return {act,
          nat::PortForward{Protocol::tcp, at(kOurs, 80), at(remote, 8080), preference, preference}};
}

// Opens UDP 7000 to 7010 for who speaks to TCP port 554, or to UDP port 554.
ForwardOrder autofw(Protocol control) {
  AutoForward entry;
  entry.kind = AutoForward::Kind::range;
  entry.protocol = Protocol::udp;
  entry.ports = {7000, 7010};
  entry.control_protocol = control;
  entry.control_port = 554;
  return {Act::add, entry};
}

void order(TestRouter& router, const ForwardOrder& what) {
  REQUIRE(router.shard.change_forwards(what) == nat::ForwardProblem::none);
}

PacketBuilder request(net::Port port) {
  return tcp().from(kPeer, port).to(kOurs, 80).flags("S");
}

PacketBuilder stream(const char* from, net::Port port = 7000) {
  return udp().from(from, 9000).to(kOurs, port).payload("sound");
}

// Whether such a packet reaches 192.168.1.10.
bool comes_in(TestRouter& router, const char* from, net::Port port = 7000) {
  router.arrive(kWan, stream(from, port));
  // The next one is to be a connection of its own, also where this one was for the router itself.
  if (auto* connection = router.connection(stream(from, port).tuple()))
    router.shard.connections().remove(*connection);
  const auto in = router.left(kLan);
  if (in.empty()) return false;
  CHECK(mismatch(in.at(0).bytes,
                 {source(from, 9000), destination("192.168.1.10", port), good_checksums()}) == "");
  return true;
}

}  // namespace

TEST_CASE("PORTFW: two servers with preferences 2 and 3 take turns A A B B B A A") {
  TestRouter router;
  router.know(kLan, "192.168.1.11");
  order(router, portfw("192.168.1.11", 3));
  order(router, portfw("192.168.1.10", 2));
  std::string turns;
  for (net::Port port = 5000; port < 5007; ++port) {
    router.arrive(kWan, request(port));
    const Octets in = router.one(kLan);
    const bool is_a = mismatch(in, {destination("192.168.1.10", 8080)}) == "";
    turns += is_a ? 'A' : 'B';
    CHECK(mismatch(in,
                   {source(kPeer, port), destination(is_a ? "192.168.1.10" : "192.168.1.11", 8080),
                    good_checksums()}) == "");
    // What the client sends again is the same connection, which is not counted again.
    router.arrive(kWan, request(port));
    CHECK(router.one(kLan) == in);
    router.arrive(kLan, answer_to(in, tcp().flags("S.")));
    CHECK(mismatch(router.one(kWan),
                   {source(kOurs, 80), destination(kPeer, port), good_checksums()}) == "");
  }
  CHECK(turns == "AABBBAA");
  CHECK(router.imbalance() == "");
}

TEST_CASE("PORTFW: an entry that is gone serves its connections on, and no new ones") {
  TestRouter router;
  order(router, portfw("192.168.1.10", 10));
  router.arrive(kWan, request(5000));
  const Octets in = router.one(kLan);
  order(router, portfw("192.168.1.10", 10, Act::remove));
  router.arrive(kLan, answer_to(in, tcp().flags("S.")));
  CHECK(mismatch(router.one(kWan), {source(kOurs, 80)}) == "");
  router.arrive(kWan, request(5001));
  CHECK(mismatch(router.one(kWan, Side::host), {destination(kOurs, 80)}) == "");
  CHECK(router.left(kLan).empty());
}

TEST_CASE("PORTFW: what is not for us is not looked at, nor what the router itself sends") {
  TestRouter router;
  order(router, portfw("192.168.1.10", 10));
  router.arrive(kWan, request(5000).to("203.0.113.8", 80));
  CHECK(router.left(kLan).empty());
  router.send_from_host(kWan, tcp().from(kOurs, 80).to(kPeer, 5000).flags("S"));
  CHECK(mismatch(router.one(kWan), {source(kOurs, 80), destination(kPeer, 5000)}) == "");
}

TEST_CASE("the masquerade table is asked before PORTFW") {
  TestRouter router;
  router.arrive(kLan, udp().from("192.168.1.10", 80).to(kPeer, 53).payload("query"));
  const Octets out = router.one(kWan);
  REQUIRE(mismatch(out, {source(kOurs, 80)}) == "");
  order(router,
        {Act::add, nat::PortForward{Protocol::udp, at(kOurs, 80), at("192.168.1.11", 80), 10, 10}});
  router.arrive(kWan, answer_to(out, udp().payload("answer")));
  CHECK(mismatch(router.one(kLan), {destination("192.168.1.10", 80)}) == "");
}

TEST_CASE("P-02: no mapping stands where PORTFW takes what comes in") {
  TestRouter router;
  order(router, portfw("192.168.1.11", 10));
  router.arrive(kLan, tcp().from("192.168.1.10", 80).to(kPeer, 443).flags("S"));
  CHECK(mismatch(router.one(kWan), {source(kOurs, 80)}) != "");
  // The other protocol's port is free.
  router.arrive(kLan, udp().from("192.168.1.10", 80).to(kPeer, 443).payload("x"));
  CHECK(mismatch(router.one(kWan), {source(kOurs, 80)}) == "");
}

TEST_CASE(
    "AUTOFW: a word to the control port opens the range to the peer, 15 s of silence close it") {
  TestRouter router;
  order(router, autofw(Protocol::udp));
  CHECK_FALSE(comes_in(router, kPeer));
  router.left(kWan, Side::host);
  router.arrive(kLan, udp().from("192.168.1.10", 4000).to(kPeer, 554).payload("play"));
  router.one(kWan);
  CHECK(comes_in(router, kPeer));
  CHECK(comes_in(router, kPeer, 7010));
  CHECK_FALSE(comes_in(router, kPeer, 7011));
  CHECK_FALSE(comes_in(router, kStranger));
  router.pass(std::chrono::seconds{14});
  CHECK(comes_in(router, kPeer));
  router.pass(std::chrono::seconds{2});
  CHECK_FALSE(comes_in(router, kPeer));
}

TEST_CASE("AUTOFW: every word of a long control connection counts, short cut or not") {
  TestRouter router;
  order(router, autofw(Protocol::tcp));
  const auto control = tcp().from("192.168.1.10", 4000).to(kPeer, 554);
  router.arrive(kLan, PacketBuilder{control}.flags("S").seq(100));
  const Octets syn = router.one(kWan);
  router.arrive(kWan, answer_to(syn, tcp().flags("S.").seq(900).ack(101)));
  router.one(kLan);
  for (int i = 0; i < 5; ++i) {
    router.arrive(kLan, PacketBuilder{control}.flags(".").seq(101).ack(901));
    router.one(kWan);
    router.pass(std::chrono::seconds{10});
    CHECK(comes_in(router, kPeer));
  }
  router.pass(std::chrono::seconds{6});
  CHECK_FALSE(comes_in(router, kPeer));
  // The table is empty: the connection may take the short cut now.
  order(router, {Act::flush, AutoForward{}});
  const auto before = router.shard.counters().shortcuts;
  for (int i = 0; i < 2; ++i) {
    router.arrive(kLan, PacketBuilder{control}.flags(".").seq(101).ack(901));
    router.one(kWan);
  }
  CHECK(router.shard.counters().shortcuts == before + 1);
}

TEST_CASE("AUTOFW: direct keeps the source port where the counter would choose another") {
  TestRouter router;
  for (nat::SourceRule& rule : router.policy.nat.source) rule.behaviour = nat::kClassic22;
  router.apply();
  AutoForward direct;
  direct.kind = AutoForward::Kind::direct;
  direct.protocol = Protocol::udp;
  direct.ports = {5000, 5001};
  order(router, {Act::add, direct});
  router.arrive(kLan, udp().from("192.168.1.10", 4000).to(kPeer, 5000).payload("x"));
  CHECK(mismatch(router.one(kWan), {source(kOurs, 4000)}) == "");
  router.arrive(kLan, udp().from("192.168.1.10", 4000).to(kPeer, 5002).payload("x"));
  CHECK(mismatch(router.one(kWan), {source(kOurs, 61000)}) == "");
}

}  // namespace path_forwards
