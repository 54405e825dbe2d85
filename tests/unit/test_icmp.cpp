// Unit tests of daemon/icmp: which packets are answered, what the answers look like, how many there
// are.

#include <doctest/doctest.h>

#include "daemon/icmp/error.hpp"
#include "daemon/icmp/rate_limiter.hpp"
#include "daemon/icmp/reset.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;
using namespace std::chrono_literals;
using icmp::Message;
using net::Family;

namespace {

constexpr const char* kRouter4 = "203.0.113.7";
constexpr const char* kRouter6 = "2001:db8:ffff::1";

// What a router would send about a packet.
struct Answer {
  FramePool pool{2};
  Packet about;
  Frame frame;
  bool built;

  Answer(const PacketBuilder& packet, Message message, bool ttl_taken = false)
      : about{packet_of(pool, packet)}, frame{pool.take()} {
    about.ttl_taken = ttl_taken;
    built = icmp::build_error(frame, about, message, address(about.is_v4() ? kRouter4 : kRouter6));
  }
  wire::Bytes bytes() const { return frame.ip(); }
  Octets quote() const {
    const wire::Bytes found = quote_in(bytes());
    return {found.begin(), found.end()};
  }
};

}  // namespace

TEST_CASE("error: the messages have the numbers of both families") {
  struct Case {
    Message message;
    Message expected;
  };
  using icmp::Unreachable;
  for (const Case& c : {Case{icmp::time_exceeded(Family::v4), {11, 0, 0}},
                        Case{icmp::time_exceeded(Family::v6), {3, 0, 0}},
                        Case{icmp::unreachable(Family::v4, Unreachable::no_route), {3, 0, 0}},
                        Case{icmp::unreachable(Family::v4, Unreachable::host), {3, 1, 0}},
                        Case{icmp::unreachable(Family::v4, Unreachable::port), {3, 3, 0}},
                        Case{icmp::unreachable(Family::v4, Unreachable::prohibited), {3, 13, 0}},
                        Case{icmp::unreachable(Family::v6, Unreachable::no_route), {1, 0, 0}},
                        Case{icmp::unreachable(Family::v6, Unreachable::host), {1, 3, 0}},
                        Case{icmp::unreachable(Family::v6, Unreachable::port), {1, 4, 0}},
                        Case{icmp::unreachable(Family::v6, Unreachable::prohibited), {1, 1, 0}},
                        Case{icmp::too_big(Family::v4, 1400), {3, 4, 1400}},
                        Case{icmp::too_big(Family::v4, 70000), {3, 4, 0xffff}},
                        Case{icmp::too_big(Family::v6, 70000), {2, 0, 70000}}}) {
    CAPTURE(int{c.expected.type});
    CAPTURE(int{c.expected.code});
    CHECK(c.message == c.expected);
  }
}

TEST_CASE("error: goes to the sender, quotes the packet, is marked as internetwork control") {
  const PacketBuilder packet = udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("x");
  const Answer answer{packet, icmp::unreachable(Family::v4, icmp::Unreachable::host)};
  REQUIRE(answer.built);
  CHECK(mismatch(answer.bytes(), {source(kRouter4), destination("192.168.1.10"), ttl(64), tos(0xc0),
                                  icmp_type(3, 1), good_checksums()}) == "");
  CHECK(answer.quote() == packet.ip_bytes());
  CHECK_FALSE(answer.frame.offload.needs_checksum());
}

TEST_CASE("error: the same over IPv6") {
  const PacketBuilder packet = udp().from("2001:db8::1", 4000).to("2001:db8:9::1", 53).payload("x");
  const Answer answer{packet, icmp::too_big(Family::v6, 1400)};
  REQUIRE(answer.built);
  CHECK(mismatch(answer.bytes(), {source(kRouter6), destination("2001:db8::1"), ttl(64),
                                  icmp_type(2, 0), good_checksums()}) == "");
  CHECK(wire::load32(answer.bytes(), 44) == 1400);
  CHECK(answer.quote() == packet.ip_bytes());
}

TEST_CASE("error: the quoted header has the hop limit with which the packet arrived") {
  for (const char* to : {"198.51.100.1", "2001:db8::1"}) {
    CAPTURE(to);
    const PacketBuilder arrived = tcp().to(to, 80).flags("S").ttl(9);
    const PacketBuilder decremented = tcp().to(to, 80).flags("S").ttl(8);
    const Answer taken{decremented, icmp::time_exceeded(arrived.family()), true};
    CHECK(taken.quote() == arrived.ip_bytes());
    CHECK(mismatch(taken.bytes(), {good_checksums(), quotes({ttl(9)})}) == "");
    const Answer untouched{arrived, icmp::time_exceeded(arrived.family()), false};
    CHECK(untouched.quote() == arrived.ip_bytes());
  }
}

TEST_CASE("error: quotes as much as fits 576 bytes, 1280 for IPv6, header options included") {
  struct Case {
    const char* to;
    std::size_t payload;
    std::size_t size;
  };
  for (const Case& c : {Case{"198.51.100.1", 0, 20 + 8 + 28}, Case{"198.51.100.1", 1, 20 + 8 + 29},
                        Case{"198.51.100.1", 520, 576}, Case{"198.51.100.1", 521, 576},
                        Case{"198.51.100.1", 9000, 576}, Case{"2001:db8::1", 0, 40 + 8 + 48},
                        Case{"2001:db8::1", 1184, 1280}, Case{"2001:db8::1", 1185, 1280},
                        Case{"2001:db8::1", 9000, 1280}}) {
    CAPTURE(c.to);
    CAPTURE(c.payload);
    const PacketBuilder packet = udp().to(c.to, 53).payload_size(c.payload);
    const Answer answer{packet, icmp::unreachable(packet.family(), icmp::Unreachable::host)};
    CHECK(answer.bytes().size() == c.size);
    CHECK(good_checksums(answer.bytes()));
    const Octets whole = packet.ip_bytes();
    const Octets quote = answer.quote();
    CHECK(std::equal(quote.begin(), quote.end(), whole.begin()));
  }
  const PacketBuilder with_options = udp().ip_options(octets("\7\7\4\0\0\0\0")).payload_size(600);
  const Answer answer{with_options, icmp::time_exceeded(Family::v4)};
  CHECK(answer.bytes().size() == 576);
  CHECK(mismatch(answer.bytes(), {good_checksums(), quotes({source("192.168.1.10", 0)})}) == "");
}

TEST_CASE(
    "error: about a big unsegmented packet quotes what is there, asks the device for nothing") {
  for (const char* to : {"198.51.100.1", "2001:db8::1"}) {
    CAPTURE(to);
    PacketBuilder big = tcp().to(to, 80).flags("A").payload_size(40000).gso(1448);
    const Answer answer{big, icmp::too_big(big.family(), 1280), true};
    REQUIRE(answer.built);
    CHECK(good_checksums(answer.bytes()));
    CHECK_FALSE(answer.frame.offload.needs_checksum());
    CHECK(answer.frame.offload.gso() == wire::VnetHeader::Gso::none);
    const Octets whole = big.ttl(65).ip_bytes();
    const Octets quote = answer.quote();
    CHECK(std::equal(quote.begin(), quote.end(), whole.begin()));
  }
}

TEST_CASE("error: needs a frame and a source of the packet's family") {
  FramePool pool{3};
  const Packet about = packet_of(pool, udp());
  Frame none;
  Frame frame = pool.take();
  const Message message = icmp::time_exceeded(Family::v4);
  CHECK_FALSE(icmp::build_error(none, about, message, address(kRouter4)));
  CHECK_FALSE(icmp::build_error(frame, about, message, address(kRouter6)));
  CHECK(icmp::build_error(frame, about, message, address(kRouter4)));
}

TEST_CASE("I-19: answers are never for errors, later fragments, groups, nobody") {
  const auto inner4 = udp();
  const auto inner6 = udp().to("2001:db8::1");
  struct Case {
    const char* name;
    PacketBuilder packet;
    bool answer;
    bool too_big;
    bool link_group = false;
  };
  for (const Case& c : {
           Case{"udp", udp(), true, true},
           Case{"tcp over IPv6", tcp().to("2001:db8::1"), true, true},
           Case{"other protocols", ip(net::Protocol::gre).payload("12345678"), true, true},
           Case{"echo", icmp_echo(1), true, true},
           Case{"echo reply", icmp_echo_reply(1), true, true},
           Case{"echo over IPv6", icmp_echo(1).to("2001:db8::1"), true, true},
           Case{"unreachable", icmp_error(3, 1).quoting(inner4), false, false},
           Case{"source quench", icmp_error(4, 0).quoting(inner4), false, false},
           Case{"redirect", icmp_error(5, 1).quoting(inner4), false, false},
           Case{"time exceeded", icmp_error(11, 0).quoting(inner4), false, false},
           Case{"parameter problem", icmp_error(12, 0).quoting(inner4), false, false},
           Case{"unknown ICMP type", icmp_error(40, 0), false, false},
           Case{"ICMPv6 error", icmp_error(1, 0).to("2001:db8::1").quoting(inner6), false, false},
           Case{"unknown ICMPv6 error", icmp_error(99, 0).to("2001:db8::1"), false, false},
           Case{"ICMPv6 redirect", icmp_error(137, 0).to("2001:db8::1"), false, false},
           Case{"neighbour solicitation", icmp_error(135, 0).to("2001:db8::1"), true, true},
           Case{"error quoted in a first fragment",
                icmp_error(3, 1).quoting(udp().payload("1234")).fragment(0, true), false, false},
           Case{"first fragment", udp().fragment(0, true).payload_size(64), true, true},
           Case{"later fragment", udp().fragment(64, false).payload("tail"), false, false},
           Case{"later fragment over IPv6",
                udp().to("2001:db8::1").fragment(64, true).payload_size(64), false, false},
           Case{"to a group", udp().to("224.0.0.5"), false, false},
           Case{"to everybody", udp().to("255.255.255.255"), false, false},
           Case{"to a group over IPv6", udp().to("ff0e::5"), false, true},
           Case{"in a link group", udp(), false, false, true},
           Case{"in a link group over IPv6", udp().to("ff0e::5"), false, true, true},
           Case{"from nobody", udp().from("0.0.0.0"), false, false},
           Case{"from this network", udp().from("0.1.2.3"), false, false},
           Case{"from loopback", udp().from("127.0.0.1"), false, false},
           Case{"from a group", udp().from("239.1.1.1"), false, false},
           Case{"from everybody", udp().from("255.255.255.255"), false, false},
           Case{"from class E", udp().from("240.0.0.1"), false, false},
           Case{"from nobody over IPv6", udp().from("::").to("2001:db8::1"), false, false},
           Case{"from loopback over IPv6", udp().from("::1"), false, false},
           Case{"from a group over IPv6", udp().from("ff02::1"), false, false},
           Case{"from a link-local address", udp().from("fe80::1"), true, true},
       }) {
    CAPTURE(c.name);
    FramePool pool{1};
    Packet packet = packet_of(pool, c.packet);
    packet.link_group = c.link_group;
    CHECK(icmp::may_answer(packet, icmp::time_exceeded(packet.family)) == c.answer);
    CHECK(icmp::may_answer(packet, icmp::too_big(packet.family, 1280)) == c.too_big);
  }
}

TEST_CASE("TS-07: a reset acknowledges what the segment takes up, or follows its acknowledgement") {
  struct Case {
    const char* name;
    PacketBuilder segment;
    const char* flags;
    std::uint32_t seq;
    std::uint32_t ack;
  };
  for (const char* to : {"198.51.100.1", "2001:db8::1"}) {
    CAPTURE(to);
    for (Case c :
         {Case{"syn", tcp().flags("S").seq(1000), "RA", 0, 1001},
          Case{"syn with data", tcp().flags("S").seq(1000).payload("abc"), "RA", 0, 1004},
          Case{"fin", tcp().flags("F").seq(0xffffffff), "RA", 0, 0},
          Case{"data without ack", tcp().flags("P").seq(5).payload("abc"), "RA", 0, 8},
          Case{"ack", tcp().flags("A").seq(5).ack(777).payload("abc"), "R", 777, 0},
          Case{"syn ack", tcp().flags("SA").seq(5).ack(777), "R", 777, 0},
          Case{"options", tcp().flags("S").seq(1).tcp_options(octets("\2\4\5\xb4")), "RA", 0, 2},
          Case{"big and unfinished", tcp().flags("").seq(10).payload_size(30000).gso(1000), "RA", 0,
               30010}}) {
      CAPTURE(c.name);
      FramePool pool{2};
      const char* from =
          c.segment.to(to, 80).family() == Family::v4 ? "192.168.1.10" : "2001:db8:1::10";
      const Packet about = packet_of(pool, c.segment.from(from, 4000));
      Frame out = pool.take();
      REQUIRE(icmp::build_reset(out, about));
      CHECK(mismatch(out.ip(), {source(to, 80), destination(from, 4000), ttl(64),
                                tcp_flags(c.flags), payload(""), good_checksums()}) == "");
      const auto reset = wire::Tcp::parse(wire::Bytes{out.ip()}.subspan(about.is_v4() ? 20 : 40));
      CHECK(reset->sequence() == c.seq);
      CHECK(reset->acknowledgement() == c.ack);
    }
  }
}

TEST_CASE("TS-07: there is no reset for what deserves none") {
  struct Case {
    const char* name;
    PacketBuilder packet;
    bool link_group = false;
  };
  for (const Case& c :
       {Case{"a reset", tcp().flags("R")}, Case{"a reset with ack", tcp().flags("RA")},
        Case{"udp", udp()},
        Case{"a first fragment", tcp().flags("S").payload("1234").fragment(0, true)},
        Case{"a later fragment", tcp().fragment(64, false).payload("12345678")},
        Case{"a wrong checksum", tcp().flags("S").bad_checksum()},
        Case{"to a group", tcp().flags("S").to("224.0.0.1")},
        Case{"from a group", tcp().flags("S").from("224.0.0.1")},
        Case{"from nobody", tcp().flags("S").from("0.0.0.0")},
        Case{"in a link group", tcp().flags("S"), true}}) {
    CAPTURE(c.name);
    FramePool pool{2};
    Packet about = packet_of(pool, c.packet);
    about.link_group = c.link_group;
    Frame out = pool.take();
    CHECK_FALSE(icmp::build_reset(out, about));
  }
  FramePool pool{1};
  Frame none;
  CHECK_FALSE(icmp::build_reset(none, packet_of(pool, tcp().flags("S"))));
}

TEST_CASE("I-19, TS-07: a burst to each destination, then one an interval, and a limit of all") {
  const icmp::RateLimiter::Limits limits{
      .interval = 100ms, .burst = 3, .interval_of_all = 10ms, .burst_of_all = 5};
  icmp::RateLimiter limiter{HashKey{1, 2}, limits};
  const net::IpAddress a = address("192.0.2.1"), b = address("2001:db8::1");
  Time now{1h};
  for (int i = 0; i < 3; ++i) CHECK(limiter.allow(a, now));
  CHECK_FALSE(limiter.allow(a, now));
  CHECK_FALSE(limiter.allow(a, now + 99ms));
  CHECK(limiter.allow(a, now + 100ms));
  CHECK_FALSE(limiter.allow(a, now + 100ms));

  now += 10s;  // everything is full again, and no fuller than full
  for (int i = 0; i < 3; ++i) CHECK(limiter.allow(a, now));
  CHECK_FALSE(limiter.allow(a, now));
  CHECK(limiter.allow(b, now));
  CHECK(limiter.allow(b, now));
  CHECK_FALSE(limiter.allow(b, now));  // five in all
  CHECK_FALSE(limiter.allow_too_big(now));
  CHECK(limiter.allow_too_big(now + 10ms));
  CHECK_FALSE(limiter.allow(b, now + 10ms));
  // What the limit of all refused was not counted against b.
  CHECK(limiter.allow(b, now + 20ms));
  CHECK_FALSE(limiter.allow(b, now + 40ms));

  // Other hosts of the same /64 are the same destination.
  now += 10s;
  for (int i = 0; i < 3; ++i) CHECK(limiter.allow(net::IpAddress::v6(b.high(), 7), now));
  CHECK_FALSE(limiter.allow(b, now));
}

TEST_CASE("rate limiter: a too big is not held back by its destination") {
  icmp::RateLimiter limiter{HashKey{1, 2}};
  int allowed = 0;
  for (int i = 0; i < 50; ++i) allowed += limiter.allow_too_big(Time{1s}) ? 1 : 0;
  CHECK(allowed == 50);
}
