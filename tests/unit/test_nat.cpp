// Unit tests of daemon/nat/mappings.hpp: which outside endpoint a connection gets, and who holds
// it.

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "daemon/nat/mappings.hpp"
#include "tests/support/packet_builder.hpp"

using namespace masqgate;
using namespace masqgate::nat;
using namespace masqgate::test;
using conntrack::Connection;
using conntrack::Table;
using std::chrono::seconds;

namespace {

constexpr Time kStart{seconds{1000}};

// A table with its mappings, as a shard has them.
struct Lab final : conntrack::Observer {
  explicit Lab(std::size_t capacity = 1024, std::uint64_t seed = 1)
      : table{conntrack::Region{"", capacity}, kStart}, mappings{table, Random{{seed, seed}}} {
    table.set_observer(this);
  }
  void removed(const Connection& c) noexcept override { mappings.release(c); }

  // The new connection, confirmed; null where it was refused, and why is in refusal.
  Connection* open(const Tuple& tuple, const Behaviour& behaviour = kRfc,
                   std::uint16_t flags = Connection::kSourceNat) {
    Connection* c = table.create(tuple, kStart);
    REQUIRE(c != nullptr);
    c->flags = static_cast<std::uint16_t>(c->flags | flags);
    const AddressRange own{outside, outside};
    refusal = mappings.choose(*c, {{&own, 1}, ports}, behaviour);
    if (!refusal && !table.confirm(*c, kStart, seconds{100})) refusal = DropReason::tuple_clash;
    if (refusal) {
      table.discard(*c);
      return nullptr;
    }
    mappings.hold(*c);
    return c;
  }

  net::IpAddress outside = address("203.0.113.7");
  net::PortRange ports{0, 0};
  Table table;
  Mappings mappings;
  std::optional<DropReason> refusal;
};

Tuple flow(std::string_view source, net::Port port, std::string_view peer = "198.51.100.1",
           net::Port peer_port = 53) {
  return udp().from(source, port).to(peer, peer_port).tuple();
}
net::Port port_of(const Connection* c) {
  REQUIRE(c != nullptr);
  return c->reply.destination_port;
}
net::IpAddress host(std::uint32_t number) {
  return net::IpAddress::v4(0x0a000000 + number);
}

}  // namespace

TEST_CASE("U-01, T-01, I-02: one outside endpoint for all peers, under other load too") {
  Lab lab{4096};
  const net::Port first = port_of(lab.open(flow("192.168.1.10", 4000)));
  for (std::uint32_t i = 0; i < 3000; ++i) {
    Tuple other = flow("192.168.1.10", 4000);
    other.source_address = host(i);
    port_of(lab.open(other));
  }
  for (const char* peer : {"198.51.100.1", "198.51.100.2", "192.0.2.9"})
    for (const net::Port port : std::initializer_list<net::Port>{54, 80, 3478})
      CHECK(port_of(lab.open(flow("192.168.1.10", 4000, peer, port))) == first);
  // Also where its own port was taken.
  const net::Port changed = port_of(lab.open(flow("192.168.1.11", 4000)));
  CHECK(changed != first);
  CHECK(port_of(lab.open(flow("192.168.1.11", 4000, "192.0.2.9"))) == changed);
  const Tuple echo = icmp_echo(7).tuple();
  Tuple elsewhere = echo;
  elsewhere.destination_address = address("192.0.2.9");
  CHECK(port_of(lab.open(echo)) == port_of(lab.open(elsewhere)));
}

TEST_CASE("X-06: a mapping of TCP is none of UDP") {
  Lab lab;
  CHECK(port_of(lab.open(flow("192.168.1.10", 4000))) == 4000);
  CHECK(port_of(lab.open(tcp().from("192.168.1.11", 4000).tuple())) == 4000);
}

TEST_CASE("U-03, T-10, U-04, U-05: never two on one port; class and parity are kept") {
  struct Case {
    net::Port wanted, first, last;
  };
  for (const Case& c : {Case{4000, 1024, 65535}, Case{4001, 1024, 65535}, Case{1024, 1024, 65535},
                        Case{65535, 1024, 65535}, Case{1, 1, 511}, Case{510, 1, 511},
                        Case{512, 600, 1023}, Case{1023, 600, 1023}}) {
    CAPTURE(c.wanted);
    Lab lab;
    std::set<net::Port> seen;
    for (std::uint32_t i = 0; i < 100; ++i) {
      Tuple tuple = flow("192.168.1.10", c.wanted, "198.51.100.1", static_cast<net::Port>(i + 1));
      tuple.source_address = host(i);
      const net::Port port = port_of(lab.open(tuple));
      CHECK(seen.insert(port).second);
      CHECK((port == c.wanted || (c.first <= port && port <= c.last)));
      CHECK(port % 2 == c.wanted % 2);
    }
    CHECK(seen.contains(c.wanted));
  }
}

// What was seen gives no better guess of the next than chance (RFC 6056).
TEST_CASE(
    "P-03, P-04, X-11, C-17: 10,000 changed ports: neither repeated differences nor crowded "
    "places") {
  Lab lab{16384};
  std::map<int, int> differences;
  std::array<int, 16> places{};
  std::set<net::Port> seen;
  int last = 0;
  for (std::uint32_t i = 0; i < 10001; ++i) {
    Tuple tuple = flow("192.168.1.10", 4000);
    tuple.source_address = host(i);
    const net::Port port = port_of(lab.open(tuple));
    if (i > 0) {
      ++differences[port - last];
      ++places[port / 4096];
      seen.insert(port);
    }
    last = port;
  }
  CHECK(seen.size() == 10000);
  for (const auto& [difference, count] : differences) CHECK(count <= 8);
  for (std::size_t i = 1; i < places.size(); ++i) {
    CHECK(places[i] > 520);  // 635 expected, standard deviation below 25
    CHECK(places[i] < 750);
  }
  // Another key, another order.
  Lab one{16, 1}, other{16, 2};
  for (Lab* each : {&one, &other}) port_of(each->open(flow("192.168.1.9", 4000)));
  CHECK(port_of(one.open(flow("192.168.1.11", 4000))) !=
        port_of(other.open(flow("192.168.1.11", 4000))));
}

TEST_CASE("U-13, C-11: when the class is used up a new host is refused, and nobody else is hurt") {
  Lab lab;
  std::map<std::uint32_t, net::Port> given;
  for (std::uint32_t i = 0; i < 600; ++i) {
    Tuple tuple = flow("192.168.1.10", 9);
    tuple.source_address = host(i);
    if (const Connection* c = lab.open(tuple))
      given[i] = c->reply.destination_port;
    else
      CHECK(lab.refusal == DropReason::no_free_ports);
  }
  CHECK(given.size() <= 256);
  CHECK(given.size() >= 250);
  CHECK(lab.table.size() == given.size());
  for (const auto& [number, port] : given) {
    Tuple again = flow("192.168.1.10", 9, "192.0.2.1");
    again.source_address = host(number);
    CHECK(port_of(lab.open(again)) == port);
  }
}

TEST_CASE("P-01: every port from 1024 on is given out before anybody is refused") {
  Lab lab{65536};
  Behaviour behaviour = kRfc;
  behaviour.parity = false;
  std::set<net::Port> seen;
  for (std::uint32_t i = 0; i < 64512; ++i) {
    Tuple tuple = flow("192.168.1.10", 4000);
    tuple.source_address = host(i);
    seen.insert(port_of(lab.open(tuple, behaviour)));
  }
  CHECK(seen.size() == 64512);
  CHECK(*seen.begin() == 1024);
  CHECK(lab.open(flow("192.168.1.10", 4000), behaviour) == nullptr);
  CHECK(lab.refusal == DropReason::no_free_ports);
}

TEST_CASE("C-10: a port that let everybody in rests two minutes before another host gets it") {
  Lab lab;
  lab.mappings.tell_time(kStart);
  const auto end = [&](Connection* c) { lab.table.remove(*c); };
  end(lab.open(flow("192.168.1.10", 4000), kOpen));
  Connection* other = lab.open(flow("192.168.1.11", 4000), kOpen);
  CHECK(port_of(other) != 4000);
  end(other);
  Connection* same = lab.open(flow("192.168.1.10", 4000), kOpen);
  CHECK(port_of(same) == 4000);
  end(same);
  lab.mappings.tell_time(kStart + seconds{119});
  CHECK(port_of(lab.open(flow("192.168.1.12", 4000), kOpen)) != 4000);
  lab.mappings.tell_time(kStart + seconds{120});
  CHECK(port_of(lab.open(flow("192.168.1.13", 4000), kOpen)) == 4000);
}

TEST_CASE("C-10: who filters by address need not rest; when nothing else is left nobody rests") {
  Lab lab;
  lab.table.remove(*lab.open(flow("192.168.1.10", 4000), kRfc));
  CHECK(port_of(lab.open(flow("192.168.1.11", 4000), kRfc)) == 4000);
  lab.ports = {5000, 5000};
  lab.table.remove(*lab.open(flow("192.168.1.10", 4000), kOpen));
  CHECK(port_of(lab.open(flow("192.168.1.12", 4000), kOpen)) == 5000);
}

TEST_CASE("C-10: of more than 4096 resting ports the first serve again") {
  Lab lab{8192};
  for (std::uint32_t i = 0; i <= RestingPorts::kMost; ++i)
    lab.table.remove(*lab.open(flow("192.168.1.10", static_cast<net::Port>(4000 + i)), kOpen));
  CHECK(port_of(lab.open(flow("192.168.1.11", 4000), kOpen)) == 4000);
  CHECK(port_of(lab.open(flow("192.168.1.11", 4001), kOpen)) != 4001);
}

TEST_CASE("protocols without ports: one inside host per peer") {
  Lab lab;
  const auto gre = [](std::string_view source, std::string_view peer) {
    return ip(net::Protocol::gre).from(source).to(peer).tuple();
  };
  CHECK(lab.open(gre("192.168.1.10", "198.51.100.1")) != nullptr);
  CHECK(lab.open(gre("192.168.1.11", "198.51.100.2")) != nullptr);
  CHECK(lab.open(gre("192.168.1.11", "198.51.100.1")) == nullptr);
  CHECK(lab.refusal == DropReason::tuple_clash);
}

TEST_CASE("M3: classic ports count 61000 to 65095 for all protocols together, and begin again") {
  Lab lab{8192};
  for (std::uint32_t i = 0; i < 4096; ++i) {
    Tuple tuple = i % 2 == 0 ? flow("192.168.1.10", 4000) : tcp().from("192.168.1.10", 9).tuple();
    tuple.source_address = host(i);
    REQUIRE(port_of(lab.open(tuple, kClassic22)) == 61000 + i);
  }
  CHECK(lab.mappings.classic_free(net::Protocol::udp) == 40960 - 2048);
  CHECK(lab.mappings.classic_free(net::Protocol::tcp) == 40960 - 2048);
  CHECK(lab.mappings.classic_free(net::Protocol::icmp) == 40960);
  CHECK(lab.mappings.classic_free(net::Protocol::gre) == 0);
  // The counter is at its start: taken towards the old peer by UDP, free towards a new one.
  CHECK(port_of(lab.open(flow("192.168.1.10", 1), kClassic22)) == 61001);
  CHECK(port_of(lab.open(flow("192.168.1.10", 2, "192.0.2.1"), kClassic22)) == 61002);
}

TEST_CASE("M3, C-15: 40,960 classic entries of a protocol, not one more, and each comes back") {
  Lab lab{50000};
  const auto tuple = [](std::uint32_t i) {
    Tuple t = flow("192.168.1.10", 4000, "198.51.100.1", static_cast<net::Port>(1 + i / 4096));
    t.source_address = host(i);
    return t;
  };
  for (std::uint32_t i = 0; i < 40960; ++i) REQUIRE(lab.open(tuple(i), kClassic22) != nullptr);
  CHECK(lab.mappings.classic_free(net::Protocol::udp) == 0);
  CHECK(lab.open(flow("192.168.1.9", 1, "192.0.2.9"), kClassic22) == nullptr);
  CHECK(lab.refusal == DropReason::no_free_ports);
  CHECK(lab.open(tcp().from("192.168.1.9", 1).tuple(), kClassic22) != nullptr);
  for (std::uint32_t i = 0; i < 40960; ++i) lab.table.remove(*lab.table.find(tuple(i)).connection);
  CHECK(lab.mappings.classic_free(net::Protocol::udp) == 40960);
}

TEST_CASE("M9: a port of the router itself is nobody else's, in whatever order they come") {
  for (const Behaviour& behaviour : {kRfc, kClassic22, kLinux, kSymmetric, kOpen}) {
    Lab lab;
    const auto own = [&](net::Port port, std::string_view peer) {
      return lab.open(flow("203.0.113.7", port, peer), kRfc, Connection::kLocal);
    };
    const net::Port wanted = 61000;
    CHECK(port_of(own(wanted, "198.51.100.1")) == wanted);
    CHECK(port_of(lab.open(flow("192.168.1.10", wanted, "192.0.2.1"), behaviour)) != wanted);
    const net::Port masqueraded =
        port_of(lab.open(flow("192.168.1.10", 61005, "192.0.2.2"), behaviour));
    CHECK(port_of(own(masqueraded, "192.0.2.3")) != masqueraded);
  }
}

TEST_CASE(
    "U-03: a classic port is never one that an rfc mapping holds, whoever shares it already") {
  Lab lab;
  CHECK(port_of(lab.open(flow("192.168.1.10", 61000))) == 61000);
  CHECK(port_of(lab.open(flow("192.168.1.11", 5, "192.0.2.1"), kClassic22)) == 61001);
  // A host that has a classic port gets another as its rfc mapping, alone.
  CHECK(port_of(lab.open(flow("192.168.1.11", 5, "192.0.2.2"))) == 5);
  CHECK(port_of(lab.open(flow("192.168.1.12", 61001))) != 61001);
}

// The indices of mappings against a plain map, over random opens and ends in any order.
TEST_CASE("who holds which endpoint: against a model, connections ending in random order") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Random random{{seed, 3}};
    Lab lab{256, seed};
    std::map<net::Endpoint, std::pair<net::Port, std::set<Tuple>>> model;  // inside: port, users
    const auto holds = [&](net::Port port) {
      for (const auto& [inside, mapping] : model)
        if (mapping.first == port) return true;
      return false;
    };
    for (int step = 0; step < 3000; ++step) {
      const Tuple tuple = flow(random.below(2) == 0 ? "192.168.1.10" : "192.168.1.11",
                               static_cast<net::Port>(4000 + random.below(4)), "198.51.100.1",
                               static_cast<net::Port>(1 + random.below(8)));
      const auto known = model.find(tuple.source());
      if (const auto found = lab.table.find(tuple); found.connection != nullptr) {
        REQUIRE(known != model.end());
        lab.table.remove(*found.connection);
        known->second.second.erase(tuple);
        if (known->second.second.empty()) model.erase(known);
        continue;
      }
      const bool own_port_free = !holds(tuple.source_port);
      const net::Port port = port_of(lab.open(tuple));
      if (known != model.end()) {
        REQUIRE(port == known->second.first);
      } else {
        REQUIRE((port == tuple.source_port) == own_port_free);
        REQUIRE_FALSE(holds(port));
      }
      auto& mapping = model[tuple.source()];
      mapping.first = port;
      mapping.second.insert(tuple);
    }
  }
}
