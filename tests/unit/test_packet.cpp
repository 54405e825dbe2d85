// Unit tests of daemon/packet: what parses and what does not, tuples, quotes, offload orders,
// frames.

#include <doctest/doctest.h>

#include <set>

#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;
using namespace std::string_view_literals;
using Gso = wire::VnetHeader::Gso;

namespace {

// A frame of its own for some bytes; what parse() said of them.
struct Parsed {
  FramePool pool{1};
  Packet packet;
  std::optional<DropReason> problem;

  explicit Parsed(const PacketBuilder& builder) : Parsed{builder.ip_bytes(), builder.offload()} {}
  explicit Parsed(const Octets& bytes, wire::VnetHeader offload = {}) {
    packet.frame = pool.take();
    packet.frame.set_ip_size(bytes.size());
    std::copy(bytes.begin(), bytes.end(), packet.frame.ip().begin());
    packet.frame.offload = offload;
    problem = parse(packet);
  }
  std::string reason() const { return problem ? std::string{name(*problem)} : "fine"; }
};

PacketBuilder udp6() {
  return udp().to("2001:db8::1");
}

// Sets the length field of the IP header to the number of bytes.
Octets with_true_length(Octets bytes) {
  if (std::to_integer<unsigned>(bytes[0]) >> 4 == 6)
    wire::store16(bytes, 4, static_cast<std::uint16_t>(bytes.size() - 40));
  else
    wire::MutableIpv4::parse_header(wire::MutableBytes{bytes})->set_total_length(bytes.size());
  return bytes;
}

Octets cut(const Octets& whole, std::size_t size) {
  return {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace

TEST_CASE("parse: no prefix of a packet is a packet, and the whole is") {
  for (const PacketBuilder& builder :
       {udp().payload("hello"), tcp().ip_options(octets("\1\1\1\1")), icmp_echo(1),
        icmp_error(3, 1).quoting(tcp()), ip(net::Protocol::gre).payload("x"),
        udp6().extension(net::Protocol::hop_by_hop).payload("hello"),
        icmp_echo(1).to("2001:db8::1"),
        tcp().to("2001:db8::1").fragment(0, true).payload_size(100)}) {
    const Octets whole = builder.ip_bytes();
    CHECK(Parsed{whole}.reason() == "fine");
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      CHECK(Parsed{cut(whole, size)}.reason() == "malformed_ip");
    }
  }
}

TEST_CASE("parse: a packet cut off by its own length is malformed in its transport") {
  struct Case {
    const char* name;
    PacketBuilder packet;
    std::size_t needed;  // bytes of the transport
  };
  for (const Case& c : {
           Case{"tcp", tcp(), 20},
           Case{"tcp with options", tcp().tcp_options(octets("\2\4\5\xb4\1\1\1\0"sv)), 28},
           Case{"tcp over IPv6", tcp().to("2001:db8::1").payload("x"), 20},
           Case{"udp", udp().payload("hello"), 13},
           Case{"udp over IPv6", udp6().payload("hello"), 13},
           Case{"icmp", icmp_echo(1).payload("hello"), 8},
       }) {
    CAPTURE(c.name);
    const Octets whole = c.packet.ip_bytes();
    const std::size_t header = c.packet.family() == net::Family::v4 ? 20 : 40;
    for (std::size_t size = header; size <= whole.size(); ++size) {
      CAPTURE(size);
      const bool enough = size - header >= c.needed;
      CHECK(Parsed{with_true_length(cut(whole, size))}.reason() ==
            (enough ? "fine" : "malformed_transport"));
    }
  }
  // Protocols without ports may be as short as they like; so may ICMPv6.
  CHECK(Parsed{ip(net::Protocol::gre)}.reason() == "fine");
  CHECK(Parsed{ip(net::Protocol::icmpv6).to("2001:db8::1").payload("1234")}.reason() == "fine");
}

TEST_CASE("parse: what else is refused, and by which name") {
  struct Case {
    const char* name;
    Octets bytes;
    const char* reason;
  };
  const auto changed = [](const PacketBuilder& builder, std::size_t at, unsigned value) {
    Octets bytes = builder.ip_bytes();
    wire::store8(bytes, at, static_cast<std::uint8_t>(value));
    return bytes;
  };
  PacketBuilder many = udp6();
  for (int i = 0; i < 9; ++i) many.extension(net::Protocol::destination_options);
  for (const Case& c :
       {Case{"version 5", changed(udp(), 0, 0x55), "malformed_ip"},
        Case{"header of 16 bytes", changed(udp(), 0, 0x44), "malformed_ip"},
        Case{"wrong header checksum", udp().bad_ip_checksum().ip_bytes(), "bad_checksum"},
        Case{"a changed TTL", changed(udp(), 8, 63), "bad_checksum"},
        Case{"IPv4 with version 6", changed(udp(), 0, 0x65), "malformed_ip"},
        Case{"too many extension headers", many.ip_bytes(), "malformed_ip"},
        Case{"from a mapped address",
             [] {
               Octets bytes = udp6().ip_bytes();
               wire::store64(bytes, 8, 0);
               wire::store64(bytes, 16, 0xffff'0a000001);
               return bytes;
             }(),
             "martian"},
        Case{"to a mapped address",
             [] {
               Octets bytes = udp6().ip_bytes();
               wire::store64(bytes, 24, 0);
               wire::store64(bytes, 32, 0xffff'0a000001);
               return bytes;
             }(),
             "martian"}}) {
    CAPTURE(c.name);
    CHECK(Parsed{c.bytes}.reason() == c.reason);
  }
}

TEST_CASE("parse: reserved bits are nobody's business (R-04)") {
  Octets bytes = udp().ip_bytes();
  auto ip = *wire::MutableIpv4::parse(wire::MutableBytes{bytes});
  wire::store8(bytes, 6, 0x80);
  ip.compute_checksum();
  CHECK(Parsed{bytes}.reason() == "fine");
}

TEST_CASE("parse: link-layer padding falls off") {
  for (const PacketBuilder& builder : {udp().payload("x"), udp6().payload("x")}) {
    Octets bytes = builder.ip_bytes();
    const std::size_t size = bytes.size();
    bytes.resize(size + 17, std::byte{0xee});
    const Parsed parsed{bytes};
    CHECK(parsed.reason() == "fine");
    CHECK(parsed.packet.frame.ip().size() == size);
  }
}

TEST_CASE("parse: the IP header's fields") {
  const Parsed v4{udp().ttl(9).dont_fragment().ip_options(octets("\x83\3\4\0"sv))};
  CHECK(v4.packet.family == net::Family::v4);
  CHECK(v4.packet.hop_limit == 9);
  CHECK(v4.packet.dont_fragment);
  CHECK(v4.packet.source_routed);
  CHECK(v4.packet.transport_offset == 24);
  CHECK_FALSE(v4.packet.is_fragment);
  CHECK(Parsed{udp().ip_options(octets("\x89\3\4\0"sv))}.packet.source_routed);
  CHECK_FALSE(Parsed{udp().ip_options(octets("\x07\3\4\0"sv))}.packet.source_routed);
  CHECK_FALSE(Parsed{udp()}.packet.dont_fragment);

  const Parsed v6{udp6().ttl(9).extension(net::Protocol::routing)};
  CHECK(v6.packet.family == net::Family::v6);
  CHECK(v6.packet.hop_limit == 9);
  CHECK(v6.packet.dont_fragment);
  CHECK(v6.packet.source_routed);
  CHECK(v6.packet.transport_offset == 48);
  CHECK(Parsed{tcp().flags("SA")}.packet.tcp_flags.bits == 0x12);
}

TEST_CASE("parse: fragments have ports in their first piece only") {
  struct Case {
    const char* name;
    PacketBuilder packet;
    const char* reason;
    bool fragment = true;
    bool ports = false;
  };
  const auto from = [](PacketBuilder builder, bool v6) {
    return v6 ? builder.from("2001:db8::2", 7).to("2001:db8::1", 8)
              : builder.from("192.0.2.1", 7).to("192.0.2.2", 8);
  };
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    for (const Case& c : {
             Case{"first", udp().fragment(0, true).payload_size(64), "fine", true, true},
             Case{"middle", udp().fragment(64, true).payload_size(64), "fine"},
             Case{"last", udp().fragment(64, false).payload_size(3), "fine"},
             Case{"last of the largest", udp().fragment(65528, false).payload_size(7), "fine"},
             Case{"behind the largest (F-05)", udp().fragment(65528, false).payload_size(8),
                  "malformed_ip"},
             Case{"odd size with more to come", udp().fragment(64, true).payload_size(63),
                  "malformed_ip"},
             Case{"empty (F-04)", udp().fragment(64, false), "malformed_ip"},
             Case{"tiny first TCP (F-01)",
                  ip(net::Protocol::tcp).fragment(0, true).payload_size(16), "malformed_transport"},
             Case{"inside the TCP header (F-02)", tcp().fragment(8, false).payload_size(16),
                  "malformed_transport"},
             Case{"udp there is data", udp().fragment(8, false).payload_size(16), "fine"},
             Case{"first TCP", tcp().fragment(0, true).payload_size(4), "fine", true, true},
             Case{"tiny first UDP", ip(net::Protocol::udp).fragment(0, true), "malformed_ip"},
         }) {
      CAPTURE(c.name);
      const Parsed parsed{from(c.packet, v6)};
      CHECK(parsed.reason() == c.reason);
      if (parsed.problem) continue;
      CHECK(parsed.packet.is_fragment == c.fragment);
      CHECK(parsed.packet.tuple.source_port == (c.ports ? 7 : 0));
      CHECK(parsed.packet.tuple.destination_port == (c.ports ? 8 : 0));
    }
  }
  // An atomic fragment (RFC 6946) is whole.
  const Parsed atomic{from(udp().fragment(0, false).payload("x"), true)};
  CHECK(atomic.reason() == "fine");
  CHECK_FALSE(atomic.packet.is_fragment);
  CHECK(atomic.packet.tuple.source_port == 7);
}

TEST_CASE("tuple: what tells conversations of ISAKMP, ESP and PPTP apart, and no part of it") {
  const auto isakmp = [](std::string_view cookies, net::Port port = 500) {
    return udp().from("192.0.2.1", 500).to("198.51.100.2", port).payload(cookies);
  };
  const auto key = [](const PacketBuilder& builder) { return Parsed{builder}.packet.tuple.key; };
  const std::string_view one = "12345678\0\0\0\0\0\0\0\0"sv, answer = "12345678abcdefgh"sv;
  CHECK(key(isakmp(one)) != 0);
  CHECK(key(isakmp(one)) == key(isakmp(answer)));
  CHECK(key(isakmp(one)) != key(isakmp("12345679"sv)));
  CHECK(key(isakmp(one, 4500)) == 0);
  CHECK(key(isakmp("\0\0\0\0\0\0\0\0"sv)) == 0);
  for (std::size_t size = 0; size < 8; ++size) CHECK(key(isakmp(one.substr(0, size))) == 0);
  CHECK(key(isakmp(one).fragment(0, true).payload_size(16)) != 0);
  CHECK(Parsed{icmp_error(3, 1).quoting(isakmp(one))}.packet.quoted->key == key(isakmp(one)));
  CHECK(Parsed{icmp_error(3, 1).quoting(isakmp(one), 28)}.packet.quoted->key == 0);

  const auto esp = [](std::string_view text) {
    return ip(net::Protocol::esp).from("192.0.2.1").to("198.51.100.2").payload(text);
  };
  const Parsed sealed{esp("\x12\x34\x56\x78\0\0\0\1"sv)};
  CHECK(sealed.packet.tuple.spi() == 0x12345678);
  CHECK(sealed.packet.tuple.inverted().spi() == 0x12345678);
  CHECK(sealed.packet.tuple.inverted() != sealed.packet.tuple);
  CHECK(sealed.packet.tuple.text() == "esp 192.0.2.1 > 198.51.100.2 spi 0x12345678");
  for (std::size_t size = 0; size < 8; ++size)
    CHECK(Parsed{esp("\x12\x34\x56\x78\0\0\0\1"sv.substr(0, size))}.packet.tuple.spi() == 0);
}

TEST_CASE("tuple: every transport of both families; an answer's is the question's turned round") {
  struct Case {
    const char* name;
    PacketBuilder question;
    PacketBuilder answer;
  };
  const auto there = [](PacketBuilder b, net::Port from, net::Port to) {
    return b.from("192.0.2.1", from).to("198.51.100.2", to);
  };
  const auto back = [](PacketBuilder b, net::Port from, net::Port to) {
    return b.from("198.51.100.2", from).to("192.0.2.1", to);
  };
  const auto there6 = [](PacketBuilder b, net::Port from, net::Port to) {
    return b.from("2001:db8::1", from).to("2001:db8::2", to);
  };
  const auto back6 = [](PacketBuilder b, net::Port from, net::Port to) {
    return b.from("2001:db8::2", from).to("2001:db8::1", to);
  };
  constexpr std::uint32_t kIdentifier = 8u << 24 | 1;  // equals an echo's type and code
  for (const Case& c : {
           Case{"udp", there(udp(), 1025, 53), back(udp(), 53, 1025)},
           Case{"tcp", there(tcp(), 1025, 80), back(tcp(), 80, 1025)},
           Case{"gre", there(ip(net::Protocol::gre), 0, 0), back(ip(net::Protocol::gre), 0, 0)},
           Case{"echo", there(icmp_echo(7), 0, 0), back(icmp_echo_reply(7), 0, 0)},
           Case{"echo 0", there(icmp_echo(0), 0, 0), back(icmp_echo_reply(0), 0, 0)},
           Case{"echo with an identifier like a type", there(icmp_echo(8 << 8), 0, 0),
                back(icmp_echo_reply(8 << 8), 0, 0)},
           Case{"timestamp", there(icmp_error(13, 0, kIdentifier), 0, 0),
                back(icmp_error(14, 0, kIdentifier), 0, 0)},
           Case{"information", there(icmp_error(15, 0, kIdentifier), 0, 0),
                back(icmp_error(16, 0, kIdentifier), 0, 0)},
           Case{"mask", there(icmp_error(17, 0, kIdentifier), 0, 0),
                back(icmp_error(18, 0, kIdentifier), 0, 0)},
           Case{"udp over IPv6", there6(udp(), 1025, 53), back6(udp(), 53, 1025)},
           Case{"tcp over IPv6", there6(tcp(), 1025, 80), back6(tcp(), 80, 1025)},
           Case{"echo over IPv6", there6(icmp_echo(7), 0, 0), back6(icmp_echo_reply(7), 0, 0)},
       }) {
    CAPTURE(c.name);
    const Parsed question{c.question}, answer{c.answer};
    CHECK(question.reason() == "fine");
    CHECK(answer.reason() == "fine");
    CHECK(answer.packet.tuple == question.packet.tuple.inverted());
    CHECK(question.packet.tuple == answer.packet.tuple.inverted());
    CHECK(question.packet.tuple != answer.packet.tuple);
    CHECK(answer.packet.tuple.hash({1, 2}) == question.packet.tuple.inverted().hash({1, 2}));
    CHECK_FALSE(question.packet.quoted);
  }
  CHECK(Parsed{there(udp(), 1025, 53)}.packet.tuple.text() ==
        "udp 192.0.2.1:1025 > 198.51.100.2:53");
  const Tuple echo = Parsed{there(icmp_echo(0x1234), 0, 0)}.packet.tuple;
  CHECK(echo.source_port == 0x1234);
  CHECK(echo.destination_port == 8 << 8);
  // A request and a reply with the same numbers are told apart.
  CHECK(Parsed{there(icmp_echo(8 << 8), 0, 0)}.packet.tuple !=
        Parsed{there(icmp_echo_reply(8 << 8), 0, 0)}.packet.tuple);
}

TEST_CASE("tuple: the other family's ICMP has no ports, neither have messages that ask nothing") {
  for (const PacketBuilder& builder :
       {ip(net::Protocol::icmpv6).payload(icmp_echo(7).datagram()),
        ip(net::Protocol::icmp).to("2001:db8::1").payload(icmp_echo(7).datagram()),
        icmp_error(9, 0, 7), icmp_error(135, 0, 7).to("2001:db8::1"),
        icmp_error(3, 3).quoting(udp())}) {
    const Parsed parsed{builder};
    CHECK(parsed.reason() == "fine");
    CHECK(parsed.packet.tuple.source_port == 0);
    CHECK(parsed.packet.tuple.destination_port == 0);
    CHECK(parsed.packet.tuple.is_icmp_reply == 0);
  }
}

TEST_CASE(
    "quote: an error names the packet that it is about, from eight bytes of its transport on") {
  struct Case {
    const char* name;
    PacketBuilder about;
    std::size_t header;  // bytes of the quoted IP header
  };
  const auto v6 = [](PacketBuilder b) { return b.from("2001:db8::1", 1025).to("2001:db8::2", 80); };
  for (const Case& c : {
           Case{"udp", udp().from("192.0.2.1", 1025).to("198.51.100.2", 53), 20},
           Case{"tcp", tcp().from("192.0.2.1", 1025).to("198.51.100.2", 80), 20},
           Case{"tcp behind options",
                tcp().from("192.0.2.1", 1025).ip_options(octets("\1\1\1\1\1\1\1\1")), 28},
           Case{"echo", icmp_echo(7).payload("ping"), 20},
           Case{"echo reply", icmp_echo_reply(7).payload("ping"), 20},
           Case{"timestamp", icmp_error(13, 0, 7u << 16), 20},
           Case{"a first fragment",
                udp().from("192.0.2.1", 1025).fragment(0, true).payload_size(16), 20},
           Case{"udp over IPv6", v6(udp()), 40},
           Case{"tcp over IPv6", v6(tcp()), 40},
           Case{"tcp behind extension headers",
                v6(tcp())
                    .extension(net::Protocol::hop_by_hop)
                    .extension(net::Protocol::destination_options),
                56},
           Case{"echo over IPv6", v6(icmp_echo(7)), 40},
           Case{"echo reply over IPv6", v6(icmp_echo_reply(7)), 40},
       }) {
    CAPTURE(c.name);
    const bool v4 = c.about.family() == net::Family::v4;
    const char* to = v4 ? "192.0.2.1" : "2001:db8::1";
    const Octets whole = c.about.ip_bytes();
    const Tuple expected = Parsed{whole}.packet.tuple;
    const auto types = v4 ? std::vector<int>{3, 4, 5, 11, 12} : std::vector<int>{1, 2, 3, 4};
    for (const int type : types) {
      CAPTURE(type);
      for (std::size_t size = 0; size <= whole.size(); ++size) {
        CAPTURE(size);
        const Parsed error{
            icmp_error(static_cast<std::uint8_t>(type), 1).to(to).quoting(cut(whole, size))};
        REQUIRE(error.reason() == "fine");
        REQUIRE(error.packet.quoted.has_value() == (size >= c.header + 8));
        if (!error.packet.quoted) continue;
        CHECK(*error.packet.quoted == expected);
        CHECK(error.packet.quote_offset == error.packet.transport_offset + 8);
        CHECK(error.packet.quote_transport_offset == error.packet.quote_offset + c.header);
      }
    }
  }
}

TEST_CASE("quote: nothing is believed of what cannot have been ours") {
  const auto mapped = [](std::size_t at) {
    Octets bytes = udp6().payload("x").ip_bytes();
    wire::store64(bytes, at, 0);
    wire::store64(bytes, at + 8, 0xffff'c0000201);
    return bytes;
  };
  struct Case {
    const char* name;
    PacketBuilder error;
  };
  const auto v6 = [] { return icmp_error(1, 0).to("2001:db8::1"); };
  for (const Case& c : {
           Case{"another error", icmp_error(3, 1).quoting(icmp_error(3, 1).quoting(udp()))},
           Case{"another error over IPv6", v6().quoting(v6().quoting(udp6()))},
           Case{"a later fragment",
                icmp_error(3, 1).quoting(udp().fragment(64, false).payload_size(16))},
           Case{"a later fragment over IPv6",
                v6().quoting(udp6().fragment(64, false).payload_size(16))},
           Case{"the other family", icmp_error(3, 1).quoting(udp6())},
           Case{"the other family over IPv6", v6().quoting(udp())},
           Case{"the other family's ICMP",
                v6().quoting(ip(net::Protocol::icmp).to("2001:db8::1").payload_size(16))},
           Case{"a broken header checksum (I-05)",
                icmp_error(3, 1).quoting(udp().bad_ip_checksum())},
           Case{"a mapped source", v6().quoting(mapped(8))},
           Case{"a mapped destination", v6().quoting(mapped(24))},
           Case{"noise",
                icmp_error(3, 1).quoting(octets("no IP packet, only text of some length"))},
       }) {
    CAPTURE(c.name);
    const Parsed parsed{c.error};
    CHECK(parsed.reason() == "fine");
    CHECK_FALSE(parsed.packet.quoted);
  }
  // A protocol without ports needs no byte of it.
  CHECK(Parsed{icmp_error(3, 2).quoting(ip(net::Protocol::gre).payload("x"))}.packet.quoted);
  // Queries quote nothing, whatever they carry.
  CHECK_FALSE(Parsed{icmp_echo(1).payload(udp().ip_bytes())}.packet.quoted);
}

TEST_CASE("parse: again, after the packet has changed, forgets what it was") {
  Parsed parsed{icmp_error(3, 1).quoting(udp())};
  REQUIRE(parsed.packet.quoted);
  udp().fill(parsed.packet.frame);
  CHECK_FALSE(parse(parsed.packet));
  CHECK_FALSE(parsed.packet.quoted);
  CHECK(parsed.packet.quote_offset == 0);
  Parsed segment{tcp().flags("S")};
  udp().fill(segment.packet.frame);
  CHECK_FALSE(parse(segment.packet));
  CHECK(segment.packet.tcp_flags.bits == 0);
}

TEST_CASE("offload: unfinished work that fits its packet is kept") {
  for (const char* to : {"198.51.100.1", "2001:db8::1"}) {
    CAPTURE(to);
    for (PacketBuilder builder :
         {udp().partial_checksum(), tcp().partial_checksum(), tcp().payload_size(60000).gso(1448),
          udp().payload_size(60000).gso(1200),
          tcp().tcp_options(octets("\1\1\1\1")).partial_checksum()}) {
      const Parsed parsed{builder.to(to, 80)};
      CHECK(parsed.reason() == "fine");
      CHECK(parsed.packet.frame.offload.needs_checksum());
    }
  }
  // The checksum of a tunnel's inner packet.
  wire::VnetHeader inner{wire::VnetHeader::kNeedsChecksum, 0, 0, 0, 44, 16};
  CHECK(Parsed{ip(net::Protocol::gre).payload_size(100).ip_bytes(), inner}.reason() == "fine");
  // ECN is a bit beside the kind.
  wire::VnetHeader ecn = tcp().payload_size(5000).gso(1448).offload();
  ecn.gso_type |= wire::VnetHeader::kEcn;
  CHECK(Parsed{tcp().payload_size(5000).gso(1448).ip_bytes(), ecn}.reason() == "fine");
  // A segmentable UDP packet's own length field may be that of one segment.
  Octets segment = udp().payload_size(5000).gso(1200).ip_bytes();
  wire::store16(segment, 24, 1208);
  CHECK(Parsed{segment, udp().payload_size(5000).gso(1200).offload()}.reason() == "fine");
}

TEST_CASE("offload: every order that contradicts its packet is refused") {
  const PacketBuilder segment = tcp().payload_size(5000).gso(1448);
  const PacketBuilder segment6 = tcp().to("2001:db8::1").payload_size(5000).gso(1448);
  const PacketBuilder datagram = udp().payload_size(5000).gso(1448);
  const auto with = [](const PacketBuilder& builder, auto change) {
    wire::VnetHeader offload = builder.offload();
    change(offload);
    return offload;
  };
  const auto kind = [](Gso gso) {
    return [gso](wire::VnetHeader& o) { o.gso_type = static_cast<std::uint8_t>(gso); };
  };
  const wire::VnetHeader order{wire::VnetHeader::kNeedsChecksum, 0, 0, 0, 20, 2};
  const wire::VnetHeader order6{wire::VnetHeader::kNeedsChecksum, 0, 0, 0, 40, 2};
  using Header = wire::VnetHeader&;
  struct Case {
    const char* name;
    PacketBuilder packet;
    wire::VnetHeader offload;
  };
  for (const Case& c : {
           Case{"checksum from inside the IP header", segment,
                with(segment, [](Header o) { o.checksum_start = 10; })},
           Case{"checksum from behind", segment,
                with(segment, [](Header o) { o.checksum_start = 24; })},
           Case{"checksum over everything", segment,
                with(segment, [](Header o) { o.checksum_start = 0; })},
           Case{"checksum start outside", segment,
                with(segment, [](Header o) { o.checksum_start = 0xffff; })},
           Case{"checksum field outside", segment,
                with(segment, [](Header o) { o.checksum_offset = 0xffff; })},
           Case{"another field of TCP", segment,
                with(segment, [](Header o) { o.checksum_offset = 6; })},
           Case{"another field of UDP", datagram,
                with(datagram, [](Header o) { o.checksum_offset = 16; })},
           Case{"checksum of ICMP", icmp_echo(1), order},
           Case{"checksum of ICMPv6", icmp_echo(1).to("2001:db8::1"), order6},
           Case{"checksum behind the end", ip(net::Protocol::gre).payload("123"), order},
           Case{"checksum before the payload",
                ip(net::Protocol::gre).payload_size(100),
                {wire::VnetHeader::kNeedsChecksum, 0, 0, 0, 12, 0}},
           Case{"checksum of a fragment",
                udp().fragment(0, true).payload_size(8).partial_checksum(),
                udp().partial_checksum().offload()},
           Case{"checksum of a later fragment", udp().fragment(8, false).payload_size(16),
                udp().partial_checksum().offload()},
           Case{"segments of no size", segment, with(segment, [](Header o) { o.gso_size = 0; })},
           Case{"segments by fragments", segment,
                with(segment, [](Header o) { o.gso_size = 0xffff; })},
           Case{"segments without checksum", segment, with(segment, [](Header o) { o.flags = 0; })},
           Case{"segments of a fragment", tcp().fragment(0, true).payload_size(804),
                segment.offload()},
           Case{"IPv6 segments of IPv4", segment, with(segment, kind(Gso::tcp6))},
           Case{"IPv4 segments of IPv6", segment6, with(segment6, kind(Gso::tcp4))},
           Case{"UDP segments of TCP", segment, with(segment, kind(Gso::udp_l4))},
           Case{"TCP segments of UDP", datagram, with(datagram, kind(Gso::tcp4))},
           Case{"UDP fragmentation offload", datagram, with(datagram, kind(Gso::udp))},
           Case{"an unknown kind", segment, with(segment, [](Header o) { o.gso_type = 2; })},
           Case{"an unknown kind bit", segment,
                with(segment, [](Header o) { o.gso_type |= 0x20; })},
           Case{"segments of ICMP", icmp_echo(1).payload_size(5000), segment.offload()},
           Case{"headers longer than the packet", segment,
                with(segment, [](Header o) { o.header_length = 5041; })},
           Case{"the same without orders", udp(), {0, 0, 29, 0, 0, 0}},
       }) {
    CAPTURE(c.name);
    CHECK(Parsed{c.packet.ip_bytes(), c.offload}.reason() == "malformed_frame");
  }
}

TEST_CASE("frame: storage has one owner and goes back to its pool, last used first") {
  FramePool pool{2};
  CHECK(pool.total() == 2);
  Frame first = pool.take();
  Frame second = pool.take();
  CHECK(pool.in_use() == 2);
  CHECK_FALSE(static_cast<bool>(pool.take()));
  first.set_ip_size(100);
  first.offload.gso_size = 7;
  const auto* storage = first.ip().data();
  Frame moved = std::move(first);
  CHECK(moved.ip().data() == storage);
  CHECK(moved.ip().size() == 100);
  CHECK(moved.offload.gso_size == 7);
  moved = std::move(second);  // what it held goes back
  CHECK(pool.in_use() == 1);
  Frame again = pool.take();
  CHECK(again.ip().data() == storage);
  CHECK(again.ip().empty());
  CHECK(again.offload.gso_size == 0);
  { const Frame gone = std::move(again); }
  CHECK(pool.in_use() == 1);
}

TEST_CASE("frame: the packet stands at the same place behind any link header") {
  FramePool pool{1};
  Frame frame = pool.take();
  frame.set_ip_size(Frame::kMaxIpSize);
  for (const std::size_t link : {std::size_t{0}, Frame::kLinkSize}) {
    const auto room = frame.device_room(link);
    CHECK(room.size() == wire::VnetHeader::kSize + link + Frame::kMaxIpSize);
    CHECK(room.data() + wire::VnetHeader::kSize + link == frame.ip().data());
    CHECK(frame.device_bytes(link).size() == room.size());
  }
  CHECK(frame.link().data() + Frame::kLinkSize == frame.ip().data());
  frame.ip()[Frame::kMaxIpSize - 1] = std::byte{1};
}

TEST_CASE("trail: remembers a few counters, and that there were more") {
  Trail trail;
  for (std::uint16_t i = 0; i < Trail::kMost; ++i) trail.add(i);
  CHECK(trail.size == Trail::kMost);
  CHECK_FALSE(trail.overflowed);
  trail.add(99);
  CHECK(trail.size == Trail::kMost);
  CHECK(trail.overflowed);
}

TEST_CASE("drop reasons: every one has a name of its own") {
  const std::set<std::string_view> names{kDropReasonNames.begin(), kDropReasonNames.end()};
  CHECK(names.size() == kDropReasons);
  CHECK(names.count("") == 0);
  CHECK(name(DropReason::malformed_frame) == "malformed_frame");
  CHECK(name(DropReason::too_big) == "too_big");
  CHECK(name(DropReason::shutting_down) == "shutting_down");
}
