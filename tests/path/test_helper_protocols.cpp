// Stories of helpers beside TCP: calls of PPTP in GRE, media of SIP, and what K-02 to K-05 refuse.

#include <doctest/doctest.h>

#include "tests/path/helper_router.hpp"

namespace path_helper_protocols {

using namespace masqgate;
using namespace masqgate::test;

namespace {

using Router = HelperRouter;

PacketBuilder call(const char* from, const char* to, unsigned id) {
  return ip(net::Protocol::gre)
      .from(from)
      .to(to)
      .payload(octets(b16(0x3001) + b16(0x880b) + b16(1) + b16(id) + std::string(4, '\0') + "x"));
}

std::string control(unsigned type, const std::string& body) {
  return b16(static_cast<unsigned>(12 + body.size())) + b16(1) + "\x1a\x2b\x3c\x4d" + b16(type) +
         b16(0) + body;
}

struct Pptp : Conversation {
  Pptp(TestRouter& router, const char* host, net::Port port)
      : Conversation{router, kLan, at(host, port), kWan, at(kServer, 1723)} {
    open();
    say(client, control(1, std::string(144, '\0')));
  }
  // Both call ids as the other side has heard them.
  std::pair<unsigned, unsigned> begin(unsigned own, unsigned peer) {
    server.received.clear();
    say(client, control(7, b16(own) + std::string(154, '\0')));
    const auto id = [](const std::string& text, std::size_t offset) {
      return static_cast<unsigned>(static_cast<unsigned char>(text.at(offset)) << 8 |
                                   static_cast<unsigned char>(text.at(offset + 1)));
    };
    const unsigned shown = id(server.received, 12);
    client.received.clear();
    say(server, control(8, b16(peer) + b16(shown) + std::string{"\1"} + std::string(15, '\0')));
    CHECK(id(client.received, 14) == own);
    return {shown, id(client.received, 12)};
  }
};

const std::string kInvite =
    "INVITE sip:b@198.51.100.1 SIP/2.0\r\nContact: <sip:a@192.168.1.10:5060>\r\n"
    "Content-Type: application/sdp\r\n\r\nc=IN IP4 192.168.1.10\r\nm=audio 4000 RTP/AVP 0\r\n";

}  // namespace

TEST_CASE(
    "K-15: two PPTP clients with the same call id of the same server get each their own GRE") {
  Router router;
  Pptp alice{router, kAlice, 40000}, bob{router, kBob, 40000};
  const auto [alice_shown, alice_peer] = alice.begin(5000, 7);
  const auto [bob_shown, bob_peer] = bob.begin(5000, 8);
  CHECK(alice_shown == 5000);
  CHECK(bob_shown != 5000);
  for (int round = 0; round < 2; ++round) {
    auto in = router.pass_on(kWan, call(kServer, kOurs, alice_shown));
    REQUIRE(in);
    CHECK(in->tuple.destination() == at(kAlice, 5000));
    in = router.pass_on(kWan, call(kServer, kOurs, bob_shown));
    REQUIRE(in);
    CHECK(in->tuple.destination() == at(kBob, 5000));
    for (const auto& [client, id] : {std::pair{kAlice, alice_peer}, std::pair{kBob, bob_peer}}) {
      const auto out = router.pass_on(kLan, call(client, kServer, id));
      REQUIRE(out);
      CHECK(out->tuple.source_address == address(kOurs));
      CHECK(out->tuple.destination() == at(kServer, static_cast<net::Port>(id)));
    }
  }
  CHECK(router.counters("pptp").fulfilled == 4);
  // Nobody else's calls come in, and not from anybody else.
  CHECK_FALSE(router.pass_on(kWan, call(kServer, kOurs, 4711)));
  CHECK_FALSE(router.pass_on(kWan, call(kStranger, kOurs, alice_shown)));
  CHECK(router.imbalance() == "");
}

TEST_CASE("K-14: GRE of PPTP ends with its control connection, that of others does not") {
  for (const char* how : {"FIN", "RST", "removed"}) {
    CAPTURE(how);
    Router router;
    Pptp alice{router, kAlice, 40000}, bob{router, kBob, 40000};
    const auto [alice_shown, alice_peer] = alice.begin(5000, 7);
    const auto [bob_shown, bob_peer] = bob.begin(5000, 8);
    const auto flow = [&, shown = alice_shown, peer = alice_peer] {
      return router.pass_on(kWan, call(kServer, kOurs, shown)).has_value() &&
             router.pass_on(kLan, call(kAlice, kServer, peer)).has_value();
    };
    CHECK(flow());
    CHECK(router.pass_on(kWan, call(kServer, kOurs, bob_shown)));
    CHECK(router.shard.connections().size() == 5);
    if (how == std::string_view{"FIN"}) {
      for (End* end : {&alice.client, &alice.server}) {
        end->has_fin = true;
        alice.send(*end, end->sent.size(), 0);
      }
    } else if (how == std::string_view{"RST"}) {
      router.arrive(kLan, tcp()
                              .from(alice.client.own)
                              .to(alice.client.peer)
                              .seq(alice.client.number(alice.client.sent.size()))
                              .ack(alice.client.wanted)
                              .flags("R."));
    } else {
      auto* control = router.connection(
          {address(kAlice), address(kServer), 40000, 1723, net::Protocol::tcp, 0});
      REQUIRE(control != nullptr);
      router.shard.connections().remove(*control);
    }
    router.left(kWan);
    // Bob's, and of alice's control connection what must be remembered.
    CHECK(router.shard.connections().size() == (how == std::string_view{"removed"} ? 2 : 3));
    CHECK_FALSE(router.pass_on(kWan, call(kServer, kOurs, alice_shown)));
    CHECK(router.pass_on(kWan, call(kServer, kOurs, bob_shown)));
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("an error about a call reaches the one whose call it is") {
  Router router;
  Pptp alice{router, kAlice, 40000}, bob{router, kBob, 40000};
  const auto peer = alice.begin(5000, 7).second;
  bob.begin(5000, 8);
  const auto out = router.pass_on(kLan, call(kAlice, kServer, peer));
  REQUIRE(out);
  Octets sent{out->frame.ip().begin(), out->frame.ip().end()};
  const auto error = router.error_for(kAlice, icmp_error(3, 4, 1400).quoting(sent));
  CHECK(error->quoted->destination_port == peer);
}

TEST_CASE("GRE of a call that nobody has announced is GRE like any other") {
  Router router;
  const auto out = router.pass_on(kLan, call(kAlice, kServer, 9));
  REQUIRE(out);
  CHECK(out->tuple.source_address == address(kOurs));
  const auto in = router.pass_on(kWan, call(kServer, kOurs, 5));
  REQUIRE(in);
  CHECK(in->tuple.destination() == at(kAlice, 5));
}

TEST_CASE("SIP: media come in by the pair that was told, and leave from it") {
  Router router{"sip"};
  // Somebody else has the port, so that another one must be told, and with it the one beside.
  router.say(kLan, at(kBob, 4001), at(kStranger, 9), "x");
  const std::string told = router.say(kLan, at(kAlice, 5060), at(kServer, 5060), kInvite);
  const auto from = told.find("m=audio ") + 8;
  const auto port = static_cast<net::Port>(std::stoul(told.substr(from)));
  CHECK(port % 2 == 0);
  CHECK(port != 4000);
  CHECK(told.find("Contact: <sip:a@203.0.113.7:5060>") != std::string::npos);
  CHECK(router.counters("sip").announced == 2);
  // K-04: from the peer only, and what is sent out by itself comes from there.
  CHECK(router.say(kWan, at(kStranger, 7000), at(kOurs, port), "spam") == "nothing");
  CHECK(router.say(kWan, at(kServer, 7000), at(kOurs, port), "rtp") == "rtp");
  CHECK(router.last.destination() == at(kAlice, 4000));
  CHECK(router.say(kWan, at(kServer, 7001), at(kOurs, static_cast<net::Port>(port + 1)), "rtcp") ==
        "rtcp");
  CHECK(router.last.destination() == at(kAlice, 4001));
  CHECK(router.say(kLan, at(kAlice, 4000), at(kStranger, 8000), "gateway") == "gateway");
  CHECK(router.last.source() == at(kOurs, port));
  CHECK(router.say(kWan, at(kStranger, 8000), at(kOurs, port), "media") == "media");
  // Again, on a connection that flows: the same port is told.
  CHECK(router.say(kLan, at(kAlice, 5060), at(kServer, 5060), kInvite) == told);
  CHECK(router.imbalance() == "");
}

TEST_CASE("K-04: SIP that is wide waits for anybody's media and requests, once, and no longer") {
  Router router{"sip"};
  router.policy.helpers.services[Router::place("sip")].wide = true;
  router.apply();
  router.say(kLan, at(kAlice, 5060), at(kServer, 5060), kInvite);
  CHECK(router.say(kWan, at(kStranger, 7000), at(kOurs, 4000), "rtp") == "rtp");
  CHECK(router.last.destination() == at(kAlice, 4000));
  CHECK(router.say(kWan, at(kStranger, 7000), at(kOurs, 4002), "rtp") == "nothing");
  router.pass(std::chrono::seconds{185});
  CHECK(router.say(kWan, at(kStranger, 7001), at(kOurs, 4001), "rtcp") == "nothing");
}

TEST_CASE("SIP: media that are sent before any has come leave from the port that was told") {
  Router router{"sip"};
  router.say(kLan, at(kBob, 4001), at(kStranger, 9), "x");
  const std::string told = router.say(kLan, at(kAlice, 5060), at(kServer, 5060), kInvite);
  const auto port = static_cast<net::Port>(std::stoul(told.substr(told.find("m=audio ") + 8)));
  CHECK(router.say(kLan, at(kAlice, 4000), at(kStranger, 8000), "rtp") == "rtp");
  CHECK(router.last.source() == at(kOurs, port));
}

TEST_CASE("K-02, K-03: an INVITE for another host, a low port or a denied one opens nothing") {
  for (const auto& [what, instead, why] :
       {std::tuple{"IP4 192.168.1.10", "IP4 192.168.1.11", Refusal::third_host},
        std::tuple{"audio 4000", "audio 1022", Refusal::low_port},
        std::tuple{"audio 4000", "audio 3306", Refusal::denied_port},
        std::tuple{"audio 4000", "audio 5999", Refusal::denied_port}}) {
    CAPTURE(instead);
    Router router{"sip"};
    std::string text = kInvite;
    text.replace(text.find(what), std::string_view{what}.size(), instead);
    router.say(kLan, at(kAlice, 5060), at(kServer, 5060), text);
    CHECK(router.refused("sip", why) == 1);
    CHECK(router.counters("sip").announced == 0);
    CHECK(router.shard.helpers().expectations().size() == 0);
  }
}

TEST_CASE("K-05: a fragment is never read, a datagram that was put together is") {
  for (const bool put_together : {false, true}) {
    Router router{"sip"};
    router.policy.always_defragment = put_together;
    router.apply();
    const std::string filler = "X: " + std::string(605, 'x') + "\r\n";
    const std::string text =
        "OPTIONS x SIP/2.0\r\n" + filler + "Contact: <sip:a@192.168.1.10:5070>\r\n\r\n";
    const Octets whole =
        udp().from(at(kAlice, 5060)).to(at(kServer, 5060)).payload(text).datagram();
    const auto part = [&](std::size_t from, std::size_t size, bool more) {
      Octets bytes{whole.begin() + static_cast<long>(from),
                   whole.begin() + static_cast<long>(from + size)};
      router.arrive(kLan, ip(net::Protocol::udp)
                              .from(kAlice)
                              .to(kServer)
                              .identification(7)
                              .payload(bytes)
                              .fragment(from, more));
    };
    part(0, 608, true);
    part(608, whole.size() - 608, false);
    CHECK(router.counters("sip").announced == (put_together ? 1 : 0));
  }
}

TEST_CASE("K-04, K-14: what SIP expects ends with its time, and with its connection") {
  Router router{"sip"};
  router.say(kLan, at(kAlice, 5060), at(kServer, 5060), kInvite);
  CHECK(router.shard.helpers().expectations().size() == 2);
  router.pass(std::chrono::seconds{170});
  CHECK(router.shard.helpers().expectations().size() == 2);
  router.pass(std::chrono::seconds{20});
  CHECK(router.shard.helpers().expectations().size() == 0);
  CHECK(router.say(kWan, at(kServer, 7000), at(kOurs, 4000), "rtp") == "nothing");
}

TEST_CASE(
    "SIP: a registered client is called as long as it said, by a request of its registrar only") {
  Router router{"sip"};
  router.say(kLan, at(kAlice, 5060), at(kServer, 5060),
             "REGISTER sip:x SIP/2.0\r\nContact: <sip:a@192.168.1.10:5060>\r\n\r\n");
  router.pass(std::chrono::minutes{55});
  CHECK(router.say(kWan, at(kStranger, 5060), at(kOurs, 5060), "INVITE x SIP/2.0\r\n\r\n") ==
        "nothing");
  CHECK(router.say(kWan, at(kServer, 5060), at(kOurs, 5060),
                   "INVITE sip:a@203.0.113.7 SIP/2.0\r\n\r\n") ==
        "INVITE sip:a@192.168.1.10 SIP/2.0\r\n\r\n");
}

TEST_CASE("K-03, K-11: rsh gets its low port, and no other helper does") {
  Router router{"rsh"};
  Conversation rsh{router, kLan, at(kAlice, 1023), kWan, at(kServer, 514)};
  rsh.open();
  rsh.say(rsh.client, std::string{"1022\0", 5});
  const auto port = static_cast<net::Port>(std::stoul(rsh.server.received));
  CHECK(port == 1022);
  const auto in =
      router.pass_on(kWan, tcp().from(at(kServer, 1021)).to(at(kOurs, port)).seq(1).flags("S"));
  REQUIRE(in);
  CHECK(in->tuple.destination() == at(kAlice, 1022));
  Conversation low{router, kLan, at(kBob, 1023), kWan, at(kServer, 514)};
  low.open();
  low.say(low.client, std::string{"22\0", 3});
  CHECK(router.refused("rsh", Refusal::low_port) == 1);
}

TEST_CASE("Quake III: the list lets its client go out, to public hosts only") {
  Router router{"quake3"};
  const auto list = [&](const char* server) {
    const std::uint32_t a = address(server).v4_number();
    return std::string{"\xff\xff\xff\xffgetserversResponse\\"} + b16(a >> 16) + b16(a & 0xffff) +
           b16(27960) + "\\";
  };
  router.say(kLan, at(kAlice, 27961), at(kServer, 27950), "getservers");
  router.say(kWan, at(kServer, 27950), at(kOurs, 27961), list("198.51.100.9"));
  CHECK(router.counters("quake3").announced == 1);
  router.say(kWan, at(kServer, 27950), at(kOurs, 27961), list("192.168.1.11"));
  CHECK(router.refused("quake3", Refusal::third_host) == 1);
  CHECK(router.say(kLan, at(kAlice, 27961), at("198.51.100.9", 27960), "hello") == "hello");
  CHECK(router.last.source_address == address(kOurs));
  CHECK(router.counters("quake3").fulfilled == 1);
  CHECK(router.say(kWan, at("198.51.100.9", 27960), router.last.source(), "hi") == "hi");
}

TEST_CASE(
    "K-07: a helper that is off changes nothing, opens nothing, and cannot be asked for inside "
    "addresses") {
  Router router;
  CHECK(router.say(kLan, at(kAlice, 5060), at(kServer, 5060), kInvite) == kInvite);
  CHECK(router.say(kWan, at(kServer, 7000), at(kOurs, 4000), "rtp") == "nothing");
  // The server's guesses come in as they are: nobody writes an inside address into them.
  const std::string guess = "SIP/2.0 200 OK\r\nContact: <sip:a@203.0.113.7:5060>\r\n\r\n";
  CHECK(router.say(kWan, at(kServer, 5060), at(kOurs, 5060), guess) == guess);
  // What comes back out of a helped connection does not name them either.
  Router helped{"sip"};
  helped.say(kLan, at(kAlice, 5060), at(kServer, 5060), kInvite);
  helped.say(kWan, at(kServer, 5060), at(kOurs, 5060), guess);
  const std::string echoed =
      helped.say(kLan, at(kAlice, 5060), at(kServer, 5060),
                 "SIP/2.0 200 OK\r\nContact: <sip:a@192.168.1.10:5060>\r\n\r\n");
  CHECK(echoed.find("192.168.") == std::string::npos);
}

TEST_CASE(
    "K-08, K-03: FTP bounces open nothing: third hosts, low ports, denied ones, and servers that "
    "name others") {
  const std::tuple<bool, const char*, Refusal> rows[] = {
      {true, "PORT 192,168,1,11,19,137\r\n", Refusal::third_host},
      {true, "PORT 198,51,100,1,19,137\r\n", Refusal::third_host},
      {true, "EPRT |1|192.168.1.11|5001|\r\n", Refusal::third_host},
      {true, "PORT 192,168,1,10,0,25\r\n", Refusal::low_port},
      {true, "EPRT |1|192.168.1.10|22|\r\n", Refusal::low_port},
      {true, "PORT 192,168,1,10,23,112\r\n", Refusal::denied_port},  // 6000
      {false, "227 Entering Passive Mode (198,51,100,66,19,137)\r\n", Refusal::third_host},
      {false, "227 Entering Passive Mode (192,168,1,11,19,137)\r\n", Refusal::third_host},
      {false, "229 Entering Extended Passive Mode (|||22|)\r\n", Refusal::low_port},
  };
  for (const auto& [from_client, line, why] : rows) {
    CAPTURE(line);
    Router router;
    Conversation ftp{router, kLan, at(kAlice, 40000), kWan, at(kServer, 21)};
    ftp.open();
    ftp.say(ftp.client, "USER a\r\nPASV\r\n");
    ftp.say(from_client ? ftp.client : ftp.server, line);
    CHECK((from_client ? ftp.server : ftp.client).received.ends_with(line));
    CHECK(router.refused("ftp", why) == 1);
    CHECK(router.shard.helpers().expectations().size() == 0);
    for (const net::Port port : std::initializer_list<net::Port>{5001, 25, 22, 6000})
      CHECK_FALSE(
          router.pass_on(kWan, tcp().from(at(kServer, 20)).to(at(kOurs, port)).seq(1).flags("S")));
  }
}

TEST_CASE(
    "K-04: an expectation is for one protocol, one destination, one peer, one use, one minute") {
  Router router;
  Conversation ftp{router, kLan, at(kAlice, 40000), kWan, at(kServer, 21)};
  ftp.open();
  ftp.say(ftp.client, "USER a\r\nPORT 192,168,1,10,19,137\r\n");
  const auto syn = [](const char* from, net::Port to) {
    return tcp().from(at(from, 20)).to(at(kOurs, to)).seq(1).flags("S");
  };
  CHECK_FALSE(router.pass_on(kWan, syn(kStranger, 5001)));
  CHECK_FALSE(router.pass_on(kWan, syn(kServer, 5002)));
  CHECK(router.say(kWan, at(kServer, 20), at(kOurs, 5001), "udp") == "nothing");
  CHECK(router.shard.helpers().expectations().size() == 1);
  router.pass(std::chrono::seconds{61});
  CHECK_FALSE(router.pass_on(kWan, syn(kServer, 5001)));
}

}  // namespace path_helper_protocols
