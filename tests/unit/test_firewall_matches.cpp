// Unit tests of the firewall's matches that look into headers or count: one row of F2 each.

#include <doctest/doctest.h>

#include "daemon/wire/ethernet.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/rule_lab.hpp"
#include "tests/unit/forward_lab.hpp"

using namespace masqgate;
using namespace masqgate::firewall;
using namespace masqgate::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Decision kAccept{Decision::Kind::accept};

bool drops(const std::string& matches, const PacketBuilder& builder) {
  RuleLab lab{forward(matches)};
  return drops(lab, builder);
}

Octets bytes(std::initializer_list<int> numbers) {
  Octets all;
  for (const int one : numbers) all.push_back(static_cast<std::byte>(one));
  return all;
}

const Octets kMss1460 = bytes({2, 4, 0x05, 0xb4});

}  // namespace

TEST_CASE("F2 owner: by the user of the socket, of what the host side sends only") {
  struct FakeOwners final : Owners {
    std::optional<std::uint32_t> uid = 1000;
    Tuple asked;
    std::optional<std::uint32_t> uid_of(const Tuple& tuple) noexcept override {
      asked = tuple;
      return uid;
    }
  } owners;
  const auto judge = [&](const std::string& owner, Side from = Side::host) {
    RuleLab lab{R"({"output": {"rules": [{"id": "r", "owner": )" + owner +
                R"(, "action": "drop"}]}})"};
    lab.memory.owners = &owners;
    Parsed parsed{udp().from("192.0.2.1", 5).to("192.0.2.2", 6)};
    parsed.packet.from = from;
    return lab.judge(Hook::output, parsed.packet) == kDrop;
  };
  CHECK(judge("1000"));
  CHECK(owners.asked.source().text() == "192.0.2.1:5");
  CHECK(owners.asked.destination().text() == "192.0.2.2:6");
  CHECK_FALSE(judge("999"));
  CHECK_FALSE(judge("\"1001-2000\""));
  CHECK(judge("\"0-1000\""));
  CHECK(judge("[5, \"1000-1001\"]"));
  CHECK_FALSE(judge("\"!1000\""));
  CHECK(judge("\"!0\""));
  CHECK_FALSE(judge("[\"!0\", \"!1000\"]"));
  CHECK_FALSE(judge("1000", Side::network));
  owners.uid.reset();
  CHECK_FALSE(judge("1000"));
  CHECK_FALSE(judge("\"!1000\""));

  const auto place = [](const std::string& chain, const std::string& owner) {
    return refusal(R"({")" + chain + R"(": {"rules": [{"id": "r", "owner": )" + owner +
                   R"(, "action": "drop"}]}})");
  };
  CHECK(place("output", "\"0-4294967295\"").pointer == "accepted");
  for (const char* wrong : {"\"alice\"", "\"9-1\"", "\"\"", "\"1-\"", "4294967296", "-1", "[]"}) {
    CAPTURE(wrong);
    CHECK(place("output", wrong).pointer.starts_with("/firewall/output/rules/0/owner"));
  }
  CHECK(place("output", "\"alice\"").sentence.find("`id -u NAME`") != std::string::npos);
  CHECK(place("forward", "1000").pointer.starts_with("/firewall/forward/rules/0"));
}

TEST_CASE("F2 headers: each match, positive, negative and negated") {
  struct Case {
    const char* matches;
    PacketBuilder packet;
    bool expected;
  };
  const auto ping = icmp_echo(7);
  const auto ping6 = icmp_echo(7).from("2001:db8::1").to("2001:db8::2");
  const auto syn = tcp().flags("S"), ack = tcp().flags("."), syn_ack = tcp().flags("S.");
  const auto later = udp().fragment(1480, false).payload_size(80);
  const auto first = udp().fragment(0, true).payload_size(160);
  for (const Case& c : {
           Case{R"("protocol": "icmp", "icmp_type": 8)", ping, true},
           Case{R"("protocol": "icmp", "icmp_type": "8/0")", ping, true},
           Case{R"("protocol": "icmp", "icmp_type": "8/1")", ping, false},
           Case{R"("protocol": "icmp", "icmp_type": "!8")", ping, false},
           Case{R"("protocol": "icmp", "icmp_type": ["0", "3/4"])", ping, false},
           Case{R"("protocol": "icmp", "icmp_type": ["3/4", "8"])", ping, true},
           Case{R"("protocol": "icmp", "icmp_type": ["!0", "!3/4"])", ping, true},
           Case{R"("protocol": "icmpv6", "icmp_type": 128)", ping6, true},
           Case{R"("protocol": "icmpv6", "icmp_type": 8)", ping6, false},
           Case{R"("protocol": "icmp", "icmp_type": "!8")", syn, false},
           Case{R"("protocol": "tcp", "tcp_flags": "syn/syn,ack,rst,fin")", syn, true},
           Case{R"("protocol": "tcp", "tcp_flags": "syn/syn,ack,rst,fin")", syn_ack, false},
           Case{R"("protocol": "tcp", "tcp_flags": "!syn/syn,ack,rst,fin")", ack, true},
           Case{R"("protocol": "tcp", "tcp_flags": "syn")", syn, true},
           Case{R"("protocol": "tcp", "tcp_flags": "syn")", tcp().flags("SP"), false},
           Case{R"("protocol": "tcp", "tcp_flags": "none")", tcp(), true},
           Case{R"("protocol": "tcp", "tcp_flags": "all")", tcp().flags("FSRPAU"), true},
           Case{R"("protocol": "tcp", "tcp_flags": "!syn")", udp(), false},
           Case{R"("fragment": true)", later, true},
           Case{R"("fragment": true)", first, false},
           Case{R"("fragment": false)", first, true},
           Case{R"("fragment": false)", later, false},
           Case{R"("tos": "0x10")", udp().tos(0x10), true},
           Case{R"("tos": "0x10")", udp().tos(0x14), false},
           Case{R"("tos": "0x10/0x1e")", udp().tos(0xf1), true},
           Case{R"("tos": "!0x10")", udp().tos(0x14), true},
           Case{R"("dscp": 46)", udp().tos(0xb9), true},
           Case{R"("dscp": 46)", udp().from("2001:db8::1").to("2001:db8::2").tos(0xb8), true},
           Case{R"("dscp": "!46")", udp().tos(0xb8), false},
           Case{R"("length": "28-30")", udp().payload("xy"), true},
           Case{R"("length": "28-30")", udp().payload("xyz"), false},
           Case{R"("length": "!28-30")", udp().payload("xyz"), true},
           Case{R"("ttl": 1)", udp().ttl(1), true},
           Case{R"("ttl": "0-4")", udp().ttl(5), false},
           Case{R"("ttl": "!0-4")", udp().ttl(5), true},
           Case{R"("protocol": "tcp", "tcp_mss": "1400-1500")",
                tcp().flags("S").tcp_options(kMss1460), true},
           Case{R"("protocol": "tcp", "tcp_mss": "0-1400")", tcp().flags("S").tcp_options(kMss1460),
                false},
           Case{R"("protocol": "tcp", "tcp_mss": "!0-1400")",
                tcp().flags("S").tcp_options(kMss1460), true},
           Case{R"("protocol": "tcp", "tcp_mss": "0-65535")", syn, false},
           Case{R"("protocol": "tcp", "tcp_mss": "!0-65535")", syn, true},
           Case{R"("protocol": "tcp", "tcp_mss": "!0-1400")",
                tcp().flags(".").tcp_options(kMss1460), false},
           Case{R"("port": 80)", tcp().from("10.0.0.1", 80).to("10.0.0.2", 5), true},
           Case{R"("port": ["80", "443"])", tcp().from("10.0.0.1", 5).to("10.0.0.2", 443), true},
           Case{R"("port": ["80", "443"])", tcp().from("10.0.0.1", 5).to("10.0.0.2", 8), false},
           Case{R"("port": "!80")", tcp().from("10.0.0.1", 80).to("10.0.0.2", 5), false},
           Case{R"("in": "la+")", udp(), true},
           Case{R"("in": "!la+")", udp(), false},
           Case{R"("in": "+", "out": "w+")", udp(), true},
           Case{R"("out": "d+")", udp(), false},
       }) {
    CAPTURE(std::string{c.matches});
    CHECK(drops(c.matches, c.packet) == c.expected);
  }
}

TEST_CASE("D2 diverted, hops, injected: what programs have had to do with the packet") {
  struct Row {
    const char* matches;
    bool plain, diverted, injected;  // by port 2222
  };
  for (const Row& row :
       {Row{R"("diverted": true)", false, true, true},
        Row{R"("diverted": false)", true, false, false}, Row{R"("hops": "1-8")", false, true, true},
        Row{R"("hops": "!1")", true, false, false}, Row{R"("hops": 2)", false, false, false},
        Row{R"("injected": true)", false, false, true},
        Row{R"("injected": false)", true, true, false},
        Row{R"("injected": 2222)", false, false, true},
        Row{R"("injected": ["7", "2000-2221"])", false, false, false},
        Row{R"("injected": "!2222")", false, false, false},
        Row{R"("injected": ["!7", "!8"])", false, false, true}}) {
    CAPTURE(row.matches);
    RuleLab lab{forward(row.matches)};
    const auto judge = [&](std::uint8_t hops, std::uint16_t origin) {
      Parsed parsed{udp().from("192.0.2.1", 5).to("192.0.2.2", 6)};
      parsed.packet.hops = hops;
      parsed.packet.divert_origin = origin;
      const bool dropped = lab.judge(Hook::forward, parsed.packet) == kDrop;
      CHECK(parsed.packet.not_remembered == (hops != 0));
      return dropped;
    };
    CHECK(judge(0, 0) == row.plain);
    CHECK(judge(1, 0) == row.diverted);
    CHECK(judge(1, 2222) == row.injected);
  }
}

TEST_CASE("F2 unclean: what no sound sender sends, and nothing that one sends") {
  struct Case {
    const char* name;
    PacketBuilder packet;
    bool unclean;
  };
  for (const Case& c : {
           Case{"a SYN",
                tcp().from("10.0.0.1", 4).to("10.0.0.2", 5).flags("S").tcp_options(kMss1460),
                false},
           Case{"a SYN with FIN", tcp().from("10.0.0.1", 4).to("10.0.0.2", 5).flags("SF"), true},
           Case{"no flags at all", tcp().from("10.0.0.1", 4).to("10.0.0.2", 5), true},
           Case{"source port 0", tcp().from("10.0.0.1", 0).to("10.0.0.2", 5).flags("S"), true},
           Case{"a wrong checksum of TCP",
                tcp().from("10.0.0.1", 4).to("10.0.0.2", 5).flags("S").bad_checksum(), true},
           Case{"a checksum that the device will count",
                tcp().from("10.0.0.1", 4).to("10.0.0.2", 5).flags("S").partial_checksum(), false},
           Case{"an option that ends outside",
                tcp()
                    .from("10.0.0.1", 4)
                    .to("10.0.0.2", 5)
                    .flags("S")
                    .tcp_options(bytes({2, 9, 1, 1})),
                true},
           Case{"a datagram", udp().from("10.0.0.1", 4).to("10.0.0.2", 5).payload("x"), false},
           Case{"a datagram to port 0", udp().from("10.0.0.1", 4).to("10.0.0.2", 0), true},
           Case{"a datagram without checksum",
                udp().from("10.0.0.1", 4).to("10.0.0.2", 5).no_checksum(), false},
           Case{"a wrong checksum of UDP",
                udp().from("10.0.0.1", 4).to("10.0.0.2", 5).bad_checksum(), true},
           Case{"an echo", icmp_echo(7), false},
           Case{"an ICMP type that nobody knows", icmp_error(77, 0), true},
           Case{"an error that quotes nothing", icmp_error(3, 1), true},
           Case{"an error that quotes a datagram",
                icmp_error(3, 1).quoting(udp().from("10.0.0.1", 4).to("10.0.0.2", 5)), false},
           Case{"protocol 0", ip(static_cast<net::Protocol>(0)), true},
           Case{"GRE", ip(net::Protocol::gre), false},
           Case{"IP options that end outside",
                udp().from("10.0.0.1", 4).to("10.0.0.2", 5).ip_options(bytes({7, 9, 4, 0})), true},
           Case{"a tiny first fragment",
                udp().from("10.0.0.1", 4).to("10.0.0.2", 5).fragment(0, true).payload_size(16),
                true},
           Case{"a usual first fragment",
                udp().from("10.0.0.1", 4).to("10.0.0.2", 5).fragment(0, true).payload_size(1472),
                false},
           Case{"a second fragment inside the headers", udp().fragment(24, false).payload_size(16),
                true},
           Case{"a usual second fragment", udp().fragment(1480, false).payload_size(16), false},
       }) {
    CAPTURE(std::string{c.name});
    CHECK(drops(R"("unclean": true)", c.packet) == c.unclean);
    CHECK(drops(R"("unclean": false)", c.packet) != c.unclean);
  }
}

TEST_CASE("F2 mac: the link-layer sender, of what came with a link header from a network") {
  for (const bool negated : {false, true}) {
    RuleLab lab{forward(std::string{R"("source_mac": ")"} + (negated ? "!" : "") +
                        R"(02:00:00:00:00:05")")};
    Parsed parsed{udp()};
    parsed.packet.has_link = true;
    const auto set = [&](const char* source) {
      wire::MutableEthernet::parse(parsed.packet.frame.link())
          ->set(mac("02:00:00:00:00:01"), mac(source), wire::EtherType::ipv4);
      return lab.judge(Hook::forward, parsed.packet) == kDrop;
    };
    CHECK(set("02:00:00:00:00:05") != negated);
    CHECK(set("02:00:00:00:00:06") == negated);
    parsed.packet.has_link = false;
    CHECK_FALSE(set("02:00:00:00:00:05"));
    parsed.packet.has_link = true;
    parsed.packet.from = Side::host;
    CHECK_FALSE(set("02:00:00:00:00:06"));
  }
}

TEST_CASE("F2 limit: Linux 2.4's token bucket, to the ten-thousandth of a second") {
  RuleLab lab{forward(R"("limit": {"rate": "3/hour", "burst": 2})")};
  const auto at = [&](Duration since) {
    lab.memory.now = Time{seconds{5000}} + since;
    return drops(lab, udp());
  };
  CHECK(at(seconds{0}));
  CHECK(at(seconds{0}));
  CHECK_FALSE(at(seconds{0}));
  CHECK_FALSE(at(milliseconds{1199999}));  // 20 minutes make one
  CHECK(at(seconds{1200}));
  CHECK_FALSE(at(seconds{1200}));
  CHECK_FALSE(at(seconds{2399}));  // who is refused in vain loses nothing
  CHECK(at(seconds{2400}));
  CHECK(at(seconds{100000}));  // no more than the burst, however long the silence
  CHECK(at(seconds{100000}));
  CHECK_FALSE(at(seconds{100000}));
  // Units of 1/10000 s are cut off: 3/second costs 0.3333 s.
  RuleLab fine{forward(R"("limit": {"rate": "3/second", "burst": 1})")};
  fine.memory.now = Time{seconds{5000}};
  CHECK(drops(fine, udp()));
  fine.memory.now += std::chrono::microseconds{333299};
  CHECK_FALSE(drops(fine, udp()));
  fine.memory.now += std::chrono::microseconds{1};
  CHECK(drops(fine, udp()));
  RuleLab negated{forward(R"("limit": {"rate": "!1/day", "burst": 1})")};
  negated.memory.now = Time{seconds{5000}};
  CHECK_FALSE(drops(negated, udp()));
  CHECK(drops(negated, udp()));
}

TEST_CASE("F2 limit: counts only what the other matches let through") {
  RuleLab lab{forward(R"("limit": {"rate": "1/day", "burst": 1}, "protocol": "udp", "ttl": 9)")};
  lab.memory.now = Time{seconds{5000}};
  CHECK_FALSE(drops(lab, tcp().flags("S")));
  CHECK_FALSE(drops(lab, udp().ttl(8)));
  CHECK(drops(lab, udp().ttl(9)));
  CHECK_FALSE(drops(lab, udp().ttl(9)));
}

TEST_CASE("F2 hashlimit: each source, or each network of sources, has its bucket") {
  RuleLab lab{forward(R"("source_limit": {"rate": "1/second", "burst": 1, "length": 24})")};
  lab.memory.now = Time{seconds{5000}};
  CHECK(drops(lab, udp().from("10.0.0.1")));
  CHECK_FALSE(drops(lab, udp().from("10.0.0.200")));
  CHECK(drops(lab, udp().from("10.0.1.1")));
  CHECK(drops(lab, udp().from("2001:db8::1").to("2001:db8::9")));
  CHECK(drops(lab, udp().from("2001:db8::2").to("2001:db8::9")));
  CHECK_FALSE(drops(lab, udp().from("2001:db8::2").to("2001:db8::9")));
  lab.memory.now += seconds{1};
  CHECK(drops(lab, udp().from("10.0.0.7")));
}

TEST_CASE("K-23: a flood of sources makes the tables forget, and never grow") {
  RuleLab lab{forward(R"("source_limit": {"rate": "1/day", "burst": 1})")};
  lab.memory.now = Time{seconds{5000}};
  SourceTable<TokenBucket> table{HashKey{3, 4}};
  for (std::uint32_t i = 0; i < 5 * kSources; ++i)
    table.at(net::IpAddress::v4(i), lab.memory.now + seconds{i}).credit = 1;
  std::size_t known = 0;
  for (std::uint32_t i = 0; i < 5 * kSources; ++i)
    known += table.at(net::IpAddress::v4(5 * kSources - 1 - i), lab.memory.now + seconds{100000})
                 .credit == 1;
  CHECK(known > kSources / 2);
  CHECK(known <= kSources);
}

TEST_CASE("F2 quota: matches until the bytes are used up") {
  RuleLab lab{forward(R"("quota": 100)")};
  CHECK(drops(lab, udp().payload_size(32)));  // 60 bytes
  CHECK_FALSE(drops(lab, udp().payload_size(32)));
  CHECK_FALSE(drops(lab, udp()));  // the rest is lost, as in Linux
  RuleLab negated{forward(R"("quota": "!28")")};
  CHECK_FALSE(drops(negated, udp()));
  CHECK(drops(negated, udp()));
}

TEST_CASE("F2 psd: a source that asks for many ports, until it is silent") {
  RuleLab lab{forward(R"("port_scan": {"weight": 6, "delay_ms": 1000, "low_port": 3})")};
  lab.memory.now = Time{seconds{5000}};
  const auto ask = [&](net::Port port) {
    return drops(lab, tcp().from("10.0.0.1", 9).to("10.0.0.2", port).flags("S"));
  };
  CHECK_FALSE(ask(80));
  CHECK_FALSE(ask(80));  // known
  CHECK_FALSE(ask(8080));
  CHECK_FALSE(ask(8081));
  CHECK_FALSE(drops(lab, tcp().from("10.0.0.1", 9).to("10.0.0.2", 23).flags(".")));  // an answer
  CHECK(ask(8082));
  CHECK(ask(80));
  CHECK_FALSE(drops(lab, tcp().from("10.0.0.3", 9).to("10.0.0.2", 22).flags("S")));
  lab.memory.now += milliseconds{1001};
  CHECK_FALSE(ask(80));
}

TEST_CASE("F2 connlimit: the living connections of a source that the rule was asked about") {
  RuleLab lab{forward(R"("destination_port": 80, "connections": {"above": 2})")};
  const Time now{seconds{5000}};
  std::vector<conntrack::Connection*> open;
  const auto begin = [&](const char* from, net::Port port) {
    Parsed parsed{tcp().from(from, port).to("198.51.100.1", 80).flags("S")};
    conntrack::Connection* connection = lab.connections.create(parsed.packet.tuple, now);
    parsed.packet.connection = connection;
    const bool dropped = lab.judge(Hook::forward, parsed.packet) == kDrop;
    if (dropped) {
      lab.connections.discard(*connection);
    } else {
      CHECK(lab.connections.confirm(*connection, now, seconds{60}));
      open.push_back(connection);
    }
    return dropped;
  };
  CHECK_FALSE(begin("10.0.0.1", 1));
  CHECK_FALSE(begin("10.0.0.1", 2));
  CHECK(begin("10.0.0.1", 3));
  CHECK(begin("10.0.0.1", 4));
  CHECK_FALSE(begin("10.0.0.2", 1));
  lab.connections.remove(*open.front());
  CHECK_FALSE(begin("10.0.0.1", 5));
  CHECK(begin("10.0.0.1", 6));
}

TEST_CASE("F2 time: of day and of the week, over midnight too") {
  struct Case {
    const char* time;
    int day, hour, minute;
    bool expected;
  };
  for (const Case& c :
       {Case{R"({"from": "08:00", "to": "18:00"})", 0, 8, 0, true},
        Case{R"({"from": "08:00", "to": "18:00"})", 0, 18, 0, false},
        Case{R"({"from": "08:00", "to": "18:00"})", 0, 7, 59, false},
        Case{R"({"from": "08:00", "to": "18:00", "negated": true})", 0, 7, 59, true},
        Case{R"({"days": ["sat", "sun"]})", 5, 0, 0, true},
        Case{R"({"days": ["sat", "sun"]})", 4, 23, 59, false},
        Case{R"({"from": "22:00", "to": "06:00", "days": ["fri"]})", 4, 23, 0, true},
        Case{R"({"from": "22:00", "to": "06:00", "days": ["fri"]})", 5, 5, 59, true},
        Case{R"({"from": "22:00", "to": "06:00", "days": ["fri"]})", 4, 5, 59, false},
        Case{R"({"from": "22:00", "to": "06:00", "days": ["sun"]})", 0, 1, 0, true},
        Case{R"({"from": "22:00", "to": "24:00"})", 6, 23, 59, true}}) {
    CAPTURE(std::string{c.time});
    CAPTURE(c.day);
    RuleLab lab{forward(std::string{R"("time": )"} + c.time)};
    lab.memory.minute_of_week = static_cast<std::uint16_t>((c.day * 24 + c.hour) * 60 + c.minute);
    CHECK(drops(lab, udp()) == c.expected);
  }
}

TEST_CASE("F7: what a rule counts goes over to the next rule set where the rule stayed the same") {
  const std::string rule =
      R"({"id": "r", "comment": "COMMENT", "limit": {"rate": "RATE", "burst": 1}, "action": "drop"})";
  const auto set = [&](std::string comment, std::string rate, std::string more = "") {
    std::string text = rule;
    text.replace(text.find("COMMENT"), 7, comment).replace(text.find("RATE"), 4, rate);
    return R"({"forward": {"rules": [)" + more + text + "]}}";
  };
  RuleLab lab{set("a", "1/day")};
  lab.memory.now = Time{seconds{5000}};
  CHECK(drops(lab, udp()));
  lab.replace(set("b", "1/day", R"({"protocol": "tcp", "limit": "1/day", "action": "drop"},)"));
  CHECK_FALSE(drops(lab, udp()));
  lab.replace(set("b", "2/day"));
  CHECK(drops(lab, udp()));
}

TEST_CASE("F2: who was asked what may differ takes no short cut, and nobody else") {
  struct Case {
    const char* matches;
    PacketBuilder packet;
    bool remembered;
  };
  const auto data = tcp().from("10.0.0.1", 4).to("10.0.0.2", 80).flags("P.");
  for (const Case& c :
       {Case{R"("protocol": "tcp", "destination_port": 80)", data, true},
        Case{R"("protocol": "udp", "length": "0-60")", data, true},  // never asked for its length
        Case{R"("protocol": "tcp", "length": "0-9")", data, false},
        Case{R"("state": "established", "limit": "1/day")", data, true},
        Case{R"("state": "new", "limit": "1/day")", data, false},
        Case{R"("protocol": "tcp", "tcp_flags": "syn/syn,rst")", data, true},
        Case{R"("protocol": "tcp", "tcp_flags": "syn/syn,rst")",
             tcp().from("10.0.0.1", 4).to("10.0.0.2", 80).flags("S"), false},
        Case{R"("protocol": "tcp", "tcp_flags": "psh/psh")", data, false},
        Case{R"("protocol": "tcp", "tcp_mss": 5)", data, true}, Case{R"("ttl": 5)", data, false},
        Case{R"("unclean": true)", data, false},
        Case{R"("time": {"from": "01:00"})", data, true}}) {
    CAPTURE(std::string{c.matches});
    RuleLab lab{forward(c.matches, "\"continue\"")};
    Parsed parsed{c.packet};
    CHECK(lab.judge(Hook::forward, parsed.packet) == kAccept);
    CHECK(parsed.packet.not_remembered != c.remembered);
  }
}
