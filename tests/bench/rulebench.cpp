// What judging a packet costs by the length of the chain: rules of the usual shape (address,
// protocol, port), packets of new connections that most often match none or a late one.
//
// Usage: rulebench RULES [linear]   prints ns=; linear: rule by rule

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "daemon/base/random.hpp"
#include "daemon/firewall/memory.hpp"
#include "daemon/firewall/ruleset.hpp"

namespace {
using namespace masqgate;
using namespace masqgate::firewall;

constexpr std::uint32_t kHosts = 4096;

net::IpAddress host(std::uint32_t number) {
  return net::IpAddress::v4(0x0a000000 | number);
}

// Of the first rule a host, of the next a network; a port each.
Rule rule(Random& random, std::uint32_t number) {
  Rule rule;
  rule.id = std::to_string(number);
  rule.matches.emplace_back(ProtocolMatch{net::Protocol::tcp});
  if (number % 2 == 0)
    rule.matches.emplace_back(SourceMatch{net::Prefix::host(host(random.below(kHosts)))});
  else
    rule.matches.emplace_back(DestinationMatch{net::Prefix{host(random.below(kHosts)), 28}});
  const auto port = static_cast<net::Port>(1024 + random.below(4096));
  rule.matches.emplace_back(DestinationPortMatch{{{port, port}}});
  rule.action = Drop{};
  return rule;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fputs("usage: rulebench RULES [linear]\n", stderr);
    return 2;
  }
  Random random{{1, 2}};
  Chain chain{"forward", Policy::accept, {}};
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(std::strtoul(words[1], nullptr, 10));
       ++i)
    chain.rules.push_back(rule(random, i));
  const bool linear = count > 2 && std::string_view{words[2]} == "linear";
  const auto built =
      Ruleset::build({chain}, linear ? Ruleset::Search::linear : Ruleset::Search::indexed);
  const auto& ruleset = std::get<Ruleset>(built);
  const conntrack::Table table{conntrack::Region{"", 64}, Time{}};
  Memory memory{{3, 4}, table};
  memory.adopt(ruleset);

  constexpr std::uint32_t kPackets = 1 << 14;
  const std::uint32_t rounds = linear ? 1 : 64;
  std::vector<Packet> packets(kPackets);
  for (Packet& packet : packets)
    packet.tuple = {host(random.below(kHosts)), host(random.below(kHosts)), 4000,
                    static_cast<net::Port>(1024 + random.below(4096)), net::Protocol::tcp};
  std::uint64_t dropped = 0;
  const Time start = BootClock::now();
  for (std::uint32_t round = 0; round < rounds; ++round)
    for (Packet& packet : packets) {
      packet.trail.clear();
      dropped += ruleset.evaluate(Hook::forward, packet, memory).kind == Decision::Kind::drop;
    }
  const double ns = static_cast<double>((BootClock::now() - start).count()) / (rounds * kPackets);
  std::printf("ns=%.1f dropped=%.3f\n", ns, static_cast<double>(dropped) / (rounds * kPackets));
  return 0;
}
