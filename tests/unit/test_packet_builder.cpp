// Tests of the tests' own packet builder: what it writes, the views read; what it breaks, the
// checks find.

#include <doctest/doctest.h>

#include "daemon/wire/describe.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;

TEST_CASE("builder: a packet reads back as it was told") {
  struct Case {
    PacketBuilder packet;
    const char* text;
  };
  for (const Case& c :
       {Case{udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("x"),
             "192.168.1.10:4000 > 198.51.100.1:53: udp length 1 ttl 64"},
        Case{udp().from("2001:db8::1", 4000).to("2001:db8::2", 53).ttl(1),
             "[2001:db8::1]:4000 > [2001:db8::2]:53: udp length 0 hlim 1"},
        Case{tcp().from("10.0.0.1", 1).to("10.0.0.2", 2).flags("SA").seq(7).ack(8).payload("abc"),
             "10.0.0.1:1 > 10.0.0.2:2: tcp [S.] seq 7 ack 8 win 65535 length 3 ttl 64"},
        Case{icmp_echo(9).to("2001:db8::1"),
             "2001:db8:1::10 > 2001:db8::1: icmpv6 type 128 code 0 id 9 hlim 64"},
        Case{icmp_echo_reply(9).ip_options(octets("\7\3\4")),
             "192.168.1.10 > 198.51.100.1: icmp type 0 code 0 id 9 ttl 64"},
        Case{icmp_error(11, 0).quoting(tcp().from("192.0.2.1", 5).flags("F")),
             "192.168.1.10 > 198.51.100.1: icmp type 11 code 0 {192.0.2.1:5 > 198.51.100.1:0: tcp "
             "[F] seq 0 ack 0 win 65535 length 0 ttl 64} ttl 64"},
        Case{ip(net::Protocol::gre).payload_size(10),
             "192.168.1.10 > 198.51.100.1: gre length 10 ttl 64"},
        Case{udp().to("2001:db8::1").extension(net::Protocol::hop_by_hop).fragment(0, true),
             "[2001:db8:1::10]:0 > [2001:db8::1]:0: udp length 0 hlim 64 frag"},
        Case{udp().fragment(16, false).payload("tail"),
             "192.168.1.10 > 198.51.100.1: udp length 0 ttl 64 frag 16"}}) {
    const Octets bytes = c.packet.ip_bytes();
    CHECK(wire::describe_ip(bytes) == c.text);
    CHECK(checksum_problem(bytes) == "");
  }
}

TEST_CASE("builder: broken and partial checksums are told apart from good ones") {
  for (const char* to : {"198.51.100.1", "2001:db8::1"}) {
    CAPTURE(to);
    for (const PacketBuilder& kind : {udp(), tcp(), icmp_echo(1)}) {
      PacketBuilder packet = kind;
      packet.to(to, 53).payload("odd");
      CHECK(good_checksums(packet.ip_bytes()));
      packet.bad_checksum();
      CHECK_FALSE(good_checksums(packet.ip_bytes()));
    }
    PacketBuilder big = tcp().to(to, 80).flags("A").payload_size(5000).gso(1000);
    CHECK(good_checksums(big.ip_bytes(), big.offload()));
    CHECK_FALSE(good_checksums(big.ip_bytes()));
    CHECK_FALSE(good_checksums(tcp().to(to, 80).payload_size(5000).ip_bytes(), big.offload()));
  }
  CHECK_FALSE(good_checksums(udp().bad_ip_checksum().ip_bytes()));
  CHECK_FALSE(good_checksums(icmp_error(3, 3).quoting(udp().bad_ip_checksum()).ip_bytes()));
  CHECK(good_checksums(udp().no_checksum().ip_bytes()));
  CHECK_FALSE(good_checksums(udp().to("2001:db8::1").no_checksum().ip_bytes()));
}

TEST_CASE("checks: every sentence that does not hold is named") {
  const Octets bytes =
      tcp().from("10.0.0.1", 1).to("10.0.0.2", 2).flags("S").payload("x").ip_bytes();
  CHECK(mismatch(bytes, {source("10.0.0.1"), source("10.0.0.1", 1), destination("10.0.0.2", 2),
                         ttl(64), tos(0), tcp_flags("S"), payload("x"), good_checksums(),
                         protocol(net::Protocol::tcp)}) == "");
  const std::string text = mismatch(bytes, {source("10.0.0.9", 1), ttl(63), payload("y")});
  CHECK(text.find("wanted from 10.0.0.9 port 1, found 10.0.0.1 port 1; ") != text.npos);
  CHECK(text.find("wanted ttl 63, found 64; ") != text.npos);
  CHECK(text.find("wanted payload \"y\", found 1 other bytes; ") != text.npos);
  const Octets error = icmp_error(3, 1).quoting(udp().bad_checksum().payload("x")).ip_bytes();
  CHECK(mismatch(error, {icmp_type(3, 1)}) == "");
  CHECK(mismatch(error, {quotes({source("192.168.1.10", 0)})}) != "");
  CHECK(mismatch(bytes, {quotes({})}) != "");
}
