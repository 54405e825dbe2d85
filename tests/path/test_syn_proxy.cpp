// Stories of the SYN proxy: who is answered in a server's place, and what the two ends hear (K-20).

#include <doctest/doctest.h>

#include "daemon/syn_proxy/cookies.hpp"
#include "tests/path/tcp_ends.hpp"

namespace path_syn_proxy {

using namespace masqgate;
using namespace masqgate::test;
using std::chrono::seconds;
using syn_proxy::Cookies;

namespace {

constexpr std::uint32_t kClient = 100, kServer = 0xfffffff0;  // first numbers; one wraps

struct Guarded : TestRouter {
  Guarded() : TestRouter{{.region = {}, .max_connections = 1024}} {
    nat::DestinationRule web;
    web.owner = kWan;
    web.selector.protocol = net::Protocol::tcp;
    web.selector.destination_ports = {80, 80};
    web.to = {address("192.168.1.10"), address("192.168.1.10")};
    web.ports = {8080, 8080};
    policy.nat.destination = {web};
    policy.syn_proxy = {{kWan, web.selector}};
    apply();
  }
  static PacketBuilder client(std::string_view flags) {
    return tcp().from("198.51.100.9", 5555).to("203.0.113.7", 80).flags(flags);
  }
  static PacketBuilder server(std::string_view flags) {
    return tcp().from("192.168.1.10", 8080).to("198.51.100.9", 5555).flags(flags);
  }
  // What was sent there, all of it.
  std::vector<Arrived> heard(PortIndex port) {
    std::vector<Arrived> all;
    for (const auto& stored : left(port)) all.push_back(read_segment(stored));
    return all;
  }
  Arrived only(PortIndex port) {
    const auto all = heard(port);
    REQUIRE(all.size() == 1);
    return all.front();
  }
  // Asks and hears the cookie.
  std::uint32_t ask() {
    arrive(kWan, client("S").seq(kClient).tcp_options(octets("\x02\x04\x05\x78")));
    return only(kWan).sequence;
  }
  // The whole handshake; the cookie.
  std::uint32_t shake_hands() {
    const std::uint32_t cookie = ask();
    arrive(kWan, client(".").seq(kClient + 1).ack(cookie + 1));
    arrive(kLan, server("S.").seq(kServer).ack(kClient + 1));
    heard(kLan);
    heard(kWan);
    return cookie;
  }
};

}  // namespace

TEST_CASE("K-20: a flood of SYNs is answered, and nothing is remembered of it") {
  Guarded router;
  for (unsigned i = 0; i < 5000; ++i)
    router.arrive(kWan, Guarded::client("S").from(net::IpAddress::v4(0xc6336400 + i).text(), 7));
  const auto answers = router.heard(kWan);
  CHECK(answers.size() == 5000);
  CHECK(answers[77].flags.bits == (wire::TcpFlags::kSyn | wire::TcpFlags::kAck));
  CHECK(router.heard(kLan).empty());
  CHECK(router.shard.connections().size() == 0);
  CHECK(router.shard.syn_proxy().openings() == 0);
  CHECK(router.shard.syn_proxy().counters().answered == 5000);
  CHECK(router.imbalance() == "");
}

TEST_CASE("K-20: a client that is there reaches the server, and each hears its own numbers") {
  Guarded router;
  const std::uint32_t cookie = router.ask();
  router.arrive(kWan, Guarded::client(".").seq(kClient + 1).ack(cookie + 1));
  const Arrived syn = router.only(kLan);
  CHECK(syn.flags.bits == wire::TcpFlags::kSyn);
  CHECK(syn.sequence == kClient);
  CHECK(syn.ip_size == 44);  // with the MSS
  CHECK(syn.tuple.destination_port == 8080);
  CHECK(router.heard(kWan).empty());

  router.arrive(kLan, Guarded::server("S.").seq(kServer).ack(kClient + 1));
  const Arrived opened = router.only(kWan), ack = router.only(kLan);
  CHECK(opened.flags.bits == wire::TcpFlags::kAck);
  CHECK(opened.sequence == cookie + 1);
  CHECK(opened.acknowledgement == kClient + 1);
  CHECK(opened.tuple.source_port == 80);
  CHECK(ack.flags.bits == wire::TcpFlags::kAck);
  CHECK(ack.sequence == kClient + 1);
  CHECK(ack.acknowledgement == kServer + 1);

  router.arrive(kWan, Guarded::client("P.").seq(kClient + 1).ack(cookie + 1).payload("GET"));
  CHECK(router.only(kLan).acknowledgement == kServer + 1);
  router.arrive(kLan, Guarded::server("P.").seq(kServer + 1).ack(kClient + 4).payload("200 and"));
  const Arrived data = router.only(kWan);
  CHECK(data.sequence == cookie + 1);
  CHECK(data.text == "200 and");
  const auto* connection = router.connection(Guarded::client("").tuple());
  REQUIRE(connection != nullptr);
  CHECK(connection->tcp_state == conntrack::TcpState::established);
  CHECK(router.imbalance() == "");
}

TEST_CASE("K-20: an acknowledgement of what was never said opens nothing") {
  Guarded router;
  const std::uint32_t cookie = router.ask();
  const auto ack = [&] { return Guarded::client(".").seq(kClient + 1).ack(cookie + 1); };
  for (unsigned bit = 0; bit < 32; ++bit)
    router.arrive(kWan, ack().ack((cookie ^ (1u << bit)) + 1));
  router.arrive(kWan, ack().seq(kClient + 2));
  router.arrive(kWan, ack().from("198.51.100.9", 5556));
  router.arrive(kWan, ack().from("198.51.100.10", 5555));
  router.arrive(kWan, Guarded::client("S.").seq(kClient + 1).ack(cookie + 1));
  CHECK(router.heard(kLan).empty());
  CHECK(router.drops(DropReason::out_of_window) == 36);
  CHECK(router.shard.syn_proxy().counters().refused == 36);
  CHECK(router.shard.connections().size() == 0);
  router.pass(seconds{192});
  router.arrive(kWan, ack());
  CHECK(router.heard(kLan).empty());
  router.arrive(kWan, Guarded::client("R").seq(kClient + 1));
  CHECK(router.shard.connections().size() == 0);
}

TEST_CASE(
    "K-20: what gets lost comes again: the SYN when the client asks, the ACK when the server "
    "does") {
  Guarded router;
  const std::uint32_t cookie = router.ask();
  router.arrive(kWan, Guarded::client(".").seq(kClient + 1).ack(cookie + 1));
  router.heard(kLan);
  router.pass(seconds{1});
  router.arrive(kWan, Guarded::client(".").seq(kClient).ack(cookie + 1));  // asks for a window
  const Arrived again = router.only(kLan);
  CHECK(again.flags.bits == wire::TcpFlags::kSyn);
  CHECK(again.sequence == kClient);
  for (int i = 0; i < 2; ++i) {
    router.arrive(kLan, Guarded::server("S.").seq(kServer).ack(kClient + 1));
    CHECK(router.only(kLan).acknowledgement == kServer + 1);
    CHECK(router.only(kWan).sequence == cookie + 1);
  }
  CHECK(router.imbalance() == "");
}

TEST_CASE("K-20: a server that refuses is believed by the client") {
  Guarded router;
  const std::uint32_t cookie = router.ask();
  router.arrive(kWan, Guarded::client(".").seq(kClient + 1).ack(cookie + 1));
  router.heard(kLan);
  router.arrive(kLan, Guarded::server("R.").seq(0).ack(kClient + 1));
  const Arrived reset = router.only(kWan);
  CHECK(reset.flags.rst());
  CHECK(reset.sequence == cookie + 1);
}

TEST_CASE("K-20: numbers stay shifted when the proxy has long forgotten the handshake") {
  Guarded router;
  const std::uint32_t cookie = router.shake_hands();
  router.pass(seconds{120});
  CHECK(router.shard.syn_proxy().openings() == 0);
  router.arrive(kLan, Guarded::server("P.").seq(kServer + 1).ack(kClient + 1).payload("late"));
  CHECK(router.only(kWan).sequence == cookie + 1);
  router.arrive(kWan, Guarded::client(".").seq(kClient + 1).ack(cookie + 5));
  CHECK(router.only(kLan).acknowledgement == kServer + 5);
}

TEST_CASE("K-20: the last words of a connection pass, and the same ends may begin anew") {
  Guarded router;
  const std::uint32_t cookie = router.shake_hands();
  router.arrive(kLan, Guarded::server("F.").seq(kServer + 1).ack(kClient + 1));
  router.arrive(kWan, Guarded::client("F.").seq(kClient + 1).ack(cookie + 2));
  router.arrive(kLan, Guarded::server(".").seq(kServer + 2).ack(kClient + 2));
  router.heard(kLan);
  CHECK(router.heard(kWan).size() == 2);
  REQUIRE(router.connection(Guarded::client("").tuple())->tcp_state ==
          conntrack::TcpState::time_wait);
  router.arrive(kWan, Guarded::client(".").seq(kClient + 2).ack(cookie + 2));
  CHECK(router.only(kLan).acknowledgement == kServer + 2);
  CHECK(router.shard.syn_proxy().counters().refused == 0);

  router.arrive(kWan, Guarded::client("S").seq(5000));
  const std::uint32_t fresh = router.only(kWan).sequence;
  router.arrive(kWan, Guarded::client(".").seq(5001).ack(fresh + 1));
  CHECK(router.only(kLan).sequence == 5000);
  router.arrive(kLan, Guarded::server("S.").seq(9).ack(5001));
  CHECK(router.only(kWan).sequence == fresh + 1);
  CHECK(router.only(kLan).acknowledgement == 10);
}

TEST_CASE("K-20: other ports, other services and those inside are not answered") {
  Guarded router;
  router.policy.nat.destination[0].selector.destination_ports = {443, 443};
  router.apply();
  router.arrive(kWan, Guarded::client("S").to("203.0.113.7", 443));
  CHECK(router.only(kLan).flags.syn());
  router.arrive(kLan, tcp().from("192.168.1.11", 1).to("198.51.100.1", 80).flags("S"));
  CHECK(router.only(kWan).flags.bits == wire::TcpFlags::kSyn);
}

TEST_CASE("K-20: cookies know the size, their minute, and nobody else's") {
  const Cookies cookies{HashKey{1, 2}}, others{HashKey{3, 4}};
  const Tuple tuple = Guarded::client("S").tuple();
  const Time now{seconds{64 * 31 + 63}};  // the minutes begin anew behind this one
  for (const std::uint16_t mss : Cookies::kSizes) {
    const std::uint32_t cookie = cookies.make(tuple, 7, static_cast<std::uint16_t>(mss + 1), now);
    CHECK(cookies.check(tuple, 7, cookie, now) == mss);
    CHECK(cookies.check(tuple, 7, cookie, now + seconds{64}) == mss);
    CHECK_FALSE(cookies.check(tuple, 7, cookie, now + seconds{65}));
    CHECK_FALSE(cookies.check(tuple, 8, cookie, now));
    CHECK_FALSE(others.check(tuple, 7, cookie, now));
  }
  CHECK(cookies.check(tuple, 7, cookies.make(tuple, 7, 1, now), now) == 536);
}

}  // namespace path_syn_proxy
