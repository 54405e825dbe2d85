// Property tests of daemon/nat/translate: whatever is rewritten, into whatever, parses as what it
// was made and has the checksums that a whole new count would give it.

#include <doctest/doctest.h>

#include <random>

#include "daemon/nat/translate.hpp"
#include "daemon/wire/checksum.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;

namespace {

// Addresses and ports among which the two zeros of one's complement arithmetic are frequent.
struct Dice {
  std::mt19937 engine{2663};
  std::uint16_t word() {
    const auto number = static_cast<std::uint32_t>(engine());
    if (number % 4 == 0) return 0;
    if (number % 4 == 1) return 0xffff;
    return static_cast<std::uint16_t>(number >> 8);
  }
  std::uint64_t words() {
    return std::uint64_t{word()} << 48 | std::uint64_t{word()} << 32 | std::uint64_t{word()} << 16 |
           word();
  }
  net::IpAddress address(net::Family family) {
    if (family == net::Family::v4) return net::IpAddress::v4(static_cast<std::uint32_t>(words()));
    return net::IpAddress::v6(words() | 1, words());  // never a mapped one
  }
  net::Endpoint endpoint(net::Family family) { return {address(family), word()}; }
  // Another conversation of the same protocol; an ICMP query keeps its type.
  Tuple like(const Tuple& tuple) {
    const net::Family family = tuple.source_address.family();
    Tuple out = tuple;
    out.source_address = address(family);
    out.destination_address = address(family);
    if (tuple.has_ports() ||
        (tuple.is_icmp() && tuple.is_icmp_reply == 0 && tuple.destination_port != 0))
      out.source_port = word();
    if (tuple.has_ports() || tuple.is_icmp_reply != 0) out.destination_port = word();
    return out;
  }
  PacketBuilder packet(const PacketBuilder& kind, net::Family family) {
    PacketBuilder out = kind;
    return out.from(endpoint(family)).to(endpoint(family)).payload_size(engine() % 50);
  }
};

const PacketBuilder kKinds[] = {udp(), tcp().flags("A"), icmp_echo(0), icmp_echo_reply(0xffff),
                                ip(net::Protocol::gre)};

}  // namespace

TEST_CASE("N-01: complete checksums stay right, whatever is written over whatever") {
  Dice dice;
  FramePool pool{1};
  for (int round = 0; round < 4000; ++round) {
    const net::Family family = round % 2 == 0 ? net::Family::v4 : net::Family::v6;
    Packet packet = packet_of(pool, dice.packet(kKinds[dice.engine() % 5], family));
    const Tuple to = dice.like(packet.tuple);
    nat::rewrite(packet, to);
    CAPTURE(to.text());
    REQUIRE(checksum_problem(packet.frame.ip()) == "");
    REQUIRE(packet.tuple == to);
    REQUIRE_FALSE(parse(packet));
    REQUIRE(packet.tuple == to);
  }
}

TEST_CASE("translate: partial checksums stay partial and right, and are completed rightly") {
  Dice dice;
  FramePool pool{1};
  for (int round = 0; round < 4000; ++round) {
    const net::Family family = round % 2 == 0 ? net::Family::v4 : net::Family::v6;
    PacketBuilder builder = dice.packet(kKinds[round / 2 % 2], family);
    Packet packet = packet_of(pool, builder.partial_checksum());
    const Tuple to = dice.like(packet.tuple);
    nat::rewrite(packet, to);
    REQUIRE(checksum_problem(packet.frame.ip(), packet.frame.offload) == "");
    REQUIRE_FALSE(parse(packet));
    REQUIRE(packet.tuple == to);
    nat::complete_checksum(packet);
    REQUIRE_FALSE(packet.frame.offload.needs_checksum());
    REQUIRE(checksum_problem(packet.frame.ip()) == "");
  }
}

TEST_CASE("translate: no checksum stays none, a wrong one stays wrong") {
  Dice dice;
  FramePool pool{1};
  for (int round = 0; round < 500; ++round) {
    PacketBuilder builder = dice.packet(udp(), net::Family::v4);
    {
      Packet packet = packet_of(pool, builder.no_checksum());
      nat::rewrite(packet, dice.like(packet.tuple));
      REQUIRE(wire::load16(packet.transport(), 6) == 0);
      REQUIRE(checksum_problem(packet.frame.ip()) == "");
    }
    Packet packet = packet_of(pool, dice.packet(tcp(), net::Family::v6).bad_checksum());
    nat::rewrite(packet, dice.like(packet.tuple));
    REQUIRE(checksum_problem(packet.frame.ip()) == "tcp checksum");
  }
}

TEST_CASE("translate: a UDP checksum that comes out as zero is sent as all ones (RFC 768)") {
  FramePool pool{1};
  for (const char* to_address : {"198.51.100.1", "2001:db8::1"}) {
    CAPTURE(to_address);
    const PacketBuilder builder = udp().to(to_address, 53).payload("x");
    // The source port that brings the sum to all ones: what was missing is the checksum itself.
    const auto towards_zero = [](Tuple tuple, wire::Bytes datagram) {
      tuple.source_port = wire::add(tuple.source_port, wire::load16(datagram, 6));
      return tuple;
    };
    {
      Packet packet = packet_of(pool, builder);
      nat::rewrite(packet, towards_zero(packet.tuple, packet.transport()));
      CHECK(wire::load16(packet.transport(), 6) == 0xffff);
      CHECK(checksum_problem(packet.frame.ip()) == "");
    }
    {
      Packet error = packet_of(pool, icmp_error(3, 1).to(to_address).quoting(builder));
      const auto quoted = error.frame.ip().subspan(error.quote_transport_offset);
      nat::rewrite_quote(error, towards_zero(*error.quoted, quoted));
      CHECK(wire::load16(quoted, 6) == 0xffff);
      CHECK(mismatch(error.frame.ip(), {good_checksums(), quotes({})}) == "");
    }
    PacketBuilder partial = builder;
    const Octets whole = builder.datagram();
    partial.from(net::Endpoint{builder.tuple().source_address, wire::load16(whole, 6)});
    Packet packet = packet_of(pool, partial.partial_checksum());
    nat::complete_checksum(packet);
    CHECK(wire::load16(packet.transport(), 6) == 0xffff);
    CHECK(checksum_problem(packet.frame.ip()) == "");
  }
}

TEST_CASE("N-01: there and back again gives the same packet") {
  Dice dice;
  FramePool pool{1};
  for (int round = 0; round < 1000; ++round) {
    const net::Family family = round % 2 == 0 ? net::Family::v4 : net::Family::v6;
    const PacketBuilder builder = dice.packet(kKinds[dice.engine() % 5], family);
    Packet packet = packet_of(pool, builder);
    const Tuple from = packet.tuple;
    nat::rewrite(packet, dice.like(from));
    nat::rewrite(packet, from);
    const auto bytes = packet.frame.ip();
    REQUIRE(Octets{bytes.begin(), bytes.end()} == builder.ip_bytes());
  }
}

TEST_CASE("translate: a later fragment changes its addresses and nothing behind its header") {
  Dice dice;
  FramePool pool{1};
  for (const net::Family family : {net::Family::v4, net::Family::v6}) {
    PacketBuilder builder = udp().from(dice.endpoint(family)).to(dice.endpoint(family));
    Packet packet = packet_of(pool, builder.fragment(64, true).payload_size(64));
    const auto before = packet.transport();
    const Octets payload{before.begin(), before.end()};
    const Tuple to = dice.like(packet.tuple);
    nat::rewrite(packet, to);
    const auto after = packet.transport();
    CHECK(Octets{after.begin(), after.end()} == payload);
    REQUIRE_FALSE(parse(packet));
    CHECK(packet.tuple.source_address == to.source_address);
  }
}

TEST_CASE("translate: a quoted packet is rewritten with all its checksums and its error's") {
  Dice dice;
  FramePool pool{1};
  for (int round = 0; round < 4000; ++round) {
    const net::Family family = round % 2 == 0 ? net::Family::v4 : net::Family::v6;
    const PacketBuilder about = dice.packet(kKinds[dice.engine() % 4], family);
    const std::size_t whole = about.ip_bytes().size();
    const std::size_t header = family == net::Family::v4 ? 20 : 40;
    const std::size_t quoted =
        round % 3 == 0 ? whole : header + 8 + dice.engine() % (whole - header - 7);
    PacketBuilder builder = icmp_error(3, 1);
    builder.from(dice.endpoint(family)).to(dice.endpoint(family)).quoting(about, quoted);
    Packet error = packet_of(pool, builder);
    const Tuple to = dice.like(*error.quoted);
    const Tuple outer = dice.like(error.tuple);
    nat::rewrite(error, outer);
    nat::rewrite_quote(error, to);
    CAPTURE(to.text());
    REQUIRE(mismatch(error.frame.ip(), {good_checksums(), quotes({})}) == "");
    REQUIRE_FALSE(parse(error));
    REQUIRE(*error.quoted == to);
    REQUIRE(error.tuple == outer);
  }
}
