// What a full connection table costs: bytes of memory for each connection, its mapping included,
// and the time to find one that is used all the time, and any.
//
// Usage: tablebench CONNECTIONS [4|6]   prints bytes= create_ns= hot_ns= random_ns=

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "daemon/nat/mappings.hpp"

namespace {
using namespace masqgate;
using conntrack::Connection;
using conntrack::Table;

constexpr std::uint32_t kHot = 16;

std::size_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

net::IpAddress address(bool v6, std::uint32_t network, std::uint32_t host) {
  return v6 ? net::IpAddress::v6(0xfd00'0000'0000'0000 | network, host)
            : net::IpAddress::v4(network | host);
}

// Each from a socket of its own: 32,768 ports of a host, to one peer in 16.
Tuple tuple(bool v6, std::uint32_t number) {
  Tuple tuple;
  tuple.protocol = net::Protocol::udp;
  tuple.source_address = address(v6, 0x0a000000, number >> 15);
  tuple.source_port = static_cast<net::Port>(1024 + (number & 0x7fff));
  tuple.destination_address = address(v6, 0xc6336400, number & 15);
  tuple.destination_port = 53;
  return tuple;
}

double nanoseconds_each(Time since, std::uint32_t count) {
  return static_cast<double>((BootClock::now() - since).count()) / count;
}

struct Filled {
  Filled(std::uint32_t count, bool is_v6)
      : v6{is_v6}, table{conntrack::Region{"", count}, Time{}}, mappings{table, Random{{1, 2}}} {
    // A host has an outside address of its own: nobody runs out of ports.
    for (std::uint32_t i = 0; i < count; ++i) {
      Connection* c = table.create(tuple(v6, i), Time{});
      const net::IpAddress own = address(v6, 0xcb007100, i >> 15);
      const nat::AddressRange range{own, own};
      if (mappings.choose(*c, {{&range, 1}}, nat::kRfc) ||
          !table.confirm(*c, Time{}, std::chrono::hours{1}))
        std::abort();
      mappings.hold(*c);
    }
  }
  // Finds count connections, the next one so far from the last one each time.
  double find_ns(std::uint32_t among, std::uint32_t stride, std::uint32_t count) const {
    std::uint64_t found = 0;
    const Time start = BootClock::now();
    for (std::uint32_t i = 0, at = 0; i < count; ++i, at = (at + stride) % among)
      found += table.find(tuple(v6, at)).connection->original.source_port;
    if (found == 0) std::abort();
    return nanoseconds_each(start, count);
  }

  bool v6;
  Table table;
  nat::Mappings mappings;
};

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fprintf(stderr, "usage: tablebench CONNECTIONS [4|6]\n");
    return 2;
  }
  const auto connections = static_cast<std::uint32_t>(std::atoi(words[1]));
  const bool v6 = count > 2 && words[2][0] == '6';
  const std::size_t before = resident_bytes();
  const Time start = BootClock::now();
  const Filled filled{connections, v6};
  const double create = nanoseconds_each(start, connections);
  const double bytes = static_cast<double>(resident_bytes() - before) / connections;
  constexpr std::uint32_t kFinds = 4'000'000, kFarStride = 7'368'787;  // a prime: any order
  const double hot = filled.find_ns(kHot, 1, kFinds);
  const double random = filled.find_ns(connections, kFarStride % connections, kFinds);
  std::printf("bytes=%.1f create_ns=%.0f hot_ns=%.1f random_ns=%.1f\n", bytes, create, hot, random);
}
