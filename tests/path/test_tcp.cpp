// Stories of TCP through the whole corridor and the short cut: what forged segments and errors do
// to a translated connection, which is nothing (requirements 2.9, 2.2).

#include <doctest/doctest.h>

#include "daemon/base/random.hpp"
#include "tests/support/test_router.hpp"

namespace path_tcp {

using namespace masqgate;
using namespace masqgate::test;
using conntrack::TcpState;

namespace {

// A client inside (1000) and a server outside (5000), with an open connection between them.
struct Conversation {
  explicit Conversation(bool take_shortcuts)
      : router{{.region = {}, .max_connections = 256, .take_shortcuts = take_shortcuts}} {
    CHECK(reaches_server("S", 1000));
    CHECK(reaches_client("S.", 5000, 1001));
    CHECK(reaches_server(".", 1001, 5001));
    connection = router.connection(client_packet(".").tuple());
    REQUIRE(connection != nullptr);
    for (int i = 0; i < 3; ++i) talk();
  }

  PacketBuilder client_packet(std::string_view flags) const {
    return tcp().from("192.168.1.10", 4000).to("198.51.100.1", 80).flags(flags);
  }
  PacketBuilder server_packet(std::string_view flags) const {
    return tcp().from("198.51.100.1", 80).to("203.0.113.7", 4000).flags(flags);
  }
  bool reaches_server(std::string_view flags, std::uint32_t seq, std::uint32_t ack = 0,
                      std::size_t size = 0) {
    router.arrive(kLan, client_packet(flags).seq(seq).ack(ack).payload_size(size));
    return router.left(kWan).size() == 1;
  }
  bool reaches_client(std::string_view flags, std::uint32_t seq, std::uint32_t ack,
                      std::size_t size = 0) {
    router.arrive(kWan, server_packet(flags).seq(seq).ack(ack).payload_size(size));
    return router.left(kLan).size() == 1;
  }
  // A hundred bytes there, a thousand back.
  void talk() {
    CHECK(reaches_server("P.", client, server, 100));
    CHECK(reaches_client("P.", server, client + 100, 1000));
    CHECK(reaches_server(".", client += 100, server += 1000));
  }

  TestRouter router;
  conntrack::Connection* connection = nullptr;
  std::uint32_t client = 1001, server = 5001;
};

constexpr auto kRefused = DropReason::out_of_window;

}  // namespace

TEST_CASE(
    "TS-01, TS-04, TS-06, TS-09: forged segments of any number leave a connection as it was") {
  for (const bool take_shortcuts : {true, false}) {
    Conversation c{take_shortcuts};
    CHECK((c.router.shard.counters().shortcuts > 0) == take_shortcuts);
    const std::int64_t expires = c.connection->expires_ns;
    c.router.pass(std::chrono::seconds{5});
    Random random{{1, 2}};
    constexpr const char* kForged[] = {"R", "R.", "P.", "F.", "."};
    for (int i = 0; i < 1000; ++i) {
      // Anywhere but in the windows: these were guessed wrong.
      const std::uint32_t far = 0x10000000u + random.below(0xe0000000u);
      const char* flags = kForged[random.below(std::size(kForged))];
      CHECK_FALSE(c.reaches_client(flags, c.server + far, c.client, 10));
    }
    CHECK(c.router.drops(kRefused) == 1000);
    CHECK(c.connection->tcp_state == TcpState::established);
    CHECK(c.connection->expires_ns == expires);
    CHECK(c.router.shard.connections().size() == 1);
    CHECK(c.router.left(kWan).empty());
    c.talk();
    CHECK(c.router.imbalance() == "");
  }
}

TEST_CASE("TS-03: a forged SYN passes, its challenge comes back, and the conversation goes on") {
  Conversation c{true};
  CHECK(c.reaches_client("S", 77, 0));
  CHECK(c.reaches_server(".", c.client, c.server));
  c.talk();
}

TEST_CASE("TS-02: a reset that is nearly right is its receiver's to judge") {
  Conversation c{true};
  CHECK(c.reaches_client("R", c.server + 100, 0));
  CHECK(c.reaches_server(".", c.client, c.server));
  c.talk();
  CHECK(c.reaches_client("R", c.server, 0));
  CHECK(c.connection->tcp_state == TcpState::close);
}

TEST_CASE("TS-08, TS-09: an error is believed if it quotes what is on its way") {
  Conversation c{true};
  REQUIRE(c.reaches_server("P.", c.client, c.server, 100));
  const auto quote = [](std::uint32_t seq) {
    return tcp().from("203.0.113.7", 4000).to("198.51.100.1", 80).flags("P.").seq(seq);
  };
  const auto too_big = icmp_error(3, 4, 1200).from("198.51.100.77").to("203.0.113.7");
  for (const std::uint32_t wrong : {0u, c.client - 1, c.client + 101, 0x80000000u})
    c.router.arrive(kWan, PacketBuilder{too_big}.quoting(quote(wrong)));
  c.router.arrive(kWan, icmp_error(3, 4, 67).to("203.0.113.7").quoting(quote(c.client)));
  CHECK(c.router.left(kLan).empty());
  CHECK(c.router.drops(DropReason::implausible_error) == 5);
  c.router.arrive(kWan, PacketBuilder{too_big}.quoting(quote(c.client)));
  CHECK(mismatch(c.router.one(kLan),
                 {destination("192.168.1.10"), icmp_type(3, 4),
                  quotes({source("192.168.1.10", 4000), destination("198.51.100.1", 80)}),
                  good_checksums()}) == "");
  CHECK(c.connection->tcp_state == TcpState::established);
  CHECK(c.router.imbalance() == "");
}

TEST_CASE(
    "TS-11: another inside host with the same ports neither takes a connection over nor sees it") {
  Conversation c{true};
  for (const char* flags : {"S", ".", "R", "F."}) {
    CAPTURE(std::string{flags});
    c.router.arrive(kLan,
                    c.client_packet(flags).from("192.168.1.11", 4000).seq(c.client).ack(c.server));
    for (const auto& out : c.router.left(kWan))
      CHECK(mismatch(out.bytes, {source("203.0.113.7", 4000)}) != "");
  }
  CHECK(c.connection->tcp_state == TcpState::established);
  c.talk();
}

TEST_CASE("T-03: both sides open at once, through translation") {
  TestRouter router;
  const auto client = tcp().from("192.168.1.10", 4000).to("198.51.100.1", 80);
  const auto server = tcp().from("198.51.100.1", 80).to("203.0.113.7", 4000);
  const auto passes = [&](PortIndex from, const PacketBuilder& packet) {
    router.arrive(from, packet);
    return router.left(from == kLan ? kWan : kLan).size() == 1;
  };
  CHECK(passes(kLan, PacketBuilder{client}.flags("S").seq(1000)));
  CHECK(passes(kWan, PacketBuilder{server}.flags("S").seq(5000)));
  CHECK(passes(kLan, PacketBuilder{client}.flags("S.").seq(1000).ack(5001)));
  CHECK(passes(kWan, PacketBuilder{server}.flags("S.").seq(5000).ack(1001)));
  CHECK(passes(kWan, PacketBuilder{server}.flags("P.").seq(5001).ack(1001).payload("hello")));
  CHECK(passes(kLan, PacketBuilder{client}.flags(".").seq(1001).ack(5006)));
  CHECK(router.connection(client.tuple())->tcp_state == TcpState::established);
  CHECK(router.drops(kRefused) == 0);
}

TEST_CASE("T-02: segments of 64 KB with offload orders keep the window's pace") {
  Conversation c{true};
  for (int i = 0; i < 40; ++i) {
    c.router.arrive(kLan,
                    c.client_packet(".").seq(c.client).ack(c.server).payload_size(60000).gso(1448));
    REQUIRE(c.router.left(kWan).size() == 1);
    c.client += 60000;
    REQUIRE(c.reaches_client(".", c.server, c.client));
  }
  CHECK(c.router.drops(kRefused) == 0);
}

}  // namespace path_tcp
