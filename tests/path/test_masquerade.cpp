// Stories of masquerading: what leaves, what comes home, what never gets out (M1, M2, M3, M9).

#include <doctest/doctest.h>

#include "tests/support/test_router.hpp"

namespace path_masquerade {

using namespace masqgate;
using namespace masqgate::test;

namespace {

PacketBuilder query() {
  return udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("query");
}

}  // namespace

TEST_CASE("M1: a query leaves with our address and its answer comes home") {
  TestRouter router;
  router.arrive(kLan, query());
  const Octets out = router.one(kWan);
  CHECK(mismatch(out, {source("203.0.113.7", 4000), destination("198.51.100.1", 53), ttl(63),
                       good_checksums()}) == "");
  router.arrive(kWan, answer_to(out, udp().payload("answer")));
  CHECK(mismatch(router.one(kLan), {source("198.51.100.1", 53), destination("192.168.1.10", 4000),
                                    ttl(63), payload("answer"), good_checksums()}) == "");
  CHECK(router.imbalance() == "");
}

TEST_CASE("M1: two hosts with the same port get two outside ports") {
  TestRouter router;
  router.arrive(kLan, query());
  router.arrive(kLan, query().from("192.168.1.11", 4000));
  const auto out = router.left(kWan);
  REQUIRE(out.size() == 2);
  CHECK(mismatch(out[0].bytes, {source("203.0.113.7", 4000)}) == "");
  CHECK(mismatch(out[1].bytes, {source("203.0.113.7", 4000)}) != "");
  for (const auto& packet : out) {
    router.arrive(kWan, answer_to(packet.bytes, udp().payload("answer")));
    CHECK(mismatch(router.one(kLan), {good_checksums()}) == "");
  }
}

TEST_CASE("M1: partial checksums and big segments pass as they are, only adjusted") {
  TestRouter router;
  const auto big = tcp()
                       .from("192.168.1.10", 4000)
                       .to("198.51.100.1", 80)
                       .flags(".")
                       .payload_size(20000)
                       .gso(1448);
  router.arrive(kLan, big);
  const auto out = router.left(kWan);
  REQUIRE(out.size() == 1);
  CHECK(out[0].offload.gso_size == 1448);
  CHECK(mismatch(out[0].bytes, {source("203.0.113.7", 4000), good_checksums(out[0].offload)}) ==
        "");
}

TEST_CASE("M2, I-01: an echo request leaves with our address, its reply comes home") {
  TestRouter router;
  router.arrive(kLan, icmp_echo(77).from("192.168.1.10").to("198.51.100.1").payload("ping"));
  const Octets out = router.one(kWan);
  CHECK(mismatch(out, {source("203.0.113.7"), icmp_identifier(77), good_checksums()}) == "");
  router.arrive(kWan, icmp_echo_reply(77).from("198.51.100.1").to("203.0.113.7").payload("ping"));
  CHECK(mismatch(router.one(kLan),
                 {destination("192.168.1.10"), icmp_identifier(77), good_checksums()}) == "");
}

TEST_CASE("M2, I-10, I-11, I-12: an error comes home quoting the packet that was sent inside") {
  TestRouter router;
  router.arrive(kLan, query());
  const Octets out = router.one(kWan);
  router.arrive(kWan, icmp_error(3, 3).from("198.51.100.1").to("203.0.113.7").quoting(out));
  CHECK(mismatch(router.one(kLan),
                 {source("198.51.100.1"), destination("192.168.1.10"), icmp_type(3, 3),
                  quotes({source("192.168.1.10", 4000), destination("198.51.100.1", 53)}),
                  good_checksums()}) == "");
}

TEST_CASE("M2, I-13: an error of an inside host leaves with our address and our packet in it") {
  TestRouter router;
  router.arrive(kLan, query());
  const Octets out = router.one(kWan);
  router.arrive(kWan, answer_to(out, udp().payload("answer")));
  const Octets answer = router.one(kLan);
  router.arrive(kLan, icmp_error(3, 3).from("192.168.1.10").to("198.51.100.1").quoting(answer));
  CHECK(mismatch(router.one(kWan),
                 {source("203.0.113.7"), destination("198.51.100.1"),
                  quotes({source("198.51.100.1", 53), destination("203.0.113.7", 4000)}),
                  good_checksums()}) == "");
}

TEST_CASE(
    "M2, I-17: traceroute: the last hop's life ends here, and the sender hears it from our inside "
    "address") {
  TestRouter router;
  router.arrive(kLan, query().ttl(1));
  CHECK(mismatch(router.one(kLan),
                 {source("192.168.1.1"), destination("192.168.1.10"), icmp_type(11, 0),
                  quotes({source("192.168.1.10", 4000), ttl(1)}), good_checksums()}) == "");
  CHECK(router.drops(DropReason::ttl_exceeded) == 1);
  CHECK(router.shard.connections().size() == 0);
  CHECK(router.imbalance() == "");
}

TEST_CASE(
    "M2, U-17, U-18: too big for the link: who forbids cutting hears the MTU, others are cut") {
  TestRouter router;
  router.policy.ports[kWan].mtu = 1280;
  router.apply();
  router.arrive(kLan, query().payload_size(1400).dont_fragment());
  CHECK(mismatch(router.one(kLan),
                 {icmp_type(3, 4), destination("192.168.1.10"),
                  quotes({source("192.168.1.10", 4000), destination("198.51.100.1", 53), ttl(64)}),
                  good_checksums()}) == "");
  router.arrive(kLan, query().payload_size(1400));
  const auto pieces = router.left(kWan);
  REQUIRE(pieces.size() == 2);
  for (const auto& piece : pieces) CHECK(mismatch(piece.bytes, {source("203.0.113.7")}) == "");
  CHECK(router.imbalance() == "");
}

TEST_CASE("M9: the router's own port is never a masqueraded one") {
  TestRouter router;
  router.send_from_host(kWan,
                        udp().from("203.0.113.7", 4000).to("198.51.100.1", 53).payload("own"));
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 4000)}) == "");
  router.arrive(kLan, query());
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 4000)}) != "");
  // And the other way round: a port that is masqueraded already is changed for the router.
  router.arrive(kLan, query().from("192.168.1.11", 5000));
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 5000)}) == "");
  router.send_from_host(kWan,
                        udp().from("203.0.113.7", 5000).to("198.51.100.1", 53).payload("own"));
  const Octets own = router.one(kWan);
  CHECK(mismatch(own, {source("203.0.113.7", 5000)}) != "");
  router.arrive(kWan, answer_to(own, udp().payload("answer")));
  CHECK(mismatch(router.one(kWan, Side::host),
                 {destination("203.0.113.7", 5000), good_checksums()}) == "");
}

TEST_CASE("K-29: what cannot be translated does not leave") {
  TestRouter router;
  // A reset of nothing, a reply to nothing, a later fragment.
  router.arrive(kLan, tcp().from("192.168.1.10", 1).to("198.51.100.1", 2).flags("R"));
  router.arrive(kLan, icmp_echo_reply(5).from("192.168.1.10").to("198.51.100.1"));
  router.arrive(
      kLan,
      udp().from("192.168.1.10", 1).to("198.51.100.1", 2).payload_size(64).fragment(64, false));
  router.pass(std::chrono::seconds{3});
  CHECK(router.left(kWan).empty());
  CHECK(router.drops(DropReason::untranslatable) == 2);
  CHECK(router.drops(DropReason::fragment) == 1);
  // From outside to an inside address: the answers would show it.
  router.arrive(kWan, tcp().from("198.51.100.1", 1).to("192.168.1.10", 2).flags("S"));
  CHECK(router.left(kLan).empty());
  CHECK(router.drops(DropReason::untranslatable) == 3);
  CHECK(router.shard.connections().size() == 0);
}

TEST_CASE("M3: classic ports come from 61000 on, and what is free is counted") {
  TestRouter router;
  router.policy.nat.source[0].behaviour = nat::kClassic22;
  router.apply();
  router.arrive(kLan, query());
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 61000)}) == "");
  router.arrive(kLan, icmp_echo(1).from("192.168.1.10").to("198.51.100.1"));
  CHECK(mismatch(router.one(kWan), {icmp_identifier(61001)}) == "");
  CHECK(router.shard.mappings().classic_free(net::Protocol::udp) == 40959);
  CHECK(router.shard.mappings().classic_free(net::Protocol::tcp) == 40960);
  router.pass(std::chrono::hours{1});
  CHECK(router.shard.mappings().classic_free(net::Protocol::udp) == 40960);
}

TEST_CASE("IPv6 is forwarded and tracked, not translated") {
  TestRouter router;
  router.arrive(kLan, udp().from("fd00:1::10", 4000).to("2001:db8:9::1", 53).payload("query"));
  CHECK(mismatch(router.one(kWan), {source("fd00:1::10", 4000), ttl(63), good_checksums()}) == "");
  CHECK(router.shard.connections().size() == 1);
}

TEST_CASE("a packet for an unknown neighbour waits until Linux has found it, or fails by name") {
  TestRouter router;
  router.know(kWan, "203.0.113.1", neighbour::State::unresolved);
  router.arrive(kLan, query());
  CHECK(router.left(kWan).empty());
  CHECK(router.imbalance() == "");
  REQUIRE(router.asker.asked.size() == 1);
  CHECK(router.asker.asked[0].second == address("203.0.113.1"));
  router.know(kWan, "203.0.113.1");
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 4000)}) == "");

  router.know(kWan, "203.0.113.1", neighbour::State::unresolved);
  router.pass(std::chrono::seconds{2});
  router.arrive(kLan, query());
  router.know(kWan, "203.0.113.1", neighbour::State::failed);
  CHECK(mismatch(router.one(kLan), {icmp_type(3, 1), quotes({source("192.168.1.10", 4000)}),
                                    good_checksums()}) == "");
  CHECK(router.drops(DropReason::neighbour_failed) == 1);
  CHECK(router.imbalance() == "");
}

TEST_CASE("a full table: established connections stay, new ones are dropped by name") {
  TestRouter router{{.region = {}, .max_connections = 4}};
  const auto established = [&](net::Port port) {
    for (int i = 0; i < 2; ++i) {
      router.arrive(kLan, query().from("192.168.1.10", port));
      router.arrive(kWan, answer_to(router.one(kWan), udp().payload("answer")));
      router.one(kLan);
    }
  };
  for (net::Port port = 1; port <= 4; ++port) established(static_cast<net::Port>(4000 + port));
  CHECK(router.shard.connections().size() == 4);
  router.arrive(kLan, query().from("192.168.1.11", 9));
  CHECK(router.drops(DropReason::table_full) == 1);
  CHECK(mismatch(router.one(kLan), {destination("192.168.1.11"), icmp_type(3, 1)}) == "");
  established(4001);
  CHECK(router.shard.connections().size() == 4);
}

TEST_CASE("a connection behind an address that the port has lost begins anew behind the new one") {
  TestRouter router;
  router.arrive(kLan, query());
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 4000)}) == "");
  router.policy.ports[kWan].addresses = {*net::InterfaceAddress::parse("203.0.113.8/24")};
  router.apply();
  router.arrive(kLan, query());
  CHECK(mismatch(router.one(kWan), {source("203.0.113.8", 4000), good_checksums()}) == "");
}

TEST_CASE("M7, U-19: fragments are translated in any order, boundaries kept") {
  const auto piece = [](std::size_t offset, bool more) {
    return udp()
        .from("192.168.1.10", 4000)
        .to("198.51.100.1", 53)
        .identification(77)
        .payload_size(64)
        .fragment(offset, more);
  };
  const PacketBuilder first = piece(0, true), second = piece(72, true), last = piece(136, false);
  struct Case {
    const char* name;
    std::vector<PacketBuilder> order;
  };
  for (const Case& c :
       {Case{"in order", {first, second, last}}, Case{"last first", {last, second, first}},
        Case{"first in the middle", {second, first, last}}}) {
    CAPTURE(c.name);
    TestRouter router;
    for (const PacketBuilder& packet : c.order) router.arrive(kLan, packet);
    const auto out = router.left(kWan);
    REQUIRE(out.size() == 3);
    for (const auto& packet : out)
      CHECK(mismatch(packet.bytes, {source("203.0.113.7"), ttl(63)}) == "");
    CHECK(router.shard.connections().size() == 1);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE(
    "U-20: fragments whose first one never comes wait in a bounded place and are dropped by name") {
  TestRouter router;
  for (unsigned i = 0; i < 5000; ++i)
    router.arrive(kLan, udp()
                            .from("192.168.1.10", 1)
                            .to("198.51.100.1", 2)
                            .identification(i)
                            .payload_size(64)
                            .fragment(64, false));
  CHECK(router.shard.parked() == fragment::Flows::kMostWaitingOfSource);
  const std::uint64_t begun = fragment::Flows::kMostOfSource;
  CHECK(router.drops(DropReason::fragment) == begun - fragment::Flows::kMostWaitingOfSource);
  CHECK(router.drops(DropReason::fragment_limit) == 5000 - begun);
  // Others pass meanwhile.
  router.arrive(kLan, query());
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 4000)}) == "");
  router.pass(std::chrono::seconds{3});
  CHECK(router.drops(DropReason::fragment) == begun);
  CHECK(router.imbalance() == "");
}

}  // namespace path_masquerade
