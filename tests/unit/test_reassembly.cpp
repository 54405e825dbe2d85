// Unit tests of daemon/fragment: datagrams noted and put together, whatever their fragments do.

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "daemon/base/random.hpp"
#include "daemon/fragment/flows.hpp"
#include "daemon/fragment/fragmenter.hpp"
#include "daemon/fragment/reassembly.hpp"
#include "daemon/fragment/segmenter.hpp"
#include "daemon/wire/ipv4.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/packet_checks.hpp"

using namespace masqgate;
using namespace masqgate::test;
using fragment::Flows;
using fragment::Piece;
using fragment::Pieces;
using fragment::Reassembly;

namespace {

constexpr HashKey kKey{1, 2};
constexpr Time kStart{std::chrono::seconds{1000}};

struct Lab {
  Reassembly::Fate see(const Octets& bytes, Time now = kStart) {
    Packet packet;
    packet.frame = frames.take();
    REQUIRE(packet.frame);
    packet.frame.set_ip_size(bytes.size());
    std::ranges::copy(bytes, packet.frame.ip().begin());
    if (const auto problem = parse(packet)) return Reassembly::Fate::malformed;
    REQUIRE(packet.is_fragment);
    const auto fate = reassembly.pass(packet, now);
    if (fate == Reassembly::Fate::whole) {
      whole.assign(packet.frame.ip().begin(), packet.frame.ip().end());
      largest = packet.largest_fragment;
      identification = packet.fragment_id;
    }
    return fate;
  }
  FramePool frames{Reassembly::kMost + 8};
  Reassembly reassembly{kKey};
  Octets whole;
  std::size_t largest = 0;
  std::uint32_t identification = 0;
};

std::vector<Octets> cut(const PacketBuilder& builder, std::size_t mtu, std::uint32_t number = 77) {
  FramePool frames{2};
  const Packet packet = packet_of(frames, builder);
  fragment::Fragmenter fragmenter{packet, mtu, number};
  std::vector<Octets> pieces;
  Frame frame = frames.take();
  while (fragmenter.next(frame)) pieces.emplace_back(frame.ip().begin(), frame.ip().end());
  return pieces;
}

PacketBuilder big(bool v6, std::size_t size) {
  PacketBuilder builder = udp().payload_size(size).identification(77);
  return v6 ? builder.from("2001:db8:1::10", 4000).to("2001:db8:9::1", 53)
            : builder.from("192.168.1.10", 4000).to("198.51.100.1", 53);
}

}  // namespace

TEST_CASE("F-03, F-04, F-07, F-08: pieces of a datagram: fresh, again, overlapping, too many") {
  struct Step {
    std::size_t offset, size;
    bool more;
    std::uint32_t digest;
    Piece expected;
  };
  struct Case {
    const char* name;
    std::vector<Step> steps;
    bool complete;
  };
  const Case cases[] = {
      {"in order", {{0, 16, true, 1, Piece::fresh}, {16, 5, false, 2, Piece::fresh}}, true},
      {"last first", {{16, 5, false, 2, Piece::fresh}, {0, 16, true, 1, Piece::fresh}}, true},
      {"the same again",
       {{0, 16, true, 1, Piece::fresh},
        {0, 16, true, 1, Piece::again},
        {16, 5, false, 2, Piece::fresh},
        {16, 5, false, 2, Piece::again}},
       true},
      {"the same place, another content",
       {{0, 16, true, 1, Piece::fresh}, {0, 16, true, 9, Piece::overlaps}},
       false},
      {"inside", {{0, 24, true, 1, Piece::fresh}, {8, 8, true, 2, Piece::overlaps}}, false},
      {"around", {{8, 8, true, 1, Piece::fresh}, {0, 24, true, 2, Piece::overlaps}}, false},
      {"the front", {{8, 16, true, 1, Piece::fresh}, {0, 16, true, 2, Piece::overlaps}}, false},
      {"the tail (teardrop)",
       {{0, 16, true, 1, Piece::fresh}, {8, 4, false, 2, Piece::overlaps}},
       false},
      {"two ends", {{16, 5, false, 1, Piece::fresh}, {24, 5, false, 2, Piece::overlaps}}, false},
      {"behind the end",
       {{16, 5, false, 1, Piece::fresh}, {24, 8, true, 2, Piece::overlaps}},
       false},
      {"an end before what is there",
       {{32, 8, true, 1, Piece::fresh}, {0, 8, false, 2, Piece::overlaps}},
       false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Pieces pieces;
    for (const Step& step : c.steps)
      CHECK(pieces.add(step.offset, step.size, step.more, step.digest) == step.expected);
    CHECK(pieces.complete() == c.complete);
  }
  Pieces many;
  for (std::size_t i = 0; i < Pieces::kMost; ++i)
    CHECK(many.add(16 * i, 8, true, 1) == Piece::fresh);
  CHECK(many.add(16 * Pieces::kMost, 8, true, 1) == Piece::too_many);
}

TEST_CASE("M7, F-10: datagrams of any size, cut and shuffled, are put together byte by byte") {
  Random random{{7, 7}};
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    const bool v6 = random.below(2) == 0;
    const std::size_t mtu = v6 ? 1280 + random.below(300) : 600 + random.below(900);
    PacketBuilder builder = big(v6, mtu + random.below(12000));
    if (!v6 && random.below(2) == 0) builder.ip_options(Octets(random.below(10) * 4, std::byte{1}));
    if (v6 && random.below(2) == 0) builder.extension(net::Protocol::hop_by_hop);
    if (v6 && random.below(2) == 0) builder.extension(net::Protocol::destination_options);
    std::vector<Octets> pieces = cut(builder, mtu);
    for (std::size_t i = pieces.size(); i > 1; --i)
      std::swap(pieces[i - 1], pieces[random.below(static_cast<std::uint32_t>(i))]);
    Lab lab;
    std::size_t largest = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      largest = std::max(largest, pieces[i].size());
      const bool last = i + 1 == pieces.size();
      REQUIRE(lab.see(pieces[i]) == (last ? Reassembly::Fate::whole : Reassembly::Fate::held));
    }
    CHECK(lab.whole == builder.ip_bytes());
    CHECK(lab.largest == largest);
    CHECK(lab.identification == 77);
    CHECK(lab.reassembly.size() == 0);
    CHECK(lab.frames.in_use() == 0);
  }
}

TEST_CASE("F-10: what came with don't-fragment set goes on with it") {
  auto pieces = cut(big(false, 3000), 1000);
  for (Octets& piece : pieces) {
    wire::MutableIpv4 ip = *wire::MutableIpv4::parse_header(wire::MutableBytes{piece});
    ip.set_dont_fragment(&piece == &pieces.back());
  }
  Lab lab;
  for (const Octets& piece : pieces) lab.see(piece);
  REQUIRE_FALSE(lab.whole.empty());
  CHECK(wire::Ipv4::parse(wire::Bytes{lab.whole})->dont_fragment());
  CHECK(test::good_checksums(wire::Bytes{lab.whole}));
}

TEST_CASE("F-03: an overlap spoils the datagram, what comes later of it too, and no other") {
  for (const bool v6 : {false, true}) {
    Lab lab;
    const auto good = cut(big(v6, 4000), 1400);
    const auto other = cut(big(v6, 4000).to(v6 ? "2001:db8:9::2" : "198.51.100.2", 9), 1400);
    Octets evil = good[1];
    evil.back() ^= std::byte{1};
    CHECK(lab.see(good[0]) == Reassembly::Fate::held);
    CHECK(lab.see(other[0]) == Reassembly::Fate::held);
    CHECK(lab.see(good[1]) == Reassembly::Fate::held);
    CHECK(lab.see(good[1]) == Reassembly::Fate::held);  // F-07
    CHECK(lab.see(evil) == Reassembly::Fate::overlaps);
    CHECK(lab.see(good[2]) == Reassembly::Fate::overlaps);
    CHECK(lab.see(other[1]) == Reassembly::Fate::held);
    CHECK(lab.see(other[2]) == Reassembly::Fate::whole);
  }
}

TEST_CASE("F-05: a datagram whose end lies behind the largest packet is refused") {
  Lab lab;
  const auto last = big(false, 100).fragment(65528, false).payload_size(7);
  CHECK(lab.see(last.ip_bytes()) == Reassembly::Fate::malformed);
}

TEST_CASE("F-06, F-08: what waits is bounded for a source and in all, and ends after 30 seconds") {
  Lab lab;
  const auto first_of = [](unsigned number, unsigned host) {
    return udp()
        .from("192.168.1." + std::to_string(host), 4000)
        .to("198.51.100.1", 53)
        .identification(number)
        .payload_size(64)
        .fragment(0, true)
        .ip_bytes();
  };
  std::size_t lost = 0, answerable = 0;
  const auto count_lost = [&](Time now) {
    while (auto one = lab.reassembly.give_up(now)) {
      ++lost;
      answerable += one->first.has_value() ? 1 : 0;
    }
  };
  for (unsigned i = 0; i < 100; ++i) {
    CHECK(lab.see(first_of(i, 10), kStart + Duration{i}) == Reassembly::Fate::held);
    count_lost(kStart);
  }
  CHECK(lab.reassembly.size() == Reassembly::kMostOfSource);
  CHECK(lost == 100 - Reassembly::kMostOfSource);
  CHECK(answerable == lost);
  for (unsigned i = 0; i < 200; ++i) {
    lab.see(first_of(i, 20 + i % 100), kStart + Duration{1000 + i});
    count_lost(kStart);
  }
  CHECK(lab.reassembly.size() == Reassembly::kMost);
  count_lost(kStart + std::chrono::seconds{29});
  CHECK(lab.reassembly.size() == Reassembly::kMost);
  count_lost(kStart + std::chrono::seconds{31});
  CHECK(lab.reassembly.size() == 0);
  CHECK(lost == 300);
  CHECK(lab.frames.in_use() == 0);
}

TEST_CASE("F-09: fragments of every length cut off anywhere do no harm") {
  for (const bool v6 : {false, true}) {
    const auto pieces = cut(big(v6, 3000), 1400);
    for (const Octets& piece : pieces)
      for (std::size_t size = 0; size < piece.size(); size += size < 80 ? 1 : 97) {
        Lab lab;
        lab.see({piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(size)});
      }
  }
}

TEST_CASE("U-19: a number that is used again after its datagram was complete names another one") {
  Flows flows{kKey};
  FramePool frames{4};
  for (unsigned round = 0; round < 3; ++round)
    for (const bool first : {true, false}) {
      Octets content(64, std::byte(static_cast<unsigned char>(round)));
      Packet packet = packet_of(
          frames, udp().identification(5).payload(content).fragment(first ? 0 : 72, first));
      CHECK(flows.pass(packet, kStart) == Flows::Fate::known);
    }
}

TEST_CASE("F-03: fragments that pass one by one: an overlap ends their datagram") {
  Flows flows{kKey};
  FramePool frames{4};
  const auto pass = [&](std::size_t offset, bool more, std::size_t size, unsigned number) {
    Packet packet =
        packet_of(frames, udp().identification(number).payload_size(size).fragment(offset, more));
    return flows.pass(packet, kStart);
  };
  CHECK(pass(0, true, 64, 1) == Flows::Fate::known);
  CHECK(pass(64, true, 64, 1) == Flows::Fate::overlaps);  // the first one is eight bytes longer
  CHECK(pass(72, true, 64, 1) == Flows::Fate::overlaps);
  CHECK(pass(0, true, 64, 2) == Flows::Fate::known);
  CHECK(pass(72, false, 64, 2) == Flows::Fate::known);
}

TEST_CASE("N-06, X-12, TS-10: identifications do not come back soon, and tell nothing") {
  fragment::Identifications numbers{kKey};
  std::set<std::uint16_t> seen;
  int steps = 0;
  std::uint16_t last = 0;
  for (int i = 0; i < 65536; ++i) {
    const std::uint16_t number = numbers.next();
    CHECK(seen.insert(number).second);
    if (static_cast<std::uint16_t>(number - last) <= 2) ++steps;
    last = number;
  }
  CHECK(steps < 16);
}

TEST_CASE("a packet of many UDP datagrams is cut into them, checksums and all") {
  FramePool frames{4};
  const PacketBuilder builder = big(false, 3000).gso(1400);
  const Packet packet = packet_of(frames, builder);
  fragment::Segmenter segmenter{packet};
  Frame frame = frames.take();
  Octets payload;
  std::vector<std::size_t> sizes;
  while (segmenter.next(frame)) {
    const Octets piece(frame.ip().begin(), frame.ip().end());
    CHECK(test::good_checksums(wire::Bytes{piece}));
    CHECK(wire::load16(piece, 4) == 77 + sizes.size());
    sizes.push_back(piece.size());
    payload.insert(payload.end(), piece.begin() + 28, piece.end());
  }
  CHECK(sizes == std::vector<std::size_t>{1428, 1428, 228});
  const Octets whole = builder.ip_bytes();
  CHECK(std::ranges::equal(payload, wire::Bytes{whole}.subspan(28)));
}
