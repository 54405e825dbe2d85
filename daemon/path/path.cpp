#include "daemon/path/path.hpp"

#include "daemon/path/shard.hpp"
#include "daemon/path/stages.hpp"

namespace masqgate::path {
namespace {

constexpr Stage kForward[] = {
    {"defragment", stages::defragment},    // fragment/   every packet has its ports from here on
    {"syn_proxy", stages::syn_proxy},      // syn_proxy/  answers in place of servers that it guards
    {"track", stages::track},              // conntrack/  packet.connection, direction, state
    {"prerouting", stages::prerouting},    // firewall/   sees the packet as it came
    {"dnat", stages::dnat},                // nat/        destination is final from here on
    {"route", stages::route},              // route/      packet.egress; our own leave for kInput
    {"ttl", stages::ttl},                  // icmp/       RFC 1812 5.3.1
    {"forward", stages::forward},          // firewall/   sees the real hosts on both sides
    {"postrouting", stages::postrouting},  // firewall/
    {"snat", stages::snat},                // nat/        source is final from here on
    {"leaving", stages::leaving},          // firewall/   sees the packet as it goes
    {"help", stages::help},          // helper/     protocols that tell addresses in their text
    {"confirm", stages::confirm},    // conntrack/  only now does a connection enter the table
    {"show", stages::show},          // divert/     to programs that want it as it leaves
    {"fit", stages::fit},            // fragment/   MTU: fragment, or "too big"
    {"resolve", stages::resolve},    // neighbour/  may steal until Linux knows the next hop
    {"transmit", stages::transmit},  // port/
};

constexpr Stage kInput[] = {
    {"input", stages::input},
    {"confirm", stages::confirm},
    {"show", stages::show},
    {"deliver", stages::deliver},  // port/  to the host side
};

constexpr Stage kOutput[] = {
    {"defragment", stages::defragment},
    {"track", stages::track},
    {"output", stages::output},
    {"postrouting", stages::postrouting},
    {"snat", stages::snat},
    {"leaving", stages::leaving},
    {"help", stages::help},
    {"confirm", stages::confirm},
    {"show", stages::show},
    {"fit", stages::fit},
    {"transmit", stages::transmit},
};

constexpr Stage kMadeHere[] = {
    {"track", stages::track},  // first: Diverting::inject_outward() goes past it
    {"output", stages::output},
    {"dnat", stages::dnat},
    {"route", stages::route},
    {"postrouting", stages::postrouting},
    {"snat", stages::snat},
    {"leaving", stages::leaving},
    {"help", stages::help},
    {"confirm", stages::confirm},  // only what programs inject begins a connection
    {"show", stages::show},
    {"fit", stages::fit},
    {"resolve", stages::resolve},
    {"transmit", stages::transmit},
};

static_assert(std::size(kForward) <= kMostStages);

}  // namespace

std::string_view name(List list) {
  static constexpr std::array<std::string_view, kLists> kNames{"forward", "input", "output",
                                                               "made_here"};
  return kNames[static_cast<std::size_t>(list)];
}

std::span<const Stage> stages_of(List list) {
  switch (list) {
    case List::input:
      return kInput;
    case List::output:
      return kOutput;
    case List::made_here:
      return kMadeHere;
    default:
      return kForward;
  }
}

Verdict walk(Shard& shard, Packet& packet, List list, std::size_t from) {
  const std::span<const Stage> stages = stages_of(list);
  packet.list = static_cast<std::uint8_t>(list);
  for (std::size_t i = from; i < stages.size(); ++i) {
    packet.stage = static_cast<std::uint8_t>(i);
    const Verdict verdict = stages[i].run(shard, packet);
    shard.count(list, i, stages[i], verdict);
    if (verdict.kind() == Verdict::Kind::local) return walk(shard, packet, List::input);
    if (!verdict.accepted()) return verdict;
  }
  return Verdict::accept();
}

}  // namespace masqgate::path
