// Unit tests of daemon/fragment: the pieces, put together again by hand, are the packet.

#include <doctest/doctest.h>

#include <algorithm>

#include "daemon/base/random.hpp"
#include "daemon/fragment/fragmenter.hpp"
#include "daemon/wire/ipv4.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;

namespace {

std::vector<Octets> cut(const PacketBuilder& builder, std::size_t mtu) {
  FramePool frames{2};
  const Packet packet = packet_of(frames, builder);
  fragment::Fragmenter fragmenter{packet, mtu, packet.fragment_id};
  std::vector<Octets> pieces;
  Frame frame = frames.take();
  while (fragmenter.next(frame)) pieces.emplace_back(frame.ip().begin(), frame.ip().end());
  return pieces;
}

// Says what is wrong with the pieces of a packet; empty if they are it.
std::string problem(const Octets& whole, const std::vector<Octets>& pieces, std::size_t mtu) {
  const auto packet = *wire::Ipv4::parse(wire::Bytes{whole});
  std::size_t next = packet.fragment_offset();
  Octets payload;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto piece = wire::Ipv4::parse(wire::Bytes{pieces[i]});
    if (!piece) return "a piece does not parse";
    if (pieces[i].size() > mtu) return "a piece is larger than the link takes";
    if (!piece->checksum_is_valid()) return "a header checksum is wrong";
    if (piece->identification() != packet.identification()) return "identifications differ";
    if (piece->fragment_offset() != next) return "a piece is missing or out of order";
    const bool last = i + 1 == pieces.size();
    if (piece->more_fragments() != (!last || packet.more_fragments())) return "more fragments";
    const auto bytes = wire::Bytes{pieces[i]}.subspan(piece->header_length());
    if (!last && bytes.size() % 8 != 0) return "a piece of odd size";
    next += bytes.size();
    payload.insert(payload.end(), bytes.begin(), bytes.end());
  }
  const auto expected = wire::Bytes{whole}.subspan(packet.header_length());
  return std::ranges::equal(payload, expected) ? "" : "the payload differs";
}

}  // namespace

TEST_CASE("R-08: packets of any size over links of any size come out whole") {
  Random random{{1, 1}};
  for (int i = 0; i < 500; ++i) {
    CAPTURE(i);
    const std::size_t mtu = 68 + random.below(1500);
    PacketBuilder builder =
        udp().identification(random.below(65536)).payload_size(random.below(9000));
    if (random.below(2) == 0) builder.ip_options(Octets(random.below(10) * 4, std::byte{1}));
    if (random.below(3) == 0)
      builder.payload_size(8 + random.below(500) * 8).fragment(8 * (1 + random.below(900)), true);
    CHECK(problem(builder.ip_bytes(), cut(builder, mtu), mtu) == "");
  }
}

TEST_CASE("R-08: the last piece of a last fragment is last, the only piece is the packet") {
  const auto last = udp().payload_size(1003).fragment(800, false);
  CHECK(problem(last.ip_bytes(), cut(last, 400), 400) == "");
  const auto small = udp().payload_size(100);
  const auto pieces = cut(small, 1500);
  REQUIRE(pieces.size() == 1);
  CHECK(pieces[0] == small.ip_bytes());
}

TEST_CASE("RFC 791: options with the copy bit stand in every piece, others in the first alone") {
  // Record route (7) is not copied, security (130) is; between them no-operation.
  const auto byte = [](unsigned value) { return std::byte(static_cast<unsigned char>(value)); };
  Octets options{byte(7), byte(7), byte(4),   byte(9), byte(9), byte(9),
                 byte(9), byte(1), byte(130), byte(4), byte(5), byte(6)};
  const auto pieces = cut(udp().ip_options(options).payload_size(200), 100);
  REQUIRE(pieces.size() >= 2);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    CAPTURE(i);
    const Octets found(pieces[i].begin() + 20, pieces[i].begin() + 32);
    Octets expected = options;
    if (i > 0) std::fill(expected.begin(), expected.begin() + 7, byte(1));
    CHECK(found == expected);
  }
}

TEST_CASE("options that lie about their length spoil no piece") {
  Random random{{2, 2}};
  for (int i = 0; i < 2000; ++i) {
    CAPTURE(i);
    Octets options(4 * (1 + random.below(10)));
    for (std::byte& one : options) one = std::byte(static_cast<unsigned char>(random.below(256)));
    options[0] = std::byte{68};
    const auto builder = udp().ip_options(options).payload_size(300);
    CHECK(problem(builder.ip_bytes(), cut(builder, 128), 128) == "");
  }
}
