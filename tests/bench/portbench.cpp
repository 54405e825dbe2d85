// How long it takes to find an outside port when many are in use already (P-05).
//
// Usage: portbench   prints a line for each way to choose: ns for each new mapping at 0, 50, 90 and
// 99 % of the 64512 ports from 1024 on (classic: of its 4096) in use, and when none is free.

#include <cstdio>
#include <cstdlib>

#include "daemon/nat/mappings.hpp"

namespace {
using namespace masqgate;
using conntrack::Connection;
using nat::PortChoice;

constexpr std::uint32_t kPorts = 64512, kClassicPorts = 4096;
const net::IpAddress kOutside = net::IpAddress::v4(0xcb007107);

struct Pool {
  explicit Pool(PortChoice choice)
      : table{conntrack::Region{"", kPorts + 1024}, Time{}}, mappings{table, Random{{1, 2}}} {
    behaviour.ports = choice;
    behaviour.parity = false;
  }

  // A socket of its own each time; all want the same few ports, so that preserving fails too.
  Connection* ask() {
    Tuple tuple;
    tuple.protocol = net::Protocol::udp;
    tuple.source_address = net::IpAddress::v4(0x0a000000 + ++asked);
    tuple.source_port = 4000;
    tuple.destination_address = net::IpAddress::v4(0xc6336401);
    tuple.destination_port = 53;
    Connection* c = table.create(tuple, Time{});
    const nat::AddressRange own{kOutside, kOutside};
    nat::Outside outside;
    outside.addresses = {&own, 1};
    const auto problem = mappings.choose(*c, outside, behaviour);
    if (!problem) return c;
    table.discard(*c);
    return nullptr;
  }
  void fill(std::uint32_t ports) {
    while (used < ports) {
      Connection* c = ask();
      if (c == nullptr || !table.confirm(*c, Time{}, std::chrono::hours{1})) std::abort();
      mappings.hold(*c);
      ++used;
    }
  }
  // Asked for and given back, so that the fill stays.
  double choose_ns() {
    constexpr int kTimes = 20000;
    const Time start = BootClock::now();
    for (int i = 0; i < kTimes; ++i)
      if (Connection* c = ask()) table.discard(*c);
    return static_cast<double>((BootClock::now() - start).count()) / kTimes;
  }

  nat::Behaviour behaviour;
  conntrack::Table table;
  nat::Mappings mappings;
  std::uint32_t asked = 0;
  std::uint32_t used = 0;
};

}  // namespace

int main() {
  struct Choice {
    const char* name;
    PortChoice choice;
  };
  for (const Choice& c :
       {Choice{"preserve", PortChoice::preserve}, Choice{"random", PortChoice::random},
        Choice{"contiguous", PortChoice::contiguous}, Choice{"classic", PortChoice::classic}}) {
    Pool pool{c.choice};
    const std::uint32_t ports = c.choice == PortChoice::classic ? kClassicPorts : kPorts;
    std::printf("%s", c.name);
    for (const std::uint32_t percent : {0u, 50u, 90u, 99u, 100u}) {
      pool.fill(ports * percent / 100);
      std::printf(" %u%%=%.0f", percent, pool.choose_ns());
    }
    std::printf("\n");
  }
}
