// The property of the short cut: with it and without it, the same frames leave, byte for byte.

#include <doctest/doctest.h>

#include "daemon/base/random.hpp"
#include "tests/support/test_router.hpp"

namespace path_shortcut {

using namespace masqgate;
using namespace masqgate::test;

namespace {

path::ShardOptions options(bool take_shortcuts) {
  return {.region = {}, .max_connections = 256, .take_shortcuts = take_shortcuts};
}

// Two routers that see the same traffic.
struct Pair {
  TestRouter with{options(true)};
  TestRouter without{options(false)};

  template <typename Do>
  void both(Do&& act) {
    act(with);
    act(without);
  }
};

// What left both routers since the last call; empty if it is the same.
std::string difference(Pair& pair, std::vector<MemoryInterface::Stored>& seen_on_wan) {
  for (const PortIndex port : {kLan, kWan})
    for (const Side side : {Side::network, Side::host}) {
      const auto a = pair.with.left(port, side), b = pair.without.left(port, side);
      if (a.size() != b.size()) return "number of packets";
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i].bytes != b[i].bytes) return "bytes of packet " + std::to_string(i);
        if (a[i].offload.gso_size != b[i].offload.gso_size ||
            a[i].offload.flags != b[i].offload.flags)
          return "offload";
      }
      if (port == kWan && side == Side::network)
        seen_on_wan.insert(seen_on_wan.end(), a.begin(), a.end());
    }
  return "";
}

constexpr const char* kFlags[] = {"S", ".", ".", ".", "P.", "F.", "R", "SF", ""};

// Conversations begin with 1000 and 5000; what follows is near, sometimes far.
std::uint32_t number_near(Random& random, std::uint32_t base) {
  if (random.below(20) == 0) return random.below(0xffffffff);
  return base + (random.below(2) == 0 ? 0 : random.below(3000));
}

// What the server says to a frame that has left.
PacketBuilder random_answer(Random& random, const Octets& cause) {
  if (cause[9] != std::byte{6}) return answer_to(cause, udp());
  const bool to_syn = cause.size() >= 40 && (cause[33] & std::byte{2}) != std::byte{};
  if (to_syn && random.below(4) != 0)
    return answer_to(cause, tcp().flags("S.").seq(5000).ack(1001));
  constexpr const char* kAnswers[] = {".", ".", ".", "P.", "P.", "F.", "R", "S."};
  return answer_to(cause, tcp()
                              .flags(kAnswers[random.below(std::size(kAnswers))])
                              .seq(number_near(random, 5001))
                              .ack(number_near(random, 1001)));
}

PacketBuilder random_packet(Random& random) {
  const auto client = static_cast<net::Port>(4000 + random.below(6));
  PacketBuilder packet =
      random.below(2) == 0 ? udp() : tcp().flags(kFlags[random.below(std::size(kFlags))]);
  packet.from(random.below(4) == 0 ? "192.168.1.11" : "192.168.1.10", client)
      .to("198.51.100.1", static_cast<net::Port>(80 + random.below(2)))
      .payload_size(random.below(1600))
      .ttl(1 + random.below(5))
      .dont_fragment(random.below(2) == 0);
  if (packet.protocol() == net::Protocol::tcp) {
    const bool syn = (packet.datagram()[13] & std::byte{2}) != std::byte{};
    packet.seq(syn ? 1000 : number_near(random, 1001)).ack(number_near(random, 5001));
  }
  if (random.below(3) == 0) packet.partial_checksum();
  return packet;
}

}  // namespace

TEST_CASE("short cut and corridor give the same answer for random traffic and changing policy") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Random random{{seed, seed}};
    Pair pair;
    std::vector<MemoryInterface::Stored> seen;
    for (int step = 0; step < 1500; ++step) {
      CAPTURE(step);
      const std::uint32_t dice = random.below(200);
      if (dice < 110 || seen.empty()) {
        const PacketBuilder packet = random_packet(random);
        pair.both([&](TestRouter& router) { router.arrive(kLan, packet); });
      } else if (dice < 190) {
        const auto& cause = seen[random.below(static_cast<std::uint32_t>(seen.size()))];
        PacketBuilder packet = random_answer(random, cause.bytes);
        packet.payload_size(random.below(1500)).ttl(1 + random.below(5));
        pair.both([&](TestRouter& router) { router.arrive(kWan, packet); });
      } else if (dice < 194) {
        pair.both([&](TestRouter& router) { router.pass(std::chrono::seconds{dice - 189}); });
      } else if (dice < 196) {
        const unsigned mtu = 1280 + random.below(2) * 220;
        pair.both([&](TestRouter& router) {
          router.policy.ports[kWan].mtu = mtu;
          router.apply();
        });
      } else {
        using neighbour::State;
        const State state = dice < 198 ? State::stale : dice < 199 ? State::failed : State::usable;
        pair.both([&](TestRouter& router) { router.know(kWan, "203.0.113.1", state); });
      }
      const std::string problem = difference(pair, seen);
      if (problem != "")
        FAIL(problem << "\n" << pair.with.trace.text() << pair.without.trace.text());
      pair.both([](TestRouter& router) { router.trace.clear(); });
      if (seen.size() > 50) seen.erase(seen.begin(), seen.begin() + 10);
    }
    CHECK(pair.with.shard.counters().shortcuts > 0);
    CHECK(pair.without.shard.counters().shortcuts == 0);
    CHECK(pair.with.imbalance() == "");
    CHECK(pair.with.shard.connections().size() == pair.without.shard.connections().size());
    // Records may differ in their place: with the short cut timers are touched less often.
    for (std::uint32_t i = 0; i < pair.with.shard.connections().capacity(); ++i) {
      const auto& a = pair.with.shard.connections().at(i);
      if (!a.has(conntrack::Connection::kConfirmed)) continue;
      const auto* b = pair.without.connection(a.original);
      REQUIRE(b != nullptr);
      CHECK(a.flags == b->flags);
      CHECK(a.tcp_state == b->tcp_state);
      CHECK(a.tcp_end == b->tcp_end);
      CHECK(a.tcp_acked == b->tcp_acked);
      CHECK(std::uint64_t{a.halves[0].tcp_window} == std::uint64_t{b->halves[0].tcp_window});
      CHECK(a.expires_ns == b->expires_ns);
      CHECK(std::uint64_t{a.halves[0].packets} == std::uint64_t{b->halves[0].packets});
      CHECK(a.halves[1].bytes == b->halves[1].bytes);
    }
  }
}

}  // namespace path_shortcut
