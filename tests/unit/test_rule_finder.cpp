// Long chains: what is found is what rule by rule would have been found, in the same order.

#include <doctest/doctest.h>

#include "daemon/base/random.hpp"
#include "tests/support/rule_lab.hpp"

using namespace masqgate;
using namespace masqgate::firewall;
using namespace masqgate::test;

namespace {

net::IpAddress address(Random& random, bool v6) {
  return v6 ? net::IpAddress::v6(0x20010db8'00000000, random.below(8))
            : net::IpAddress::v4(0x0a000000 | random.below(4) << 8 | random.below(4));
}

constexpr net::Protocol kProtocols[] = {net::Protocol::tcp, net::Protocol::udp,
                                        net::Protocol::icmp};

PortRanges ports(Random& random) {
  const auto first = static_cast<net::Port>(random.below(4));
  const auto last = static_cast<net::Port>(first + (random.below(4) == 0 ? random.below(3) : 0));
  if (random.below(8) == 0) return {{first, last}, {7, 9}};
  return {{first, last}};
}

// Few values, so that rules and packets often meet; in the order that the language has.
std::vector<Match> random_matches(Random& random) {
  std::vector<Match> all;
  const bool v6 = random.below(4) == 0;
  const auto negated = [&] { return random.below(6) == 0; };
  const auto prefix = [&] {
    return net::Prefix{address(random, v6), v6 ? 125 + random.below(4) : 22 + random.below(11)};
  };
  if (random.below(8) == 0) all.emplace_back(StateMatch{{ConnState::new_}, negated()});
  if (random.below(2) == 0) all.emplace_back(ProtocolMatch{kProtocols[random.below(3)], negated()});
  if (random.below(8) == 0) all.emplace_back(MarkMatch{{random.below(2), 1}, negated()});
  if (random.below(2) == 0) all.emplace_back(SourceMatch{prefix(), negated()});
  if (random.below(2) == 0) all.emplace_back(DestinationMatch{prefix(), negated()});
  if (random.below(4) == 0) all.emplace_back(SourcePortMatch{ports(random), negated()});
  if (random.below(2) == 0) all.emplace_back(DestinationPortMatch{ports(random), negated()});
  if (random.below(6) == 0) all.emplace_back(QuotaMatch{2000, negated()});
  return all;
}

Action random_action(Random& random, std::size_t chain) {
  switch (random.below(chain == 0 ? 7 : 6)) {
    case 0:
      return Drop{};
    case 1:
      return random.below(8) == 0 ? Action{Accept{}} : Action{Continue{}};
    case 2:
      return Return{};
    case 3:
      return SetMark{{random.below(2), 1}};
    case 6:
      return Jump{1};
    default:
      return Continue{};
  }
}

std::vector<Chain> random_chains(Random& random) {
  std::vector<Chain> chains{{"forward", Policy::accept, {}}, {"own", Policy::accept, {}}};
  for (std::size_t c = 0; c < chains.size(); ++c) {
    const std::size_t count = random.below(120);
    for (std::size_t i = 0; i < count; ++i) {
      Rule rule;
      rule.id = std::to_string(i);
      rule.matches = random_matches(random);
      // What always matches would end most walks at once.
      rule.action = rule.matches.empty() ? Action{Continue{}} : random_action(random, c);
      chains[c].rules.push_back(std::move(rule));
    }
  }
  return chains;
}

Packet random_packet(Random& random) {
  Packet p;
  const bool v6 = random.below(4) == 0;
  p.family = v6 ? net::Family::v6 : net::Family::v4;
  p.tuple = {address(random, v6), address(random, v6), static_cast<net::Port>(random.below(6)),
             static_cast<net::Port>(random.below(6)), kProtocols[random.below(3)]};
  p.state = random.below(2) == 0 ? ConnState::new_ : ConnState::established;
  if (random.below(6) == 0) {
    p.is_fragment = true;
    p.fragment_offset = 8;
  }
  return p;
}

Ruleset build(const std::vector<Chain>& chains, Ruleset::Search search) {
  return std::get<Ruleset>(Ruleset::build(chains, search));
}

}  // namespace

TEST_CASE("F2: long chains judge, count and change exactly as rule by rule") {
  Random random{{5, 6}};
  for (int round = 0; round < 200; ++round) {
    const std::vector<Chain> chains = random_chains(random);
    RuleLab indexed{build(chains, Ruleset::Search::indexed)};
    RuleLab linear{build(chains, Ruleset::Search::linear)};
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t seed = random.next();
      Random one{{seed, 1}}, two{{seed, 1}};
      Packet a = random_packet(one), b = random_packet(two);
      CAPTURE(round);
      REQUIRE(indexed.judge(Hook::forward, a) == linear.judge(Hook::forward, b));
      REQUIRE(a.trail.size == b.trail.size);
      REQUIRE(std::equal(a.trail.counters.begin(), a.trail.counters.begin() + a.trail.size,
                         b.trail.counters.begin()));
      REQUIRE(a.trail.overflowed == b.trail.overflowed);
      REQUIRE(a.mark == b.mark);
      REQUIRE(a.not_remembered == b.not_remembered);
    }
  }
}

TEST_CASE("F2: of ten thousand rules only those are asked that name what the packet has") {
  std::vector<Rule> rules;
  for (std::uint32_t i = 0; i < 10000; ++i) {
    Rule rule;
    rule.id = std::to_string(i);
    rule.matches.emplace_back(SourceMatch{net::Prefix::host(net::IpAddress::v4(i / 2))});
    rules.push_back(std::move(rule));
  }
  rules[77].matches.clear();
  const RuleFinder finder{rules};
  Packet packet;
  packet.tuple.source_address = net::IpAddress::v4(4000);
  packet.tuple.destination_address = net::IpAddress::v4(1);
  auto candidates = finder.candidates(packet);
  CHECK(candidates.next() == 77);
  CHECK(candidates.next() == 8000);
  CHECK(candidates.next() == 8001);
  CHECK(candidates.next() >= rules.size());
}
