// Stories of fragments through a router: as they come, or put together and cut again (M7, F, U-17 to
// U-20, N-06).

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "daemon/firewall/firewall_json.hpp"
#include "daemon/wire/ipv4.hpp"
#include "tests/path/fragment_pieces.hpp"
#include "tests/support/test_router.hpp"

namespace path_fragments {

using namespace masqgate;
using namespace masqgate::test;
using fragment::Flows;
using fragment::Reassembly;

namespace {

struct FragmentRouter : TestRouter {
  explicit FragmentRouter(bool together) : TestRouter{{.region = {}, .max_connections = 4096}} {
    policy.always_defragment = together;
    apply();
    know(kLan, "192.168.1.11");
  }
};

std::uint16_t identification(wire::Bytes packet) {
  return wire::load16(packet, 4);
}

}  // namespace

TEST_CASE("M7, F-10: put together and cut again: the pieces are no larger than they came") {
  for (const std::size_t mtu : {1500, 9000, 1000}) {
    CAPTURE(mtu);
    FragmentRouter router{true};
    router.policy.ports[kWan].mtu = static_cast<std::uint16_t>(mtu);
    router.apply();
    auto pieces = pieces_of(datagram(7), 6);
    std::swap(pieces[0], pieces[4]);
    std::swap(pieces[1], pieces[5]);
    for (const auto& piece : pieces) router.arrive(kLan, piece);
    const auto out = router.left(kWan);
    const std::size_t most = std::min(mtu, kPiece + 8 + 20);
    std::size_t next = 0;
    for (const auto& one : out) {
      const auto ip = *wire::Ipv4::parse(wire::Bytes{one.bytes});
      CHECK(one.bytes.size() <= most);
      CHECK(ip.fragment_offset() == next);  // U-18: in order
      next += ip.total_length() - 20;
      CHECK(mismatch(one.bytes, {source("203.0.113.7"), ttl(63)}) == "");
    }
    CHECK(next == 8 + 6 * kPiece);
    CHECK(router.shard.connections().size() == 1);
    CHECK(router.shard.parked() == 0);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("M7: IPv6 datagrams are put together and leave in fragments again") {
  FragmentRouter router{true};
  const auto whole = udp().from("fd00:1::10", 4000).to("2001:db8:9::1", 53).identification(7);
  router.know(kLan, "fd00:1::10");
  auto pieces = pieces_of(whole, 3);
  std::swap(pieces[0], pieces[2]);
  for (const auto& piece : pieces) router.arrive(kLan, piece);
  const auto out = router.left(kWan);
  REQUIRE(out.size() == 3);
  std::size_t total = 0;
  for (const auto& one : out) {
    CHECK(one.bytes.size() <= 40 + 8 + 8 + kPiece);
    total += one.bytes.size() - 48;
  }
  CHECK(total == 8 + 3 * kPiece);
  CHECK(router.imbalance() == "");
}

TEST_CASE("F-10, U-17: put together, don't-fragment set, too big for the next link: told so") {
  FragmentRouter router{true};
  router.policy.ports[kWan].mtu = 1000;
  router.apply();
  for (auto piece : pieces_of(datagram(7), 3)) router.arrive(kLan, piece.dont_fragment());
  CHECK(router.left(kWan).empty());
  CHECK(router.drops(DropReason::too_big) == 1);
  CHECK(mismatch(router.one(kLan), {icmp_type(3, 4), destination("192.168.1.10")}) == "");
  CHECK(router.imbalance() == "");
}

TEST_CASE("F-12: where datagrams are put together, rules and tracking see whole ones only") {
  FragmentRouter router{true};
  const auto document = json::Json::parse(
      R"({"forward": {"policy": "drop", "rules": [
          {"id": "dns", "protocol": "udp", "destination_port": "53", "action": "accept"}]}})");
  router.policy.ruleset = std::make_shared<firewall::Ruleset>(firewall::from_json(
      json::Value{document, "/firewall"}, std::vector<std::string>{"lan", "wan"}));
  router.apply();
  auto pieces = pieces_of(datagram(7), 4);
  std::ranges::reverse(pieces);
  for (const auto& piece : pieces) router.arrive(kLan, piece);
  CHECK(router.left(kWan).size() == 4);
  CHECK(router.drops(DropReason::rule) == 0);
}

TEST_CASE("F-08: the sender hears of a datagram that was not complete in time, if its start came") {
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    FragmentRouter router{true};
    const auto whole = v6 ? udp().from("fd00:1::10", 4000).to("2001:db8:9::1", 53) : datagram(7);
    if (v6) router.know(kLan, "fd00:1::10");
    const auto pieces = pieces_of(whole, 3);
    router.arrive(kLan, pieces[0]);
    router.arrive(kLan, pieces[2]);
    PacketBuilder other = pieces[1];
    router.arrive(kLan, other.identification(9));  // never its start
    router.pass(std::chrono::seconds{31});
    CHECK(mismatch(router.one(kLan), {icmp_type(v6 ? 3 : 11, 1)}) == "");
    CHECK(router.drops(DropReason::fragment_timeout) == 2);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("F-03: overlapping fragments are dropped by name, the others pass") {
  for (const bool together : {false, true}) {
    FragmentRouter router{together};
    const auto pieces = pieces_of(datagram(7), 2);
    PacketBuilder evil = datagram(7);
    router.arrive(kLan, pieces[0]);
    router.arrive(kLan, evil.payload_size(kPiece).fragment(kPiece, true));
    router.arrive(kLan, pieces[1]);
    CHECK(router.drops(DropReason::fragment_overlap) == 2);
    CHECK(router.left(kWan).size() == (together ? 0 : 1));
    for (const auto& piece : pieces_of(datagram(8), 2)) router.arrive(kLan, piece);
    CHECK(router.left(kWan).size() == 2);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE(
    "F-11: a fragment that is the whole packet stands alone, beside those of the same number") {
  for (const bool together : {false, true}) {
    FragmentRouter router{together};
    router.know(kLan, "fd00:1::10");
    const auto whole = udp().from("fd00:1::10", 4000).to("2001:db8:9::1", 53).identification(7);
    router.arrive(kLan, pieces_of(whole, 2)[0]);
    PacketBuilder atomic = whole;
    router.arrive(kLan, atomic.payload_size(50).fragment(0, false));
    CHECK(router.left(kWan).size() == (together ? 1 : 2));
    router.arrive(kLan, pieces_of(whole, 2)[1]);
    CHECK(router.left(kWan).size() == (together ? 2 : 1));
    CHECK(router.drops(DropReason::fragment_overlap) == 0);
  }
}

TEST_CASE("F-13: neighbour discovery in fragments is dropped") {
  FragmentRouter router{false};
  router.arrive(
      kLan,
      icmp_error(135, 0).from("fd00:1::10").to("fd00:1::1").payload_size(64).fragment(0, true));
  CHECK(router.drops(DropReason::fragmented_discovery) == 1);
  CHECK(router.left(kLan, Side::host).empty());
}

TEST_CASE("F-01, F-02: first fragments without their header, and TCP that begins behind it") {
  FragmentRouter router{false};
  router.arrive(kLan,
                ip(net::Protocol::tcp).from("192.168.1.10").payload_size(8).fragment(0, true));
  router.arrive(kLan, tcp().from("192.168.1.10").payload_size(64).fragment(8, false));
  CHECK(router.drops(DropReason::malformed_transport) == 2);
  CHECK(router.left(kWan).empty());
}

TEST_CASE("N-06, X-12: two hosts with the same identification do not merge outside") {
  for (const bool together : {false, true}) {
    CAPTURE(together);
    FragmentRouter router{together};
    std::map<std::uint16_t, std::size_t> sent;  // bytes by number
    const auto collect = [&] {
      for (const auto& one : router.left(kWan))
        sent[identification(one.bytes)] += one.bytes.size() - 20;
    };
    const auto of_one = pieces_of(datagram(7), 3);
    const auto of_other = pieces_of(datagram(7, "192.168.1.11"), 3);
    for (const std::size_t i : {1, 0, 2}) {
      router.arrive(kLan, of_one[i]);
      router.arrive(kLan, of_other[i]);
      collect();
    }
    CHECK(sent.size() == 2);
    for (const auto& [number, bytes] : sent) CHECK(bytes == 8 + 3 * kPiece);
    CHECK(router.imbalance() == "");
  }
  // What the router cuts itself gets one too.
  FragmentRouter router{false};
  router.policy.ports[kWan].mtu = 1000;
  router.apply();
  router.arrive(kLan, datagram(7).payload_size(1400));
  router.arrive(kLan, datagram(7, "192.168.1.11").payload_size(1400));
  std::set<std::uint16_t> numbers;
  for (const auto& one : router.left(kWan)) numbers.insert(identification(one.bytes));
  CHECK(numbers.size() == 2);
}

TEST_CASE(
    "U-20, F-06: a flood of beginnings and ends costs no datagram in order and no plain packet") {
  for (const bool together : {false, true}) {
    CAPTURE(together);
    FragmentRouter router{together};
    std::uint64_t delivered = 0, plain = 0;
    for (unsigned i = 0; i < 20000; ++i) {
      const std::string host = "192.168.1." + std::to_string(100 + i % 100);
      auto bad = datagram(i, host);
      router.arrive(kLan, i % 2 == 0 ? bad.payload_size(64).fragment(0, true)
                                     : bad.payload_size(64).fragment(8000, false));
      router.left(kWan);
      if (i % 100 != 0) continue;
      for (const auto& piece : pieces_of(datagram(i, "192.168.1.11"), 4))
        router.arrive(kLan, piece);
      delivered += router.left(kWan).size() == 4 ? 1 : 0;
      router.arrive(kLan, udp().from("192.168.1.10", 1).to("198.51.100.1", 2).payload("x"));
      plain += router.left(kWan).size();
    }
    CHECK(delivered == 200);
    CHECK(plain == 200);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("GSO: many UDP datagrams at once that may be cut are cut, as each of them would be") {
  FragmentRouter router{false};
  router.policy.ports[kWan].mtu = 1000;
  router.apply();
  router.arrive(
      kLan, udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload_size(3000).gso(1400));
  const auto out = router.left(kWan);
  CHECK(out.size() == 5);  // two of two pieces, and one that fits
  for (const auto& one : out) {
    CHECK(one.bytes.size() <= 1000);
    CHECK(mismatch(one.bytes, {source("203.0.113.7")}) == "");
  }
  CHECK(router.drops(DropReason::too_big) == 0);
  CHECK(router.imbalance() == "");
}

}  // namespace path_fragments
