// Unit tests of daemon/control/virtual_files.hpp: every line byte for byte as history 1.1, 1.2, 1.4
// and 1.5 print it.

#include <doctest/doctest.h>

#include <sstream>

#include "daemon/control/virtual_files.hpp"
#include "tests/support/packet_builder.hpp"

using namespace masqgate;
using namespace masqgate::control;
using namespace masqgate::test;
using conntrack::Connection;
using conntrack::TcpState;

namespace {

constexpr Time kNow{std::chrono::seconds{5000}};
constexpr FreePorts kFree{40959, 40958, 40960};

// The packet's connection as masqueraded behind outside:port, ending in so many hundredths.
Connection masqueraded(const PacketBuilder& packet, const char* outside, net::Port port,
                       long long hundredths, TcpState state = TcpState::none) {
  Connection c;
  c.original = packet.tuple();
  c.reply = c.original.inverted();
  c.reply.destination_address = address(outside);
  c.reply.destination_port = port;
  c.flags = Connection::kInUse | Connection::kConfirmed | Connection::kSourceNat;
  c.tcp_state = state;
  c.expires_ns = (kNow + std::chrono::milliseconds{10 * hundredths}).time_since_epoch().count();
  return c;
}

Connection web() {
  return masqueraded(tcp().from("192.168.0.2", 1025).to("204.71.6.194", 80), "5.6.7.8", 61000,
                     89742, TcpState::established);
}
Connection name() {
  return masqueraded(udp().from("192.168.0.3", 1026).to("8.8.8.8", 53), "5.6.7.8", 61001, 29990);
}
Connection ping() {
  return masqueraded(icmp_echo(512).from("192.168.0.2").to("8.8.8.8"), "5.6.7.8", 61002, 6000);
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}
// The record of 127 bytes that this text begins; longer than its text only by blanks.
std::string record(std::string text) {
  text.resize(127, ' ');
  return text;
}

}  // namespace

TEST_CASE("ip_masquerade: header, rows in bucket order, 128 bytes each") {
  // Buckets: (protocol ^ masq address ^ masq port) & 0xff: 0x43, 0x46, 0x50.
  const std::vector<Connection> all{web(), name(), ping()};
  const std::string text = ip_masquerade(all, kFree, kNow);
  CHECK(text.size() == 4 * 128);
  CHECK(lines(text) ==
        std::vector{record("Prc FromIP   FPrt ToIP     TPrt Masq Init-seq  Delta PDelta Expires "
                           "(free=40959,40958,40960)"),
                    record("ICMP C0A80002:0200 08080808:0800 EE4A 00000000      0      0    6000"),
                    record("TCP C0A80002:0401 CC4706C2:0050 EE48 00000000      0      0   89742"),
                    record("UDP C0A80003:0402 08080808:0035 EE49 00000000      0      0   29990")});
}

TEST_CASE(
    "ip_masquerade: within a bucket the newest stands first, what is not masqueraded nowhere") {
  Connection old = web(), young = web(), plain = web(), six = web();
  old.created_ticks = 1, young.created_ticks = 2;
  young.original.source_port = 7;
  plain.clear(Connection::kSourceNat);
  six.original = udp().from("fd00::1", 1).to("fd00::2", 2).tuple();
  const std::vector<Connection> all{old, young, plain, six};
  const auto rows = lines(ip_masquerade(all, kFree, kNow));
  REQUIRE(rows.size() == 3);
  CHECK(rows[1].find("C0A80002:0007") == 4);
  CHECK(rows[2].find("C0A80002:0401") == 4);
}

TEST_CASE("ip_masquerade: names that netstat -M takes, times that have passed, an empty table") {
  struct Case {
    net::Protocol protocol;
    const char* start;
  };
  for (const Case& c : {Case{net::Protocol::gre, "GRE C0A80002:0000 "},
                        Case{net::Protocol::esp, "ESP C0A80002:0000 "},
                        Case{net::Protocol{94}, "IP_94 C0A80002:0000 "}}) {
    const std::vector<Connection> one{
        masqueraded(ip(c.protocol).from("192.168.0.2").to("8.8.8.8"), "5.6.7.8", 0, -500)};
    const auto rows = lines(ip_masquerade(one, kFree, kNow));
    REQUIRE(rows.size() == 2);
    CHECK(rows[1].find(c.start) == 0);
    CHECK(rows[1] ==
          record(std::string{c.start} + "08080808:0000 0000 00000000      0      0       0"));
  }
  CHECK(ip_masquerade({}, {}, kNow).size() == 128);
  CHECK(ip_masquerade({}, {}, kNow).find("(free=0,0,0)") != std::string::npos);
}

TEST_CASE("ip_masq/tcp, udp, icmp: seconds, states, flags, only their protocol") {
  Connection answered = web();
  answered.set(Connection::kSeenReply);
  answered.original.source_port = 1;
  const std::vector<Connection> all{web(), name(), ping(), answered};
  const std::string header = record(
      "Prot SrcIP    SPrt DstIP    DPrt MAddr    MPrt State        Flgs Ref Ctl Expires "
      "(free=40959,40958,40960)");
  struct Case {
    net::Protocol protocol;
    std::vector<std::string> rows;
  };
  for (const Case& c :
       {Case{net::Protocol::tcp,
             {"TCP  C0A80002:0401 CC4706C2:0050 05060708:EE48 ESTABLISHED  180    1   0     897",
              "TCP  C0A80002:0001 CC4706C2:0050 05060708:EE48 ESTABLISHED  100    1   0     897"}},
        Case{net::Protocol::udp,
             {"UDP  C0A80003:0402 08080808:0035 05060708:EE49 UDP          180    1   0     299"}},
        Case{net::Protocol::icmp,
             {"ICMP C0A80002:0200 08080808:0800 05060708:EE4A ICMP         180    1   0      "
              "60"}}}) {
    const std::string text = ip_masq(c.protocol, all, kFree, kNow);
    std::vector<std::string> expected{header};
    for (const std::string& row : c.rows) expected.push_back(record(row));
    CHECK(lines(text) == expected);
    CHECK(text.size() == expected.size() * 128);
  }
}

namespace {

// The examples of history 1.4.
std::vector<Connection> examples() {
  Connection tcp_one = masqueraded(tcp().from("192.168.0.2", 1025).to("1.2.3.4", 80), "5.6.7.8",
                                   1025, 43199900, TcpState::established);
  tcp_one.set(Connection::kSeenReply);
  tcp_one.set(Connection::kAssured);
  const Connection udp_one =
      masqueraded(udp().from("192.168.0.2", 1026).to("8.8.8.8", 53), "5.6.7.8", 1026, 2800);
  Connection icmp_one =
      masqueraded(icmp_echo(512).from("192.168.0.2").to("8.8.8.8"), "5.6.7.8", 512, 2900);
  icmp_one.set(Connection::kSeenReply);
  Connection gre_one =
      masqueraded(ip(net::Protocol::gre).from("192.168.0.2").to("1.2.3.4"), "5.6.7.8", 0, 59999);
  gre_one.set(Connection::kSeenReply);
  return {tcp_one, udp_one, icmp_one, gre_one};
}

}  // namespace

TEST_CASE("ip_conntrack: the examples of history 1.4, their trailing blanks included") {
  CHECK(ip_conntrack(examples(), kNow) ==
        "tcp      6 431999 ESTABLISHED src=192.168.0.2 dst=1.2.3.4 sport=1025 dport=80 "
        "src=1.2.3.4 dst=5.6.7.8 sport=80 dport=1025 [ASSURED] use=1 \n"
        "udp      17 28 src=192.168.0.2 dst=8.8.8.8 sport=1026 dport=53 [UNREPLIED] "
        "src=8.8.8.8 dst=5.6.7.8 sport=53 dport=1026 use=1 \n"
        "icmp     1 29 src=192.168.0.2 dst=8.8.8.8 type=8 code=0 id=512 "
        "src=8.8.8.8 dst=5.6.7.8 type=0 code=0 id=512 use=1 \n"
        "unknown  47 599 src=192.168.0.2 dst=1.2.3.4 src=1.2.3.4 dst=5.6.7.8 use=1 \n");
  CHECK(ip_conntrack({}, kNow) == "");
}

TEST_CASE("nf_conntrack: both families, the mark, no trailing blank, IPv6 spelled out") {
  std::vector<Connection> all = examples();
  all.resize(1);
  Connection six =
      masqueraded(icmp_echo(7).from("fd00:1::10").to("2001:db8::1"), "fd00:1::10", 7, 3000);
  all.push_back(six);
  six = masqueraded(tcp().from("fd00:1::10", 1).to("2001:db8::1", 443), "fd00:1::10", 1, 12000,
                    TcpState::syn_sent);
  six.mark = 9;
  all.push_back(six);
  CHECK(nf_conntrack(all, kNow) ==
        "ipv4     2 tcp      6 431999 ESTABLISHED src=192.168.0.2 dst=1.2.3.4 sport=1025 dport=80 "
        "src=1.2.3.4 dst=5.6.7.8 sport=80 dport=1025 [ASSURED] mark=0 use=1\n"
        "ipv6     10 icmpv6   58 30 src=fd00:0001:0000:0000:0000:0000:0000:0010 "
        "dst=2001:0db8:0000:0000:0000:0000:0000:0001 type=128 code=0 id=7 [UNREPLIED] "
        "src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=fd00:0001:0000:0000:0000:0000:0000:0010 "
        "type=129 code=0 id=7 mark=0 use=1\n"
        "ipv6     10 tcp      6 120 SYN_SENT src=fd00:0001:0000:0000:0000:0000:0000:0010 "
        "dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=1 dport=443 [UNREPLIED] "
        "src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=fd00:0001:0000:0000:0000:0000:0000:0010 "
        "sport=443 dport=1 mark=9 use=1\n");
  // ip_conntrack knows no IPv6.
  CHECK(lines(ip_conntrack(all, kNow)).size() == 1);
}
