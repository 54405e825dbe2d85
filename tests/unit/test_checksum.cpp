// Unit tests of daemon/wire: checksums, their partial sums and their incremental changes (RFC 1071, RFC 1624).

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "daemon/wire/checksum.hpp"
#include "daemon/wire/ipv4.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;
using namespace std::string_view_literals;
using wire::Bytes;

TEST_CASE("checksum: RFC 1071's example, and any bytes at any alignment") {
  CHECK(wire::sum(octets("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7"sv)) == 0xddf2);
  CHECK(wire::sum({}) == 0);
  CHECK(wire::sum(Octets(70000, std::byte{0xff})) == 0xffff);
  std::mt19937 dice{1};
  Octets bytes(300);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(dice());
  for (std::size_t from = 0; from < 9; ++from)
    for (std::size_t size = 0; size < 280; ++size)
      CHECK(wire::sum(Bytes{bytes}.subspan(from, size)) ==
            plain_sum(Bytes{bytes}.subspan(from, size)));
}

TEST_CASE("checksum: folding counts every carry back in") {
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{0xffff}, std::uint64_t{0x10000}, std::uint64_t{0xffffffff},
        std::uint64_t{0x1'ffff'ffff}, ~std::uint64_t{0}, std::uint64_t{0xffff'ffff'0000'ffff},
        std::uint64_t{0x8000'8000'8000'8000}}) {
    CAPTURE(value);
    Octets bytes(8);
    wire::store64(bytes, 0, value);
    CHECK(wire::fold(value) == plain_sum(bytes));
  }
}

TEST_CASE("checksum: a pseudo header's sum is that of its bytes") {
  for (const char* to : {"198.51.100.1", "2001:db8:ffff::ffff:1"}) {
    const Tuple t = udp().to(to).tuple();
    for (const std::uint32_t length : {0u, 8u, 65535u, 65536u})
      CHECK(wire::pseudo_header_sum(t.source_address, t.destination_address, t.protocol, length) ==
            plain_pseudo_sum(t.source_address, t.destination_address, t.protocol, length));
  }
}

namespace {

// Numbers among which the two zeros of one's complement arithmetic are frequent.
struct Words {
  std::mt19937 engine{1624};
  std::uint16_t next() {
    static constexpr std::uint16_t kEdges[] = {0x0000, 0xffff, 0x0001, 0xfffe, 0x8000};
    const auto number = static_cast<std::uint32_t>(engine());
    return number % 3 == 0 ? kEdges[(number >> 8) % 5] : static_cast<std::uint16_t>(number >> 8);
  }
  std::uint64_t next64() {
    return std::uint64_t{next()} << 48 | std::uint64_t{next()} << 32 | std::uint64_t{next()} << 16 |
           next();
  }
};

std::uint16_t checksum_of(Bytes bytes) {
  return static_cast<std::uint16_t>(~plain_sum(bytes));
}

bool all_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

TEST_CASE("RFC 1624: an adjusted checksum is the recomputed one, for any change of words") {
  Words words;
  for (int round = 0; round < 20000; ++round) {
    Octets bytes(2 * (1 + words.next() % 6));
    for (std::size_t at = 0; at < bytes.size(); at += 2) wire::store16(bytes, at, words.next());
    const std::uint16_t before = checksum_of(bytes);
    if (all_zero(bytes)) continue;  // no header is, and its sum alone is spelled 0x0000
    std::uint16_t change = 0;
    for (int changes = words.next() % 4; changes > 0; --changes) {
      const std::size_t at = 2 * (words.next() % (bytes.size() / 2));
      const std::uint16_t value = words.next();
      change = wire::add(change, wire::delta(wire::load16(bytes, at), value));
      wire::store16(bytes, at, value);
    }
    if (all_zero(bytes)) continue;
    REQUIRE(wire::adjust(before, change) == checksum_of(bytes));
  }
}

TEST_CASE("RFC 1624: the same for addresses, and for the partial sums of checksum offload") {
  Words words;
  for (int round = 0; round < 20000; ++round) {
    const bool v4 = round % 2 == 0;
    const auto some = [&] {
      return v4 ? net::IpAddress::v4(static_cast<std::uint32_t>(words.next64()))
                : net::IpAddress::v6(words.next64(), words.next64());
    };
    const net::IpAddress from = some(), to = some(), changed = some();
    if (!v4 && (from.is_v4() || to.is_v4() || changed.is_v4())) continue;
    const std::uint16_t before = plain_pseudo_sum(from, to, net::Protocol::udp, 8);
    const std::uint16_t after = plain_pseudo_sum(from, changed, net::Protocol::udp, 8);
    const std::uint16_t change = wire::delta(to, changed);
    // The protocol number keeps both sums from zero.
    REQUIRE(wire::add(before, change) == after);
    REQUIRE(wire::adjust(wire::complement(before), change) == wire::complement(after));
  }
}

TEST_CASE("RFC 1624: a datagram whose checksum comes out as zero stays valid as 0xffff") {
  // Two changes that lead a UDP checksum to zero: over the pseudo header and the words of the data.
  const Tuple t = udp().tuple();
  Octets bytes = udp().payload("ab").datagram();
  const std::uint16_t before = wire::load16(bytes, 6);
  const std::uint16_t word = wire::load16(bytes, 8);
  const std::uint16_t value = wire::add(word, before);  // what is missing to a sum of all ones
  wire::store16(bytes, 8, value);
  CHECK(wire::adjust(before, wire::delta(word, value)) == 0x0000);
  wire::store16(bytes, 6, 0xffff);
  CHECK(plain_sum(bytes, plain_pseudo_sum(t.source_address, t.destination_address, t.protocol,
                                          bytes.size())) == 0xffff);
}

TEST_CASE("ipv4: every writer changes its field and keeps the header checksum right") {
  Words words;
  for (int round = 0; round < 2000; ++round) {
    Octets bytes =
        udp()
            .from(net::Endpoint{net::IpAddress::v4(static_cast<std::uint32_t>(words.next64()))})
            .tos(words.next() & 0xff)
            .identification(words.next())
            .dont_fragment(round % 2 == 0)
            .ip_options(round % 3 == 0 ? octets("\1\1\1\1") : Octets{})
            .payload_size(200)
            .ip_bytes();
    auto ip = *wire::MutableIpv4::parse(wire::MutableBytes{bytes});
    const auto a = net::IpAddress::v4(static_cast<std::uint32_t>(words.next64()));
    const auto b = net::IpAddress::v4(static_cast<std::uint32_t>(words.next64()));
    ip.set_source(a);
    REQUIRE(ip.checksum_is_valid());
    ip.set_destination(b);
    REQUIRE(ip.checksum_is_valid());
    const auto ttl = static_cast<std::uint8_t>(words.next());
    ip.set_ttl(ttl);
    REQUIRE(ip.checksum_is_valid());
    ip.set_total_length(ip.header_length() + 8);
    REQUIRE(ip.checksum_is_valid());
    const std::uint16_t identification = words.next();
    ip.set_identification(identification);
    REQUIRE(ip.checksum_is_valid());
    const std::size_t offset = std::size_t{8} * (words.next() & 0x1fffu);
    ip.set_fragment(offset, round % 5 == 0);
    REQUIRE(ip.checksum_is_valid());
    REQUIRE(ip.source() == a);
    REQUIRE(ip.destination() == b);
    REQUIRE(ip.ttl() == ttl);
    REQUIRE(ip.protocol() == net::Protocol::udp);
    REQUIRE(ip.total_length() == ip.header_length() + 8);
    REQUIRE(ip.identification() == identification);
    REQUIRE(ip.fragment_offset() == offset);
    REQUIRE(ip.more_fragments() == (round % 5 == 0));
    REQUIRE(ip.dont_fragment() == (round % 2 == 0));
    const std::uint16_t patched = ip.checksum();
    ip.compute_checksum();
    REQUIRE(ip.checksum() == patched);
  }
}
