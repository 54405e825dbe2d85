// What the RFCs on translation ask and no other story shows: ICMP errors in all their shapes,
// protocols that are apart, options, and what ends when (RFC 4787, 5382, 5508, 7857).

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/support/test_router.hpp"

namespace path_rfc {

using namespace masqgate;
using namespace masqgate::test;
using nat::SourceRule;

namespace {

PacketBuilder query(net::Port port = 4000) {
  return udp().from("192.168.1.10", port).to("198.51.100.1", 53).payload("question");
}
PacketBuilder error_to_us(std::string_view from, Octets about) {
  return icmp_error(3, 1).from(from).to("203.0.113.7").quoting(std::move(about));
}
nat::AddressRange range(const char* first, const char* last) {
  return {address(first), address(last)};
}
Octets bytes(std::initializer_list<unsigned> values) {
  Octets out;
  for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}
net::Endpoint source_of(wire::Bytes ip_packet) {
  FramePool pool{1};
  Packet packet;
  packet.frame = pool.take();
  packet.frame.set_ip_size(ip_packet.size());
  std::ranges::copy(ip_packet, packet.frame.ip().begin());
  REQUIRE_FALSE(parse(packet));
  return packet.tuple.source();
}

// The inside packet that this one became outside, and back in an error from a router on its way.
void expect_home(TestRouter& router, Octets about) {
  router.arrive(kWan, error_to_us("192.0.2.33", std::move(about)));
  CHECK(mismatch(router.one(kLan),
                 {source("192.0.2.33"), destination("192.168.1.10"), icmp_type(3, 1),
                  quotes({source("192.168.1.10", 4000), destination("198.51.100.1", 53)})}) == "");
}

}  // namespace

TEST_CASE("U-15, U-16, I-12: an error of any router on the way comes home") {
  TestRouter router;
  router.arrive(kLan, query());
  expect_home(router, router.one(kWan));
  CHECK(router.imbalance() == "");
}

TEST_CASE("I-05: a quoted header with a wrong checksum is not believed, and nobody is told") {
  TestRouter router;
  router.arrive(kLan, query());
  Octets about = router.one(kWan);
  about[10] ^= std::byte{1};
  router.arrive(kWan, error_to_us("192.0.2.33", about));
  CHECK(router.left(kLan).empty());
  CHECK(router.left(kWan).empty());
  CHECK(router.imbalance() == "");
}

TEST_CASE("I-06: the ports of a quote are found behind any options") {
  for (std::size_t words = 0; words <= 10; ++words) {
    CAPTURE(words);
    TestRouter router;
    router.arrive(kLan, query().ip_options(Octets(4 * words, std::byte{1})));
    expect_home(router, router.one(kWan));
  }
}

TEST_CASE("I-07: a quote may be cut behind its ports, and its transport checksum be anything") {
  TestRouter router;
  router.arrive(kLan, query());
  const Octets whole = router.one(kWan);
  for (std::size_t size = 28; size <= whole.size(); ++size) {
    CAPTURE(size);
    expect_home(router, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
  }
  Octets wrong = whole;
  wrong[27] ^= std::byte{0x55};
  router.arrive(kWan, error_to_us("192.0.2.33", wrong));
  CHECK(mismatch(router.one(kLan), {destination("192.168.1.10"), icmp_type(3, 1)}) == "");
}

TEST_CASE("I-08: extensions behind a padded quote arrive as they were sent") {
  TestRouter router;
  router.arrive(kLan, query());
  Octets about = router.one(kWan);
  about.resize(128);  // RFC 4884 4.2: padded with zeros
  const Octets extension =
      bytes({0x20, 0x00, 0x8f, 0x1e, 0x00, 0x08, 0x01, 0x01, 0xde, 0xad, 0xbe, 0xef});
  about.insert(about.end(), extension.begin(), extension.end());
  router.arrive(kWan,
                icmp_error(3, 1, 32u << 16).from("192.0.2.33").to("203.0.113.7").quoting(about));
  const Octets home = router.one(kLan);
  CHECK(mismatch(home, {destination("192.168.1.10"), icmp_type(3, 1)}) == "");
  REQUIRE(home.size() == 20 + 8 + about.size());
  CHECK(std::equal(extension.begin(), extension.end(), home.end() - 12));
  CHECK(plain_sum(wire::Bytes{home}.subspan(20)) == 0xffff);
  CHECK(home[25] == std::byte{32});  // the length field, in words
}

TEST_CASE(
    "T-12, I-11, T-13: every code of type 3 about a TCP connection comes home, none ends it") {
  TestRouter router;
  router.arrive(kLan, tcp().flags("S").seq(7).from("192.168.1.10", 4000).to("198.51.100.1", 80));
  const Octets syn = router.one(kWan);
  for (std::uint8_t code = 0; code <= 15; ++code) {
    CAPTURE(code);
    const std::uint32_t rest = code == 4 ? 1400 : 0;
    router.arrive(kWan,
                  icmp_error(3, code, rest).from("192.0.2.33").to("203.0.113.7").quoting(syn));
    CHECK(mismatch(router.one(kLan), {icmp_type(3, code), destination("192.168.1.10"),
                                      quotes({source("192.168.1.10", 4000)})}) == "");
  }
  router.arrive(kWan, answer_to(syn, tcp().flags("S.").seq(1).ack(8)));
  CHECK(mismatch(router.one(kLan), {destination("192.168.1.10", 4000), tcp_flags("S.")}) == "");
}

TEST_CASE("I-01: timestamp and address mask queries go out and come home as echoes do") {
  struct Case {
    std::uint8_t ask, answer;
  };
  for (const Case& c : {Case{8, 0}, Case{13, 14}, Case{17, 18}}) {
    CAPTURE(c.ask);
    TestRouter router;
    router.arrive(kLan, icmp_error(c.ask, 0, 77u << 16 | 1).from("192.168.1.10"));
    CHECK(mismatch(router.one(kWan), {source("203.0.113.7"), icmp_identifier(77)}) == "");
    router.arrive(kWan,
                  icmp_error(c.answer, 0, 77u << 16 | 1).from("198.51.100.1").to("203.0.113.7"));
    CHECK(mismatch(router.one(kLan), {destination("192.168.1.10"), icmp_identifier(77)}) == "");
  }
}

TEST_CASE("I-18: an information request and a source quench get no answer") {
  TestRouter router;
  router.arrive(kWan, icmp_error(15, 0, 1).from("198.51.100.1").to("203.0.113.7"));
  router.arrive(kWan, icmp_error(4, 0).from("198.51.100.1").to("203.0.113.7").quoting(query()));
  CHECK(router.left(kWan).empty());
  CHECK(router.left(kLan).empty());
  CHECK(router.imbalance() == "");
}

TEST_CASE("T-04, C-09: TCP and UDP are filtered each by its own rule") {
  TestRouter router;
  SourceRule of_tcp = router.policy.nat.source[0], of_udp = of_tcp;
  of_tcp.selector.protocol = net::Protocol::tcp;
  of_tcp.behaviour.filtering = nat::Scope::connection;
  of_udp.selector.protocol = net::Protocol::udp;
  of_udp.behaviour.filtering = nat::Scope::endpoint;
  router.policy.nat.source = {of_tcp, of_udp};
  router.apply();
  router.arrive(kLan, query());
  router.arrive(kLan, tcp().flags("S").from("192.168.1.10", 4000).to("198.51.100.1", 53));
  CHECK(router.left(kWan).size() == 2);
  router.arrive(kWan, udp().from("192.0.2.9", 9).to("203.0.113.7", 4000).payload("x"));
  CHECK(router.left(kLan).size() == 1);
  router.arrive(kWan, tcp().flags("S").from("192.0.2.9", 9).to("203.0.113.7", 4000));
  CHECK(router.left(kLan).empty());
}

TEST_CASE("X-07: whom UDP spoke to may not come in by TCP") {
  TestRouter router;
  router.arrive(kLan, query());
  CHECK(router.left(kWan).size() == 1);
  router.arrive(kWan, tcp().flags("S").from("198.51.100.1", 99).to("203.0.113.7", 4000));
  CHECK(router.left(kLan).empty());
  router.arrive(kWan, udp().from("198.51.100.1", 99).to("203.0.113.7", 4000).payload("x"));
  CHECK(router.left(kLan).size() == 1);
}

TEST_CASE("T-11: a connection of TCP between hosts inside shows outside endpoints to both") {
  TestRouter router;
  router.policy.nat.source[0].behaviour = nat::kOpen;
  router.apply();
  router.arrive(kLan, tcp().flags("S").from("192.168.1.11", 5000).to("198.51.100.1", 80));
  const net::Endpoint of_listener = source_of(router.one(kWan));
  router.arrive(kLan, tcp().flags("S").seq(1).from("192.168.1.10", 4000).to(of_listener));
  const Octets syn = router.one(kLan);
  CHECK(mismatch(syn, {source("203.0.113.7", 4000), destination("192.168.1.11", 5000),
                       good_checksums()}) == "");
  router.arrive(kLan, answer_to(syn, tcp().flags("S.").seq(9).ack(2)));
  CHECK(mismatch(router.one(kLan), {source("203.0.113.7", of_listener.port),
                                    destination("192.168.1.10", 4000), good_checksums()}) == "");
}

TEST_CASE("X-10: where parity is off, a changed port may be of either kind") {
  for (const bool parity : {true, false}) {
    TestRouter router;
    router.policy.nat.source[0].behaviour.parity = parity;
    router.apply();
    std::set<int> kinds;
    for (int host = 10; host < 74; ++host) {
      router.arrive(kLan, query().from("192.168.1." + std::to_string(host), 4000));
      kinds.insert(source_of(router.one(kWan)).port % 2);
    }
    CHECK(kinds.size() == (parity ? 1 : 2));
  }
}

TEST_CASE("X-13: an identifier is free again when its last query has ended") {
  TestRouter router;
  const auto identifier = [&](std::string_view host, std::string_view peer) {
    router.arrive(kLan, icmp_echo(77).from(host).to(peer));
    return source_of(router.one(kWan)).port;
  };
  CHECK(identifier("192.168.1.10", "198.51.100.1") == 77);
  router.pass(std::chrono::seconds{20});
  CHECK(identifier("192.168.1.10", "198.51.100.2") == 77);
  router.pass(router.policy.timeouts.icmp - std::chrono::seconds{10});  // the first one has ended
  CHECK(identifier("192.168.1.11", "198.51.100.1") != 77);
  router.pass(std::chrono::seconds{20});
  CHECK(identifier("192.168.1.12", "198.51.100.1") == 77);
}

TEST_CASE("X-14, N-05: an address of its own answers queries from outside, by its host") {
  TestRouter router;
  SourceRule own = router.policy.nat.source[0];
  own.kind = SourceRule::Kind::network;
  own.selector.source = net::Prefix::parse("192.168.1.10/32");
  own.network = *net::Prefix::parse("203.0.113.9/32");
  nat::DestinationRule in;
  in.kind = nat::DestinationRule::Kind::network;
  in.selector.destination = own.network;
  in.network = *own.selector.source;
  router.policy.nat.source.insert(router.policy.nat.source.begin(), own);
  router.policy.nat.destination = {in};
  router.apply();
  router.arrive(kWan, icmp_echo(5).from("198.51.100.1").to("203.0.113.9"));
  CHECK(mismatch(router.one(kLan), {destination("192.168.1.10"), icmp_identifier(5)}) == "");
  router.arrive(kLan, icmp_echo_reply(5).from("192.168.1.10").to("198.51.100.1"));
  CHECK(mismatch(router.one(kWan), {source("203.0.113.9"), icmp_identifier(5)}) == "");
}

TEST_CASE("C-02, C-03, X-05, N-07: a pool of scattered ranges; who has no port left is refused") {
  TestRouter router;
  SourceRule& rule = router.policy.nat.source[0];
  CHECK(rule.behaviour.paired);
  rule.kind = SourceRule::Kind::pool;
  rule.pool = {range("203.0.113.20", "203.0.113.20"), range("203.0.113.40", "203.0.113.41")};
  rule.ports = {5000, 5003};
  rule.behaviour.parity = false;
  router.apply();
  std::set<net::IpAddress> used;
  std::size_t sent = 0;
  for (net::Port port = 1; port <= 6; ++port) {
    router.arrive(kLan, query(port));
    for (const auto& out : router.left(kWan)) {
      used.insert(source_of(out.bytes).address);
      ++sent;
    }
  }
  CHECK(sent == 4);
  CHECK(used.size() == 1);
  CHECK(router.drops(DropReason::no_free_ports) == 2);
  for (int host = 20; host < 60; ++host) {
    router.arrive(kLan, query().from("192.168.1." + std::to_string(host), 4000));
    for (const auto& out : router.left(kWan)) used.insert(source_of(out.bytes).address);
  }
  CHECK(used ==
        std::set{address("203.0.113.20"), address("203.0.113.40"), address("203.0.113.41")});
}

TEST_CASE("N-03: after one FIN the other side may speak for as long as it likes") {
  TestRouter router;
  const auto client = [] { return tcp().from("192.168.1.10", 4000).to("198.51.100.1", 80); };
  const auto server = [] { return tcp().from("198.51.100.1", 80).to("203.0.113.7", 4000); };
  router.arrive(kLan, client().flags("S").seq(0));
  router.arrive(kWan, server().flags("S.").seq(0).ack(1));
  router.arrive(kLan, client().flags("F.").seq(1).ack(1));
  CHECK(router.left(kLan).size() == 1);
  CHECK(router.left(kWan).size() == 2);
  for (std::uint32_t i = 0; i < 50; ++i) {
    router.pass(std::chrono::seconds{50});
    router.arrive(kWan, server().flags(".").seq(1 + 4 * i).ack(2).payload("more"));
    REQUIRE(router.left(kLan).size() == 1);
    router.arrive(kLan, client().flags(".").seq(2).ack(5 + 4 * i));
  }
}

TEST_CASE("N-04: a recorded route and time stamps pass a translation as they are") {
  const Octets record = bytes({7, 11, 8, 192, 168, 1, 10, 0, 0, 0, 0, 0});  // RFC 791 3.1
  const Octets stamps = bytes({68, 12, 5, 1, 10, 0, 0, 1, 0, 0, 0, 5});
  for (const Octets& options : {record, stamps}) {
    TestRouter router;
    router.arrive(kLan, query().ip_options(options));
    const Octets out = router.one(kWan);
    CHECK(mismatch(out, {source("203.0.113.7", 4000), good_checksums()}) == "");
    CHECK(std::equal(options.begin(), options.end(), out.begin() + 20));
  }
}

TEST_CASE("N-08: an answer about names is passed as it came, whatever addresses it tells") {
  TestRouter router;
  router.arrive(kLan, query());
  const Octets out = router.one(kWan);
  // A record of type A for 203.0.113.7, our own address (RFC 1035 4.1).
  const Octets told = bytes({0, 1, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0,   0, 1,   'a', 0,
                             0, 1, 0,    1,    0, 0, 0, 9, 0, 4, 203, 0, 113, 7});
  router.arrive(kWan, answer_to(out, udp().payload(told)));
  const Octets home = router.one(kLan);
  REQUIRE(home.size() == 28 + told.size());
  CHECK(std::equal(told.begin(), told.end(), home.begin() + 28));
}

// Who watches its own packets learns nothing of others': ports are not counted on, and masqgate's
// own packets have no identification to count.
TEST_CASE("TS-10: neither ports nor identifications tell one host of another") {
  TestRouter router;
  int steps = 0;
  net::Port last = 0;
  for (net::Port port = 6000; port < 6064; ++port) {
    for (const char* host : {"192.168.1.12", "192.168.1.11"}) {
      router.arrive(kLan, query(port).from(host, port));
      const net::Port given = source_of(router.one(kWan)).port;
      if (given == port) continue;  // its own: nothing was chosen
      steps += std::abs(given - last) <= 2 ? 1 : 0;
      last = given;
    }
  }
  CHECK(steps <= 2);
  router.arrive(kLan, query(4001).identification(0x1234));
  CHECK(wire::load16(router.one(kWan), 4) == 0x1234);
  for (int i = 0; i < 3; ++i) {
    router.arrive(kLan, query(4001).ttl(1).from("192.168.1." + std::to_string(10 + i % 2)));
    CHECK(wire::load16(router.one(kLan), 4) == 0);
    router.pass(std::chrono::seconds{1});
  }
}

}  // namespace path_rfc
