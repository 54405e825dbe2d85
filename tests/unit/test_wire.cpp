// Unit tests of daemon/wire: no view reads past its bytes, writers keep checksums right, walks end.

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>

#include "daemon/wire/arp.hpp"
#include "daemon/wire/describe.hpp"
#include "daemon/wire/ethernet.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/tcp.hpp"
#include "daemon/wire/udp.hpp"
#include "daemon/wire/vnet_header.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;
using namespace std::string_view_literals;
using wire::Bytes;

namespace {

// Every prefix of the bytes in memory of its own, so that a sanitizer sees a read past the end.
template <typename View>
void no_prefix_parses(const Octets& whole, std::size_t needed) {
  for (std::size_t size = 0; size < needed; ++size) {
    CAPTURE(size);
    const Octets part{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
    CHECK_FALSE(View::parse(Bytes{part}).has_value());
  }
  CHECK(View::parse(Bytes{whole}).has_value());
}

constexpr std::uint16_t kArpRequest = 1;
Octets arp_request() {
  Octets bytes(28);
  wire::store32(bytes, 0, 0x0001'0800);
  wire::store16(bytes, 4, 0x0604);
  wire::store16(bytes, 6, kArpRequest);
  wire::store_mac(bytes, 8, mac("02:00:00:00:00:01"));
  wire::store_v4(bytes, 14, address("192.0.2.1"));
  wire::store_v4(bytes, 24, address("192.0.2.2"));
  return bytes;
}

}  // namespace

TEST_CASE("bytes: numbers are big-endian, wherever they stand") {
  Octets bytes(17);
  wire::store16(bytes, 1, 0x0102);
  wire::store32(bytes, 3, 0x03040506);
  wire::store64(bytes, 7, 0x0708090a0b0c0d0e);
  for (unsigned i = 1; i <= 14; ++i) CHECK(wire::load8(bytes, i) == i);
  CHECK(wire::load16(bytes, 2) == 0x0203);
  CHECK(wire::load32(bytes, 2) == 0x02030405);
  CHECK(wire::load64(bytes, 2) == 0x0203040506070809);
  CHECK(wire::try_load16(bytes, 15) == 0);
  CHECK_FALSE(wire::try_load16(bytes, 16));
  CHECK_FALSE(wire::try_load16(bytes, 17));
  CHECK_FALSE(wire::try_load16(bytes, ~std::size_t{0}));
  CHECK_FALSE(wire::try_load16({}, 0));
}

TEST_CASE("views: nothing shorter than a header parses") {
  no_prefix_parses<wire::Ethernet>(udp().frame_bytes(), 14);
  no_prefix_parses<wire::Arp>(arp_request(), 28);
  no_prefix_parses<wire::Ipv4>(udp().payload("hello").ip_bytes(), 33);
  no_prefix_parses<wire::Ipv4>(udp().ip_options(octets("\1\1\1\1\1\1\1\1")).ip_bytes(), 36);
  no_prefix_parses<wire::Ipv6>(udp().to("2001:db8::1").payload("hello").ip_bytes(), 53);
  no_prefix_parses<wire::Tcp>(tcp().datagram(), 20);
  no_prefix_parses<wire::Tcp>(tcp().tcp_options(octets("\2\4\5\xb4\1\1\1\0"sv)).datagram(), 28);
  no_prefix_parses<wire::Udp>(udp().payload("hello").datagram(), 13);
  no_prefix_parses<wire::Icmp>(icmp_echo(1).payload("hello").datagram(), 8);
  no_prefix_parses<wire::VnetHeader>(Octets(10), 10);
}

TEST_CASE("views: quoted headers need their header only") {
  const Octets v4 = udp().ip_options(octets("\1\1\1\1")).payload("hello").ip_bytes();
  const Octets v6 = udp().to("2001:db8::1").payload("hello").ip_bytes();
  for (std::size_t size = 0; size < v4.size(); ++size)
    CHECK(wire::Ipv4::parse_header(Bytes{v4}.first(size)).has_value() == (size >= 24));
  for (std::size_t size = 0; size < v6.size(); ++size)
    CHECK(wire::Ipv6::parse_header(Bytes{v6}.first(size)).has_value() == (size >= 40));
}

TEST_CASE("views: headers that contradict themselves do not parse") {
  struct Case {
    const char* name;
    std::size_t at;
    std::uint8_t value;
  };
  for (const Case& c :
       {Case{"version 5", 0, 0x55}, Case{"version 6", 0, 0x65}, Case{"header of 16 bytes", 0, 0x44},
        Case{"header of no bytes", 0, 0x40}, Case{"header longer than the packet", 0, 0x4f},
        Case{"total length shorter than the header", 3, 19}, Case{"total length of nothing", 3, 0},
        Case{"total length longer than the packet", 3, 34}}) {
    CAPTURE(c.name);
    Octets bytes = udp().payload("hello").ip_bytes();
    wire::store8(bytes, c.at, c.value);
    CHECK_FALSE(wire::Ipv4::parse(Bytes{bytes}).has_value());
  }
  Octets v6 = udp().to("2001:db8::1").ip_bytes();
  wire::store8(v6, 0, 0x45);
  CHECK_FALSE(wire::Ipv6::parse(Bytes{v6}).has_value());
  for (const unsigned words : {0, 4, 6, 15}) {
    Octets bytes = tcp().datagram();
    wire::store8(bytes, 12, static_cast<std::uint8_t>(words << 4));
    CHECK_FALSE(wire::Tcp::parse(Bytes{bytes}).has_value());
  }
  for (const std::uint16_t length : std::initializer_list<std::uint16_t>{0, 7, 14, 65535}) {
    Octets bytes = udp().payload("hello").datagram();
    wire::store16(bytes, 4, length);
    CHECK_FALSE(wire::Udp::parse(Bytes{bytes}).has_value());
  }
  for (const std::size_t at : {0, 2, 4}) {
    Octets bytes = arp_request();
    wire::store16(bytes, at, 0x0707);
    CHECK_FALSE(wire::Arp::parse(bytes).has_value());
  }
}

TEST_CASE("views: bytes behind the length fall off") {
  Octets v4 = udp().payload("hello").ip_bytes();
  Octets v6 = udp().to("2001:db8::1").payload("hello").ip_bytes();
  Octets datagram = udp().payload("hello").datagram();
  for (Octets* bytes : {&v4, &v6, &datagram}) bytes->resize(bytes->size() + 7);
  CHECK(wire::Ipv4::parse(Bytes{v4})->bytes().size() == 33);
  CHECK(wire::Ipv6::parse(Bytes{v6})->payload().size() == 13);
  CHECK(wire::Udp::parse(Bytes{datagram})->payload().size() == 5);
}

TEST_CASE("views: every field is read where it stands") {
  const Octets v4 = tcp()
                        .from("192.0.2.1", 1025)
                        .to("198.51.100.1", 443)
                        .ttl(9)
                        .tos(0xb8)
                        .identification(0x1234)
                        .dont_fragment()
                        .ip_options(octets("\1\1\1\0"sv))
                        .flags("SAFRP")
                        .seq(0x01020304)
                        .ack(0x05060708)
                        .window(0x090a)
                        .payload("xyz")
                        .ip_bytes();
  const auto ip4 = wire::Ipv4::parse(Bytes{v4});
  CHECK(ip4->header_length() == 24);
  CHECK(ip4->total_length() == 47);
  CHECK(ip4->source().text() == "192.0.2.1");
  CHECK(ip4->destination().text() == "198.51.100.1");
  CHECK(ip4->ttl() == 9);
  CHECK(ip4->tos() == 0xb8);
  CHECK(ip4->identification() == 0x1234);
  CHECK(ip4->dont_fragment());
  CHECK_FALSE(ip4->is_fragment());
  CHECK(ip4->options().size() == 4);
  CHECK(ip4->checksum_is_valid());
  CHECK(ip4->protocol() == net::Protocol::tcp);
  const auto segment = wire::Tcp::parse(ip4->payload());
  CHECK(segment->source() == 1025);
  CHECK(segment->destination() == 443);
  CHECK(segment->sequence() == 0x01020304);
  CHECK(segment->acknowledgement() == 0x05060708);
  CHECK(segment->window() == 0x090a);
  CHECK(segment->flags().bits == 0x1f);
  CHECK(segment->payload().size() == 3);
  const Octets piece = udp().fragment(1480, true).payload_size(8).ip_bytes();
  CHECK(wire::Ipv4::parse(Bytes{piece})->fragment_offset() == 1480);
  CHECK(wire::Ipv4::parse(Bytes{piece})->more_fragments());

  const Octets v6 = udp().from("2001:db8::1", 7).to("2001:db8::2", 8).ttl(9).tos(0xb8).ip_bytes();
  const auto ip6 = wire::Ipv6::parse(Bytes{v6});
  CHECK(ip6->source().text() == "2001:db8::1");
  CHECK(ip6->destination().text() == "2001:db8::2");
  CHECK(ip6->hop_limit() == 9);
  CHECK(ip6->traffic_class() == 0xb8);
  CHECK(ip6->next_header() == net::Protocol::udp);
  CHECK(ip6->payload_length() == 8);

  const Octets request = arp_request();
  const auto arp = wire::Arp::parse(request);
  CHECK(arp->operation() == wire::Arp::Operation::request);
  CHECK(arp->sender().text() == "192.0.2.1");
  CHECK(arp->target().text() == "192.0.2.2");
  CHECK(arp->sender_mac() == mac("02:00:00:00:00:01"));
}

TEST_CASE("tcp options: found wherever they stand, never behind the end or a broken one") {
  struct Case {
    std::string_view options;
    int scale;
    bool timestamp;
  };
  for (const Case& c :
       {Case{""sv, -1, false}, Case{"\3\3\7"sv, 7, false},
        Case{"\2\4\5\xb4\1\3\3\0\4\2"sv, 0, false}, Case{"\1\1\1\3\3\xff\0"sv, 255, false},
        Case{"\0\3\3\7"sv, -1, false}, Case{"\2\1\3\3\7"sv, -1, false},
        Case{"\2\0\3\3\7"sv, -1, false}, Case{"\3\2\3\3\7"sv, 7, false},
        Case{"\2\x40\3\3\7"sv, -1, false}, Case{"\4\2\10\12abcdefgh\1\3\3\7"sv, 7, true},
        Case{"\10\12abcdefg"sv, -1, false}, Case{"\3\3"sv, -1, false}, Case{"\3"sv, -1, false}}) {
    CAPTURE(std::string{c.options});
    const Octets all = octets(c.options);
    const auto found = wire::window_scale(all);
    CHECK((found ? int{*found} : -1) == c.scale);
    CHECK(wire::has_timestamp(all) == c.timestamp);
    for (std::size_t size = 0; size < all.size(); ++size) {
      const Octets cut(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
      if (const auto scale = wire::window_scale(cut)) CHECK(int{*scale} == c.scale);
    }
  }
}

TEST_CASE("emit: headers that masqgate writes are those that the builder writes") {
  const PacketBuilder v4 =
      ip(net::Protocol::gre).from("192.0.2.1").ttl(7).tos(0xc0).identification(5);
  Octets bytes(20);
  wire::MutableIpv4::emit(bytes, {.source = address("192.0.2.1"),
                                  .destination = address("198.51.100.1"),
                                  .protocol = net::Protocol::gre,
                                  .total_length = 20,
                                  .ttl = 7,
                                  .tos = 0xc0,
                                  .identification = 5});
  CHECK(bytes == v4.ip_bytes());
  bytes.resize(40);
  wire::MutableIpv6::emit(bytes, {.source = address("2001:db8::1"),
                                  .destination = address("2001:db8::2"),
                                  .next_header = net::Protocol::gre,
                                  .hop_limit = 7,
                                  .traffic_class = 0xc0});
  CHECK(bytes ==
        ip(net::Protocol::gre).from("2001:db8::1").to("2001:db8::2").ttl(7).tos(0xc0).ip_bytes());

  for (const char* to : {"198.51.100.1", "2001:db8::1"}) {
    const PacketBuilder segment = tcp()
                                      .from(address(to).is_v4() ? "192.0.2.1" : "2001:db8::9", 1)
                                      .to(to, 2)
                                      .seq(3)
                                      .ack(4)
                                      .flags("RA")
                                      .window(5)
                                      .payload("odd");
    const Tuple t = segment.tuple();
    Octets written = segment.datagram();
    std::fill(written.begin(), written.begin() + 20, std::byte{0xee});
    wire::MutableTcp::emit(
        written, {1, 2, 3, 4, {0x14}, 5},
        wire::pseudo_header_sum(t.source_address, t.destination_address, t.protocol, 23));
    CHECK(written == segment.datagram());
  }
  const Octets message = icmp_error(3, 4, 1400).payload("odd").datagram();
  Octets written = message;
  std::fill(written.begin(), written.begin() + 8, std::byte{0xee});
  wire::MutableIcmp::emit(written, 3, 4, 1400, 0);
  CHECK(written == message);
}

TEST_CASE("options: a source route is found where it stands, and nothing in a broken list") {
  struct Case {
    const char* name;
    std::string_view options;
    bool found;
  };
  for (const Case& c : {Case{"none", ""sv, false}, Case{"alone", "\x83\x07\x04\0\0\0\0\0"sv, true},
                        Case{"behind no-operations", "\1\1\x83\x03\x04\0"sv, true},
                        Case{"behind another option", "\x07\x04\x04\0\x83\x03\x04\0"sv, true},
                        Case{"behind the end", "\0\x83\x03\x04"sv, false},
                        Case{"inside another option", "\x07\x04\x83\x83"sv, false},
                        Case{"behind an option of length 0", "\x07\x00\x83\x03\x04\0"sv, false},
                        Case{"behind an option of length 1", "\x07\x01\x83\x03\x04\0"sv, false},
                        Case{"behind one that is too long", "\x07\xff\x83\x03"sv, false},
                        Case{"its type is the last byte", "\1\1\1\x83"sv, true},
                        Case{"another's type is the last byte", "\1\1\1\x07"sv, false}}) {
    CAPTURE(c.name);
    const Octets options = octets(c.options);
    CHECK(wire::has_option(options, wire::kLooseSourceRoute) == c.found);
    CHECK_FALSE(wire::has_option(options, wire::kStrictSourceRoute));
  }
}

namespace {

std::optional<wire::ExtensionWalk> walk(const PacketBuilder& packet) {
  const Octets bytes = packet.ip_bytes();
  return wire::walk_extensions(*wire::Ipv6::parse(Bytes{bytes}));
}

PacketBuilder v6() {
  return udp().to("2001:db8::1");
}

}  // namespace

TEST_CASE("extension headers: the walk ends at the transport header and notes what it met") {
  using net::Protocol;
  struct Case {
    const char* name;
    PacketBuilder packet;
    std::size_t offset;
    bool fragment = false;
    bool routed = false;
  };
  for (const Case& c : {
           Case{"none", v6(), 40},
           Case{"hop by hop", v6().extension(Protocol::hop_by_hop), 48},
           Case{"a long one", v6().extension(Protocol::destination_options, Octets(2046)),
                40 + 2048},
           Case{"three",
                v6().extension(Protocol::hop_by_hop)
                    .extension(Protocol::routing, octets("\2"))
                    .extension(Protocol::destination_options),
                64},
           Case{"routing 0", v6().extension(Protocol::routing), 48, false, true},
           Case{"first fragment", v6().fragment(0, true).payload_size(8), 48, true},
           Case{"last fragment", v6().fragment(8, false).payload_size(3), 48, true},
           Case{"atomic fragment", v6().fragment(0, false), 48, false},
       }) {
    CAPTURE(c.name);
    const auto found = walk(c.packet);
    REQUIRE(found);
    CHECK(found->protocol == Protocol::udp);
    CHECK(found->offset == c.offset);
    CHECK(found->is_fragment == c.fragment);
    CHECK(found->source_routed == c.routed);
  }
  const auto piece = walk(v6().identification(0x1234).fragment(1448, true).payload_size(8));
  CHECK(piece->fragment_offset == 1448);
  CHECK(piece->more_fragments);
  CHECK(piece->identification == 0x1234);
  // A later fragment's payload is no header, whatever the next header field says.
  PacketBuilder options = ip(Protocol::destination_options).to("2001:db8::1");
  const auto later = walk(options.fragment(8, false).payload(Octets(3, std::byte{0xff})));
  REQUIRE(later);
  CHECK(later->offset == 48);
  CHECK(later->protocol == Protocol::destination_options);
  CHECK(walk(ip(Protocol::none).to("2001:db8::1"))->protocol == Protocol::none);
}

TEST_CASE("extension headers: too many, cut off, or two fragment headers") {
  using net::Protocol;
  PacketBuilder many = v6();
  for (int i = 0; i < wire::kMaxExtensions; ++i) many.extension(Protocol::destination_options);
  CHECK(walk(many).has_value());
  many.extension(Protocol::destination_options);
  CHECK_FALSE(walk(many).has_value());

  // A fragment header in front of another one, which says that there is nothing more to come.
  const auto first = octets("\0\1\0\0\0\7"sv), second = octets("\0\0\0\0\0\7"sv);
  CHECK(walk(v6().extension(Protocol::fragment, first)).has_value());
  CHECK_FALSE(walk(v6().extension(Protocol::fragment, first).extension(Protocol::fragment, second))
                  .has_value());

  PacketBuilder chain =
      v6().extension(Protocol::hop_by_hop).extension(Protocol::destination_options, Octets(14));
  const Octets whole = chain.fragment(0, true).ip_bytes();
  for (std::size_t size = 40; size < whole.size(); ++size) {
    CAPTURE(size);
    Octets part{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
    wire::store16(part, 4, static_cast<std::uint16_t>(size - 40));
    const auto found = wire::walk_extensions(*wire::Ipv6::parse(Bytes{part}));
    CHECK(found.has_value() == (size >= 72));
  }
}

TEST_CASE("icmp: what is asked, answered or complained about") {
  using net::Family;
  using wire::IcmpKind;
  using List = std::initializer_list<std::uint8_t>;
  for (const auto& [request, reply] :
       {std::pair{8, 0}, std::pair{13, 14}, std::pair{15, 16}, std::pair{17, 18}}) {
    CAPTURE(request);
    const auto q = static_cast<std::uint8_t>(request), r = static_cast<std::uint8_t>(reply);
    CHECK(wire::icmp_kind(Family::v4, q) == IcmpKind::request);
    CHECK(wire::icmp_kind(Family::v4, r) == IcmpKind::reply);
    CHECK(wire::icmp_reply_of(Family::v4, q) == r);
    CHECK(wire::icmp_request_of(Family::v4, r) == q);
  }
  CHECK(wire::icmp_kind(Family::v6, 128) == IcmpKind::request);
  CHECK(wire::icmp_kind(Family::v6, 129) == IcmpKind::reply);
  CHECK(wire::icmp_reply_of(Family::v6, 128) == 129);
  CHECK(wire::icmp_request_of(Family::v6, 129) == 128);
  for (const std::uint8_t type : List{3, 4, 5, 11, 12})
    CHECK(wire::icmp_kind(Family::v4, type) == IcmpKind::error);
  for (const std::uint8_t type : List{1, 2, 3, 4})
    CHECK(wire::icmp_kind(Family::v6, type) == IcmpKind::error);
  for (const std::uint8_t type : List{0, 5, 8, 127, 130, 133, 135, 137, 255})
    CHECK(wire::icmp_kind(Family::v6, type) == IcmpKind::other);
  for (const std::uint8_t type : List{1, 2, 6, 9, 10, 19, 128, 255})
    CHECK(wire::icmp_kind(Family::v4, type) == IcmpKind::other);
}

TEST_CASE("virtio header: comes out as it went in, with and without ECN") {
  const wire::VnetHeader header{wire::VnetHeader::kNeedsChecksum, 0x80 | 4, 54, 1448, 34, 16};
  Octets bytes(10);
  header.emit(bytes);
  const auto back = wire::VnetHeader::parse(bytes);
  CHECK(back->gso() == wire::VnetHeader::Gso::tcp6);
  CHECK(back->gso_type == header.gso_type);
  CHECK(back->header_length == 54);
  CHECK(back->gso_size == 1448);
  CHECK(back->checksum_start == 34);
  CHECK(back->checksum_offset == 16);
  CHECK(back->needs_checksum());
  CHECK_FALSE(wire::VnetHeader{}.needs_checksum());
}

TEST_CASE("describe: one line for anything") {
  Octets arp = udp().frame_bytes();
  arp.resize(14);
  wire::store16(arp, 12, 0x0806);
  const Octets body = arp_request();
  arp.insert(arp.end(), body.begin(), body.end());
  CHECK(wire::describe_frame(arp) == "arp who-has 192.0.2.2 tell 192.0.2.1");
  wire::store16(arp, 20, 2);
  CHECK(wire::describe_frame(arp) == "arp 192.0.2.1 is-at 02:00:00:00:00:01");
  CHECK(wire::describe_frame(Bytes{arp}.first(30)) == "malformed arp");
  CHECK(wire::describe_frame(Bytes{arp}.first(13)) == "malformed ethernet length 13");
  CHECK(wire::describe_frame(udp().vlan(7).frame_bytes()) ==
        "02:00:00:00:00:01 > 02:00:00:00:00:02: ethertype 33024 length 46");
  CHECK(wire::describe_frame(tcp().flags("SAFRP").frame_bytes()) ==
        "192.168.1.10:0 > 198.51.100.1:0: tcp [SFRP.] seq 0 ack 0 win 65535 length 0 ttl 64");
  CHECK(wire::describe_ip({}) == "malformed ip length 0");
  PacketBuilder many = v6();
  for (int i = 0; i < 9; ++i) many.extension(net::Protocol::destination_options);
  CHECK(wire::describe_ip(many.ip_bytes()) ==
        "2001:db8:1::10 > 2001:db8::1: bad extension headers");
}

TEST_CASE("describe: errors that quote errors end") {
  PacketBuilder nested = icmp_error(3, 1).quoting(octets("x"));
  for (int depth = 0; depth < 5; ++depth) nested = icmp_error(3, 1).quoting(nested);
  const std::string text = wire::describe_ip(nested.ip_bytes());
  CHECK(std::count(text.begin(), text.end(), '{') == 2);
}

TEST_CASE("describe: takes every prefix of everything, quoted or not") {
  for (const PacketBuilder& packet :
       {udp().payload("hello"), tcp().ip_options(octets("\1\1\1\1")),
        icmp_error(11, 0).quoting(tcp()),
        v6().extension(net::Protocol::hop_by_hop).fragment(0, true),
        icmp_error(3, 0).to("2001:db8::1").quoting(v6().extension(net::Protocol::routing))}) {
    const Octets whole = packet.frame_bytes();
    for (std::size_t size = 0; size <= whole.size(); ++size) {
      const Octets part{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
      CHECK_FALSE(wire::describe_frame(part).empty());
      const Octets quote{
          whole.begin() + 14,
          whole.begin() + 14 + static_cast<std::ptrdiff_t>(size < 14 ? 0 : size - 14)};
      CHECK_FALSE(wire::describe_ip(icmp_error(11, 0).quoting(quote).ip_bytes()).empty());
    }
  }
}
