// Stories of helpers: what the peers of a helped connection get, whatever becomes of their segments
// on the way; and who comes in by what was announced.

#include <doctest/doctest.h>

#include <random>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/path/tcp_ends.hpp"

namespace path_helpers {

using namespace masqgate;
using namespace masqgate::test;

namespace {

constexpr auto kInside = "192.168.1.10", kServer = "198.51.100.1", kOurs = "203.0.113.7";

net::Endpoint at(const char* text, net::Port port) {
  return {address(text), port};
}

struct Ftp : Conversation {
  explicit Ftp(TestRouter& router)
      : Conversation{router, kLan, at(kInside, 40000), kWan, at(kServer, 21)} {
    open();
    say(server, "220 ready\r\n");
    say(client, "USER a\r\n");
    client.received.clear();
    server.received.clear();
  }
};

const helper::HelperCounters& counters(TestRouter& router, std::size_t helper = 0) {
  return router.shard.helpers().counters()[helper];
}
std::uint64_t refused(TestRouter& router, helper::Refusal why, std::size_t helper = 0) {
  return counters(router, helper).refusals[static_cast<std::size_t>(why)];
}

PacketBuilder syn(net::Endpoint from, net::Endpoint to) {
  return tcp().from(from).to(to).seq(7000).flags("S");
}

// Where a SYN from there to our port comes out inside; port 0: nowhere.
net::Endpoint comes_in(TestRouter& router, net::Endpoint from, net::Endpoint to) {
  router.arrive(kWan, syn(from, to));
  router.left(kWan);
  router.left(kWan, Side::host);
  const auto in = router.left(kLan);
  return in.empty() ? net::Endpoint{} : read_segment(in.front()).tuple.destination();
}

// Another router's port is in use, so that the announced one has to change: 5001 becomes a longer
// text.
void take_port(TestRouter& router, net::Port port) {
  router.know(kLan, "192.168.1.11");
  router.arrive(kLan, syn(at("192.168.1.11", port), at("198.51.100.9", 80)));
  REQUIRE(read_segment(router.left(kWan).at(0)).tuple.source() == at(kOurs, port));
}

const std::string kPort = "PORT 192,168,1,10,19,137\r\n";  // 5001
const std::string kPortOutside = "PORT 203,0,113,7,19,137\r\n";

}  // namespace

TEST_CASE(
    "H2: an FTP client's PORT names the router, and the server's connection finds the client") {
  TestRouter router;
  Ftp ftp{router};
  ftp.say(ftp.client, kPort);
  CHECK(ftp.server.received == kPortOutside);
  CHECK(ftp.client.is_done());
  CHECK(router.shard.helpers().expectations().size() == 1);
  router.arrive(kWan, syn(at(kServer, 20), at(kOurs, 5001)));
  const Arrived in = read_segment(router.left(kLan).at(0));
  CHECK(in.tuple.destination() == at(kInside, 5001));
  CHECK(in.tuple.source() == at(kServer, 20));
  router.arrive(kLan,
                tcp().from(at(kInside, 5001)).to(at(kServer, 20)).seq(1).ack(7001).flags("S."));
  CHECK(read_segment(router.left(kWan).at(0)).tuple.source() == at(kOurs, 5001));
  // One use (K-04).
  CHECK(router.shard.helpers().expectations().size() == 0);
  CHECK(comes_in(router, at(kServer, 21), at(kOurs, 5001)) == net::Endpoint{});
  // The conversation goes on in both directions with different numbers.
  ftp.say(ftp.server, "200 fine\r\n");
  ftp.say(ftp.client, "LIST\r\n");
  CHECK(ftp.client.received == "200 fine\r\n");
  CHECK(ftp.server.received == kPortOutside + "LIST\r\n");
  CHECK(ftp.client.is_done());
  CHECK(router.imbalance() == "");
}

TEST_CASE("K-01: what did not begin as FTP opens nothing, however its segments are cut") {
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const std::string& first : {post, std::string{"\x16\x03\x01\n"}, std::string{"PORT\r\n"},
                                   std::string{"227 Entering (198,51,100,1,19,137)\r\n"}}) {
    CAPTURE(first);
    TestRouter router;
    Conversation talk{router, kLan, at(kInside, 40000), kWan, at(kServer, 21)};
    talk.open();
    talk.say(talk.server, "220 welcome\r\n");
    talk.say(talk.client, first);
    talk.say(talk.client, "USER a\r\n");
    talk.say(talk.client, kPort);
    CHECK(talk.server.received == first + "USER a\r\n" + kPort);
    CHECK(router.shard.helpers().expectations().size() == 0);
    CHECK(refused(router, helper::Refusal::foreign) == 1);
    CHECK(comes_in(router, at(kServer, 20), at(kOurs, 5001)) == net::Endpoint{});
    // It is a connection like any other now.
    CHECK(counters(router).attached == 0);
    const auto before = router.shard.counters().shortcuts;
    talk.say(talk.client, "x");
    talk.say(talk.client, "y");
    CHECK(router.shard.counters().shortcuts > before);
  }
}

TEST_CASE("H1: a PORT cut at any place, in two or three segments, says the same") {
  const std::string text = "TYPE I\r\n" + kPort + "LIST\r\n";
  const std::string expected = "TYPE I\r\n" + kPortOutside + "LIST\r\n";
  for (std::size_t cut = 1; cut < text.size(); ++cut)
    for (const std::size_t second : {cut, cut + 1, cut + 7, text.size()}) {
      CAPTURE(cut);
      CAPTURE(second);
      TestRouter router;
      Ftp ftp{router};
      ftp.say(ftp.client, text, {cut, std::min(second, text.size())});
      // Whoever waits for an acknowledgement before it goes on (RFC 896) has got one each time.
      CHECK(ftp.client.is_done());
      CHECK(ftp.server.received == expected);
      CHECK(router.shard.helpers().expectations().size() == 1);
      CHECK(router.imbalance() == "");
    }
}

TEST_CASE("H1: byte by byte, and all in one segment with many commands") {
  for (const bool whole : {false, true}) {
    TestRouter router;
    Ftp ftp{router};
    std::string text, expected;
    for (int i = 0; i < 20; ++i) {
      text += kPort + "NOOP\r\n";
      expected += kPortOutside + "NOOP\r\n";
    }
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < text.size() && !whole; ++i) cuts.push_back(i);
    ftp.say(ftp.client, text, cuts);
    for (int i = 0; i < 9 && !ftp.client.is_done(); ++i) ftp.repeat(ftp.client);
    CHECK(ftp.client.is_done());
    CHECK(ftp.server.received == expected);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("H1: segments that come too early are sent again") {
  TestRouter router;
  Ftp ftp{router};
  ftp.client.sent += kPort;
  const std::size_t base = ftp.client.sent.size() - kPort.size();
  ftp.send(ftp.client, base + 10, kPort.size() - 10);
  CHECK(ftp.server.received.empty());
  CHECK(router.drops(DropReason::helper_waits) == 1);
  ftp.send(ftp.client, base, 10);
  ftp.repeat(ftp.client);
  CHECK(ftp.server.received == kPortOutside);
  CHECK(ftp.client.is_done());
}

TEST_CASE("H1: a PORT that gets lost behind the router is sent again with the same bytes") {
  TestRouter router;
  take_port(router, 5001);
  Ftp ftp{router};
  int lost = 0;
  ftp.lose = [&] { return lost++ == 0; };
  ftp.say(ftp.client, kPort);
  CHECK(ftp.server.received.empty());
  const std::string first = ftp.last.text;
  // In any segments; only the one with the line's last byte has the text.
  for (const std::size_t size : {3, 1, 1000}) {
    lost = 0;
    ftp.lose = [&] { return true; };
    ftp.repeat(ftp.client, size);
    CHECK(ftp.last.text == first);
  }
  ftp.lose = nullptr;
  ftp.repeat(ftp.client, 4);
  CHECK(ftp.server.received == first);
  CHECK(first.size() != kPort.size());
  CHECK(ftp.client.is_done());
}

TEST_CASE("H1, K-17: whatever gets lost, doubled, or cut anew, both sides get the same text") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    TestRouter router;
    if (seed % 2 == 0) take_port(router, 5001);
    Ftp ftp{router};
    ftp.lose = [&] { return below(4) == 0; };
    std::string expected;
    for (int round = 0; round < 12; ++round) {
      std::string text;
      const std::size_t commands = 1 + below(3);
      for (std::size_t i = 0; i < commands; ++i)
        text += below(2) == 0 ? kPort : below(2) == 0 ? "NOOP\r\n" : "SITE x\n";
      const std::size_t base = ftp.client.sent.size();
      ftp.client.sent += text;
      if (below(8) == 0) ftp.client.has_fin = round == 11;
      for (int i = 0; i < 6; ++i) {
        const std::size_t from = base + below(text.size());
        ftp.send(ftp.client, from, 1 + below(ftp.client.sent.size() - from));
      }
      if (below(3) == 0) ftp.say(ftp.server, "200 fine\r\n");
      for (int i = 0; i < 60 && !ftp.client.is_done(); ++i) ftp.repeat(ftp.client, 1 + below(40));
      REQUIRE(ftp.client.is_done());
    }
    for (int i = 0; i < 60 && !ftp.server.is_done(); ++i) ftp.repeat(ftp.server, 1 + below(40));
    CHECK(ftp.server.is_done());
    CHECK(ftp.client.received == ftp.server.sent.substr(ftp.server.sent.find('\n') + 1));
    // Every PORT names the router and a port that is expected, or was.
    std::string heard = ftp.server.received;
    std::string said = ftp.client.sent.substr(ftp.client.sent.find('\n') + 1);
    while (!said.empty()) {
      const std::string line = said.substr(0, said.find('\n') + 1);
      const std::string got = heard.substr(0, heard.find('\n') + 1);
      said.erase(0, line.size());
      heard.erase(0, got.size());
      if (line == kPort)
        CHECK(got.starts_with("PORT 203,0,113,7,"));
      else
        CHECK(got == line);
    }
    CHECK(heard.empty());
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("H1: a line that is cut off by the end of the conversation arrives all the same") {
  TestRouter router;
  Ftp ftp{router};
  ftp.say(ftp.client, "PORT 192,16");
  CHECK(ftp.client.is_done());
  CHECK(ftp.server.received.empty());
  ftp.client.has_fin = true;
  ftp.lose = [lost = 0]() mutable { return lost++ == 0; };
  ftp.send(ftp.client, ftp.client.sent.size(), 0);
  ftp.lose = nullptr;
  ftp.repeat(ftp.client);
  CHECK(ftp.server.received == "PORT 192,16");
  CHECK(ftp.server.got_fin);
  CHECK(ftp.client.is_done());
}

TEST_CASE(
    "H2: a client that uses a port again gets its data, though the last connection is not "
    "forgotten") {
  TestRouter router;
  Ftp ftp{router};
  for (const bool again : {false, true}) {
    ftp.server.received.clear();
    ftp.say(ftp.client, kPort);
    CHECK((ftp.server.received != kPortOutside) == again);  // that port is the last connection's
    const auto waiting = router.shard.helpers().expectations().list();
    REQUIRE(waiting.size() == 1);
    const net::Endpoint told = waiting[0].outside;
    CHECK(comes_in(router, at(kServer, 20), told) == at(kInside, 5001));
    router.arrive(kLan,
                  tcp().from(at(kInside, 5001)).to(at(kServer, 20)).seq(1).ack(7001).flags("S."));
    router.arrive(kWan, tcp().from(at(kServer, 20)).to(told).seq(7001).ack(2).flags("."));
    router.arrive(kWan, tcp().from(at(kServer, 20)).to(told).seq(7001).ack(2).flags("R."));
    router.left(kLan);
    router.left(kWan);
  }
}

TEST_CASE("H1: SACK blocks and acknowledgements are told in the sender's numbers") {
  TestRouter router;
  Ftp ftp{router};
  ftp.say(ftp.client, kPort);  // one byte shorter outside
  const std::size_t base = ftp.client.sent.size();
  ftp.client.sent += "NOOP\r\nHELP\r\n";
  // Both segments leave; the first gets lost, so that the server acknowledges the second by a
  // block.
  ftp.lose = [] { return true; };
  ftp.send(ftp.client, base, 6);
  ftp.send(ftp.client, base + 6, 6);
  const std::uint32_t left = ftp.last.sequence;
  const auto block = [](std::uint32_t from, std::uint32_t to, bool odd) {
    Octets option =
        octets(odd ? std::string_view{"\x05\x0a"} : std::string_view{"\x01\x01\x05\x0a"});
    for (const std::uint32_t number : {from, to})
      for (const int shift : {24, 16, 8, 0})
        option.push_back(static_cast<std::byte>(number >> shift));
    if (odd) option.insert(option.begin(), std::byte{1});
    return option;
  };
  for (const bool odd : {false, true}) {
    router.arrive(kWan, ftp.server.acknowledgement().tcp_options(block(left, left + 6, odd)));
    const auto in = router.left(kLan);
    REQUIRE(in.size() == 1);
    const Arrived arrived = read_segment(in[0]);
    CHECK(arrived.acknowledgement == ftp.client.number(base));
    const Octets expected = block(ftp.client.number(base + 6), ftp.client.number(base + 12), odd);
    CHECK(std::ranges::search(in[0].bytes, expected).begin() != in[0].bytes.end());
  }
}

TEST_CASE("H1: a full segment that outgrows its size leaves as several of that size") {
  TestRouter router;
  take_port(router, 1025);
  Ftp ftp{router};
  const std::string port = "PORT 192,168,1,10,4,1\r\n";
  std::string text;
  while (text.size() + 500 + port.size() < 1460) text += "SITE " + std::string(493, 'x') + "\r\n";
  text += "SITE " + std::string(1460 - text.size() - port.size() - 7, 'y') + "\r\n" + port;
  REQUIRE(text.size() == 1460);
  ftp.say(ftp.client, text);
  CHECK(ftp.client.is_done());
  CHECK(ftp.server.received.size() > text.size());
  CHECK(ftp.last.tuple.source() == ftp.server.own);  // the acknowledgement
  CHECK(router.drops(DropReason::too_big) == 0);
  CHECK(router.imbalance() == "");
}

TEST_CASE(
    "F2 helper: the connection that a helper announced matches, the one that told of it not") {
  struct Case {
    const char* helper;
    bool data_comes_in, commands_pass;
  };
  for (const Case& c : {Case{R"("ftp")", false, true}, Case{R"(["irc", "ftp"])", false, true},
                        Case{R"("irc")", true, true}, Case{R"("!ftp")", true, false}}) {
    CAPTURE(std::string{c.helper});
    TestRouter router;
    Ftp ftp{router};
    ftp.say(ftp.client, kPort);
    const auto document =
        json::Json::parse(R"({"forward": {"rules": [{"protocol": "tcp", "helper": )" +
                          std::string{c.helper} + R"(, "action": "drop"}]}})");
    router.policy.ruleset = std::make_shared<const firewall::Ruleset>(firewall::from_json(
        json::Value{document, "/firewall"}, std::vector<std::string>{"lan", "wan"}));
    router.apply();
    const bool came = comes_in(router, at(kServer, 20), at(kOurs, 5001)) == at(kInside, 5001);
    CHECK(came == c.data_comes_in);
    ftp.server.received.clear();
    ftp.say(ftp.client, "NOOP\r\n");
    CHECK((ftp.server.received == "NOOP\r\n") == c.commands_pass);
  }
}

}  // namespace path_helpers
