// Unit tests of daemon/nat/{portfw,autofw,mfw,forwards}.hpp: every rule of history 4 and 10.

#include <doctest/doctest.h>

#include <string>

#include "daemon/nat/forwards.hpp"

using namespace masqgate;
using namespace masqgate::nat;
using net::Protocol;
using Act = ForwardOrder::Act;
using Problem = ForwardProblem;

namespace {

constexpr Time kStart{std::chrono::seconds{1000}};
constexpr std::chrono::seconds kSecond{1};

net::Endpoint at(const char* address, net::Port port) {
  return {*net::IpAddress::parse(address), port};
}
const net::Endpoint kWeb = at("203.0.113.2", 80);
const net::Endpoint kA = at("192.168.0.10", 80), kB = at("192.168.0.11", 8080);

PortForward port(net::Endpoint local, net::Endpoint remote, int preference = 10,
                 Protocol protocol = Protocol::tcp) {
  return {protocol, local, remote, preference, preference};
}

MarkForward mark(std::uint32_t number, net::Endpoint remote, int preference = 10) {
  return {number, remote, preference, preference};
}

AutoForward range(net::Port first, net::Port last) {
  AutoForward entry;
  entry.kind = AutoForward::Kind::range;
  entry.protocol = Protocol::udp;
  entry.ports = {first, last};
  return entry;
}
AutoForward controlled() {
  AutoForward entry = range(7000, 7010);
  entry.control_protocol = Protocol::tcp;
  entry.control_port = 554;
  return entry;
}
AutoForward fixed(net::Port first, net::Port last, const char* host) {
  AutoForward entry = range(first, last);
  entry.named = *net::IpAddress::parse(host);
  entry.secure = false;
  return entry;
}

// Whom each of so many new connections gets: the last number of the host's address.
template <typename Use>
std::string turns(int count, Use use) {
  std::string hosts;
  for (int i = 0; i < count; ++i) {
    const auto inside = use();
    hosts += inside ? "AB"[(inside->address.v4_number() & 0xff) - 10] : '-';
  }
  return hosts;
}

const net::IpAddress kInside = *net::IpAddress::parse("192.168.0.10");
const net::IpAddress kPeer = *net::IpAddress::parse("198.51.100.1");
const net::IpAddress kStranger = *net::IpAddress::parse("198.51.100.66");

}  // namespace

TEST_CASE("portfw: what cannot be forwarded is invalid") {
  struct Case {
    const char* name;
    PortForward entry;
  };
  for (const Case& c :
       {Case{"port 0", port(at("203.0.113.2", 0), kA)},
        Case{"a port of masquerading", port(at("203.0.113.2", 61000), kA)},
        Case{"neither TCP nor UDP", port(kWeb, kA, 10, Protocol::icmp)},
        Case{"preference 0", port(kWeb, kA, 0)}, Case{"a preference below 0", port(kWeb, kA, -1)},
        Case{"an address of IPv6", port(at("2001:db8::1", 80), kA)},
        Case{"to nobody", port(kWeb, kAnyEndpoint)},
        Case{"to port 0", port(kWeb, at("192.168.0.10", 0))},
        Case{"from everywhere", port(at("0.0.0.0", 80), kA)}}) {
    CAPTURE(c.name);
    PortForwards table;
    CHECK(table.add(c.entry) == Problem::invalid);
    CHECK(table.size() == 0);
  }
  PortForwards table;
  CHECK(table.add(port(at("203.0.113.2", 60999), kA)) == Problem::none);
  CHECK(table.add(port(at("203.0.113.2", 1), kA)) == Problem::none);
}

TEST_CASE("portfw: new entries are first, UDP is listed before TCP") {
  PortForwards table;
  table.add(port(kWeb, kA));
  table.add(port(kWeb, kA, 10, Protocol::udp));
  table.add(port(kWeb, kB));
  CHECK(table.list() ==
        std::vector{port(kWeb, kA, 10, Protocol::udp), port(kWeb, kB), port(kWeb, kA)});
}

TEST_CASE("portfw: adding what is there changes its preference and starts its counter anew") {
  PortForwards table;
  table.add(port(kWeb, kA, 3));
  table.add(port(kWeb, kB, 3));
  table.use(Protocol::tcp, kWeb);
  CHECK(table.list().front().count == 2);
  CHECK(table.add(port(kWeb, kB, 5)) == Problem::none);
  CHECK(table.list() == std::vector{port(kWeb, kB, 5), port(kWeb, kA, 3)});
  SUBCASE("no address and no port fit all that have the local port") {
    CHECK(table.add(port(at("0.0.0.0", 80), kAnyEndpoint, 7)) == Problem::none);
    CHECK(table.list() == std::vector{port(kWeb, kB, 7), port(kWeb, kA, 7)});
  }
  SUBCASE("another local port is another entry") {
    CHECK(table.add(port(at("203.0.113.2", 81), kA)) == Problem::none);
    CHECK(table.size() == 3);
  }
}

TEST_CASE("portfw: removal takes zeros for any, but not for the local port") {
  struct Case {
    const char* name;
    PortForward request;
    Problem problem;
    std::size_t left;
  };
  for (const Case& c : {
           Case{"all of it", port(kWeb, kA), Problem::none, 2},
           Case{"any remote", port(kWeb, kAnyEndpoint), Problem::none, 1},
           Case{"any remote port", port(kWeb, at("192.168.0.11", 0)), Problem::none, 2},
           Case{"any address", port(at("0.0.0.0", 80), kAnyEndpoint), Problem::none, 1},
           Case{"another remote", port(kWeb, at("192.168.0.12", 80)), Problem::not_found, 3},
           Case{"the other protocol", port(kWeb, kA, 10, Protocol::udp), Problem::not_found, 3},
           Case{"another local address", port(at("203.0.113.3", 80), kA), Problem::not_found, 3},
           Case{"no local port", port(at("203.0.113.2", 0), kA), Problem::invalid, 3},
       }) {
    CAPTURE(c.name);
    PortForwards table;
    table.add(port(kWeb, kA));
    table.add(port(kWeb, kB));
    table.add(port(at("203.0.113.2", 25), kA));
    CHECK(table.remove(c.request) == c.problem);
    CHECK(table.size() == c.left);
  }
}

TEST_CASE("portfw: an entry serves its own protocol, address and port only") {
  PortForwards table;
  table.add(port(kWeb, kB));
  CHECK(table.use(Protocol::tcp, kWeb) == kB);
  CHECK_FALSE(table.use(Protocol::udp, kWeb));
  CHECK_FALSE(table.use(Protocol::tcp, at("203.0.113.2", 81)));
  CHECK_FALSE(table.use(Protocol::tcp, at("203.0.113.3", 80)));
  CHECK_FALSE(table.use(Protocol::icmp, kWeb));
  CHECK(table.has(Protocol::tcp, kWeb));
  CHECK_FALSE(table.has(Protocol::udp, kWeb));
  CHECK_FALSE(table.has(Protocol::tcp, at("203.0.113.3", 80)));
  table.flush();
  CHECK_FALSE(table.use(Protocol::tcp, kWeb));
}

TEST_CASE("portfw: A with preference 2 and B with 3 take turns A A B B B A A") {
  PortForwards table;
  table.add(port(kWeb, kB, 3));
  table.add(port(kWeb, kA, 2));
  CHECK(turns(9, [&] { return table.use(Protocol::tcp, kWeb); }) == "AABBBAABB");
  // Two of B's three are used up; the one that waits has its counter full again.
  CHECK(table.list() == std::vector{PortForward{Protocol::tcp, kWeb, kB, 3, 1}, port(kWeb, kA, 2)});
}

TEST_CASE("portfw: preference 1 is a round robin") {
  PortForwards table;
  table.add(port(kWeb, kB, 1));
  table.add(port(kWeb, kA, 1));
  CHECK(turns(6, [&] { return table.use(Protocol::tcp, kWeb); }) == "ABABAB");
}

TEST_CASE("portfw: a single entry is not counted, but any second one makes it count") {
  PortForwards table;
  table.add(port(kWeb, kA, 2));
  CHECK(turns(5, [&] { return table.use(Protocol::tcp, kWeb); }) == "AAAAA");
  CHECK(table.list().front().count == 2);
  table.add(port(at("203.0.113.2", 53), kB, 10, Protocol::udp));
  table.use(Protocol::tcp, kWeb);
  CHECK(table.list().back().count == 1);
  CHECK(turns(3, [&] { return table.use(Protocol::tcp, kWeb); }) == "AAA");
}

TEST_CASE("portfw: a table has an end") {
  PortForwards table;
  for (std::size_t i = 1; i <= PortForwards::kMost; ++i)
    REQUIRE(table.add(port(at("203.0.113.2", static_cast<net::Port>(i)), kA)) == Problem::none);
  CHECK(table.add(port(at("203.0.113.3", 80), kA)) == Problem::full);
  CHECK(table.add(port(at("203.0.113.2", 80), kA, 3)) == Problem::none);  // an edit needs no room
  CHECK(table.size() == PortForwards::kMost);
}

TEST_CASE("mfw: what cannot be forwarded is invalid") {
  MarkForwards table;
  CHECK(table.add(mark(0, kA)) == Problem::invalid);
  CHECK(table.insert(mark(0, kA)) == Problem::invalid);
  CHECK(table.add(mark(1, kA, -1)) == Problem::invalid);
  CHECK(table.add(mark(1, kAnyEndpoint)) == Problem::invalid);
  CHECK(table.add(mark(1, at("2001:db8::1", 80))) == Problem::invalid);
  CHECK(table.size() == 0);
}

TEST_CASE("mfw: -A appends, -I puts first, twice the same is two") {
  MarkForwards table;
  table.add(mark(1, kA));
  table.add(mark(1, kB));
  table.insert(mark(1, kB));
  CHECK(table.list() == std::vector{mark(1, kB), mark(1, kA), mark(1, kB)});
}

TEST_CASE("mfw: sixteen buckets, in each the newest mark first") {
  MarkForwards table;
  for (const std::uint32_t number : {17u, 2u, 1u, 16u, 33u}) table.add(mark(number, kA));
  std::string order;
  for (const MarkForward& host : table.list()) order += std::to_string(host.mark) + " ";
  CHECK(order == "16 33 1 17 2 ");
}

TEST_CASE("mfw: editing changes preferences, zeros fit any") {
  MarkForwards table;
  table.add(mark(1, kA));
  table.add(mark(1, kB));
  CHECK(table.edit(mark(1, kA, 3)) == Problem::none);
  CHECK(table.list() == std::vector{mark(1, kA, 3), mark(1, kB)});
  CHECK(table.edit(mark(1, kAnyEndpoint, 4)) == Problem::none);
  CHECK(table.list() == std::vector{mark(1, kA, 4), mark(1, kB, 4)});
  CHECK(table.edit(mark(1, at("192.168.0.12", 80), 4)) == Problem::not_found);
  CHECK(table.edit(mark(2, kA, 4)) == Problem::invalid);  // the kernel's answer to an unknown mark
  CHECK(table.edit(mark(0, kA, 4)) == Problem::invalid);
  CHECK(table.edit(mark(1, kA, -1)) == Problem::invalid);
}

TEST_CASE("mfw: removal takes zeros for any; the last host takes the mark along") {
  MarkForwards table;
  table.add(mark(1, kA));
  table.add(mark(1, kB));
  table.add(mark(2, kA));
  CHECK(table.remove(mark(3, kAnyEndpoint)) == Problem::not_found);
  CHECK(table.remove(mark(1, at("192.168.0.12", 0))) == Problem::not_found);
  CHECK(table.remove(mark(1, at("192.168.0.11", 0))) == Problem::none);
  CHECK(table.list() == std::vector{mark(1, kA), mark(2, kA)});
  CHECK(table.remove(mark(1, kAnyEndpoint)) == Problem::none);
  CHECK_FALSE(table.use(1, kWeb, false));
  CHECK(table.size() == 1);
  table.flush();
  CHECK(table.size() == 0);
}

TEST_CASE("mfw: the mark decides, the packet's port is kept where none is named") {
  MarkForwards table;
  table.add(mark(7, at("192.168.0.10", 0)));
  CHECK(table.use(7, at("203.0.113.9", 4711), false) == at("192.168.0.10", 4711));
  CHECK_FALSE(table.use(8, kWeb, false));
  CHECK_FALSE(table.use(7, kWeb, true));  // a bare ACK begins nothing
}

TEST_CASE("mfw: hosts take turns by preference; 0 stays first until scheduling is forced") {
  MarkForwards table;
  const auto next = [&] { return table.use(1, kWeb, false); };
  SUBCASE("2 and 3") {
    table.add(mark(1, kA, 2));
    table.add(mark(1, kB, 3));
    CHECK(turns(9, next) == "AABBBAABB");
  }
  SUBCASE("a single host is not counted") {
    table.add(mark(1, kA, 2));
    table.add(mark(2, kB, 2));
    CHECK(turns(5, next) == "AAAAA");
    CHECK(table.list().front().count == 2);
    CHECK(table.schedule(1) == Problem::none);
    CHECK(turns(1, next) == "A");
  }
  SUBCASE("all 0: fail over by hand") {
    table.add(mark(1, kA, 0));
    table.add(mark(1, kB, 0));
    CHECK(turns(4, next) == "AAAA");
    CHECK(table.schedule(1) == Problem::none);
    CHECK(turns(4, next) == "BBBB");
    CHECK(table.schedule(1) == Problem::none);
    CHECK(turns(2, next) == "AA");
  }
  SUBCASE("one 0 among others becomes first and stays") {
    table.add(mark(1, kA, 2));
    table.add(mark(1, kB, 0));
    CHECK(turns(6, next) == "AABBBB");
  }
  SUBCASE("forcing fills the counter of the one that goes") {
    table.add(mark(1, kA, 3));
    table.add(mark(1, kB, 1));
    CHECK(turns(1, next) == "A");
    table.schedule(1);
    CHECK(table.list() == std::vector{mark(1, kB, 1), mark(1, kA, 3)});
  }
  SUBCASE("an unknown mark cannot be scheduled") {
    CHECK(table.schedule(9) == Problem::invalid);
  }
}

TEST_CASE("mfw: a table has an end") {
  MarkForwards table;
  for (std::size_t i = 0; i < MarkForwards::kMost; ++i)
    REQUIRE(table.add(mark(static_cast<std::uint32_t>(i / 4 + 1), kA)) == Problem::none);
  CHECK(table.add(mark(1, kA)) == Problem::full);
  CHECK(table.add(mark(99999, kA)) == Problem::full);
  CHECK(table.list().size() == MarkForwards::kMost);
}

TEST_CASE("autofw: what cannot be forwarded is invalid") {
  AutoForwards table;
  CHECK(table.add({}) == Problem::invalid);
  CHECK(table.add(range(0, 10)) == Problem::invalid);
  CHECK(table.add(range(20, 10)) == Problem::invalid);
  AutoForward bounce;
  bounce.kind = AutoForward::Kind::port;
  bounce.visible = 80;
  bounce.hidden = 8080;
  CHECK(table.add(bounce) == Problem::invalid);  // to nobody
  bounce.named = *net::IpAddress::parse("2001:db8::1");
  CHECK(table.add(bounce) == Problem::invalid);
  CHECK(table.size() == 0);
  for (std::size_t i = 0; i < AutoForwards::kMost; ++i)
    REQUIRE(table.add(range(1, 2)) == Problem::none);
  CHECK(table.add(range(1, 2)) == Problem::full);
}

TEST_CASE("autofw: a range is for the host that is named, whoever sends") {
  AutoForwards table;
  table.add(fixed(7000, 7010, "192.168.0.10"));
  CHECK(table.use(Protocol::udp, kStranger, 7000, kStart) == at("192.168.0.10", 7000));
  CHECK(table.use(Protocol::udp, kStranger, 7010, kStart) == at("192.168.0.10", 7010));
  CHECK_FALSE(table.use(Protocol::udp, kStranger, 6999, kStart));
  CHECK_FALSE(table.use(Protocol::udp, kStranger, 7011, kStart));
  CHECK_FALSE(table.use(Protocol::tcp, kStranger, 7000, kStart));
}

TEST_CASE("autofw: a word to the control port opens the range to its peer, for 15 s of silence") {
  AutoForwards table;
  table.add(controlled());
  const net::Endpoint control{kPeer, 554};
  CHECK_FALSE(table.use(Protocol::udp, kPeer, 7000, kStart));
  table.on_outgoing(Protocol::udp, kInside, control, kStart);
  table.on_outgoing(Protocol::tcp, kInside, {kPeer, 555}, kStart);
  CHECK_FALSE(table.use(Protocol::udp, kPeer, 7000, kStart));
  table.on_outgoing(Protocol::tcp, kInside, control, kStart);
  CHECK(table.use(Protocol::udp, kPeer, 7000, kStart) == at("192.168.0.10", 7000));
  CHECK_FALSE(table.use(Protocol::udp, kStranger, 7000, kStart));
  CHECK(table.list(kStart).front().where == kInside);
  CHECK(table.list(kStart).front().last_peer == kPeer);
  table.on_outgoing(Protocol::tcp, kInside, control, kStart + 10 * kSecond);
  CHECK(table.use(Protocol::udp, kPeer, 7000, kStart + 24 * kSecond));
  CHECK_FALSE(table.use(Protocol::udp, kPeer, 7000, kStart + 25 * kSecond));
  const AutoForward closed = table.list(kStart + 25 * kSecond).front();
  CHECK_FALSE(closed.active);
  CHECK(closed.where == kAnyAddress);
  CHECK(closed.last_peer == kAnyAddress);
  // The next host that speaks has the range.
  const net::IpAddress other = *net::IpAddress::parse("192.168.0.11");
  table.on_outgoing(Protocol::tcp, other, control, kStart + 30 * kSecond);
  CHECK(table.use(Protocol::udp, kPeer, 7005, kStart + 31 * kSecond) == at("192.168.0.11", 7005));
}

TEST_CASE("autofw: without a time limit (-u) a range stays open") {
  AutoForwards table;
  AutoForward entry = controlled();
  entry.timed = false;
  table.add(entry);
  table.on_outgoing(Protocol::tcp, kInside, {kPeer, 554}, kStart);
  CHECK(table.use(Protocol::udp, kPeer, 7000, kStart + 9000 * kSecond));
}

TEST_CASE("autofw: insecure (-i) lets anybody in, also after the host has fallen silent") {
  AutoForwards table;
  AutoForward entry = controlled();
  entry.secure = false;
  table.add(entry);
  CHECK_FALSE(table.use(Protocol::udp, kStranger, 7000, kStart));
  table.on_outgoing(Protocol::tcp, kInside, {kPeer, 554}, kStart);
  CHECK(table.use(Protocol::udp, kStranger, 7000, kStart));
  CHECK(table.use(Protocol::udp, kStranger, 7000, kStart + 60 * kSecond));
  CHECK(table.list(kStart + 60 * kSecond).front().last_peer == kAnyAddress);
}

TEST_CASE("autofw: unchecked is the kernel's behaviour, but nobody is sent to 0.0.0.0") {
  AutoForwards table;
  table.add(controlled());
  table.set_unchecked(true);
  CHECK_FALSE(table.use(Protocol::udp, kStranger, 7000, kStart));
  table.on_outgoing(Protocol::tcp, kInside, {kPeer, 554}, kStart);
  CHECK(table.use(Protocol::udp, kStranger, 7000, kStart));
  table.set_unchecked(false);
  CHECK_FALSE(table.use(Protocol::udp, kStranger, 7000, kStart));
}

TEST_CASE("autofw: ranges are asked before single ports, the newest first") {
  AutoForwards table;
  table.add(fixed(80, 90, "192.168.0.10"));
  table.add(fixed(85, 86, "192.168.0.11"));
  AutoForward bounce;
  bounce.kind = AutoForward::Kind::port;
  bounce.protocol = Protocol::udp;
  bounce.visible = 80;
  bounce.hidden = 8080;
  bounce.named = *net::IpAddress::parse("192.168.0.12");
  table.add(bounce);
  bounce.visible = 91;
  table.add(bounce);
  CHECK(table.use(Protocol::udp, kPeer, 80, kStart) == at("192.168.0.10", 80));
  CHECK(table.use(Protocol::udp, kPeer, 85, kStart) == at("192.168.0.11", 85));
  CHECK(table.use(Protocol::udp, kPeer, 91, kStart) == at("192.168.0.12", 8080));
  CHECK_FALSE(table.use(Protocol::tcp, kPeer, 91, kStart));
}

TEST_CASE("autofw: direct keeps source ports towards its ports, of either protocol") {
  AutoForwards table;
  AutoForward direct = range(5000, 5001);
  direct.kind = AutoForward::Kind::direct;
  table.add(direct);
  CHECK(table.keeps_port(5000));
  CHECK(table.keeps_port(5001));
  CHECK_FALSE(table.keeps_port(5002));
  CHECK_FALSE(table.use(Protocol::udp, kPeer, 5000, kStart));
}

TEST_CASE("autofw: removal wants the words that it was added with, even while it is open") {
  AutoForwards table;
  table.add(controlled());
  table.add(controlled());
  table.on_outgoing(Protocol::tcp, kInside, {kPeer, 554}, kStart);
  CHECK(table.remove(range(7000, 7010)) == Problem::invalid);
  AutoForward other = controlled();
  other.ports.last = 7011;
  CHECK(table.remove(other) == Problem::invalid);
  CHECK(table.remove(controlled()) == Problem::none);
  CHECK(table.size() == 1);
  CHECK(table.remove(controlled()) == Problem::none);
  CHECK(table.remove(controlled()) == Problem::invalid);
}

TEST_CASE("modules are asked in the order in which they became non-empty, the last one first") {
  const FirstPacket packet{Protocol::tcp, {kPeer, 4711}, kWeb, 1, false};
  const ForwardOrder portfw{Act::add, port(kWeb, at("192.168.0.1", 80))};
  const ForwardOrder mfw{Act::add, mark(1, at("192.168.0.2", 80))};
  AutoForward auto_entry = fixed(80, 80, "192.168.0.3");
  auto_entry.protocol = Protocol::tcp;
  const ForwardOrder autofw{Act::add, auto_entry};
  Forwards forwards;
  const auto who = [&] {
    const auto inside = forwards.incoming(packet, kStart);
    return inside ? static_cast<int>(inside->address.v4_number() & 0xff) : 0;
  };
  const auto flush = [&](const ForwardOrder& order) {
    ForwardOrder empty = order;
    empty.act = Act::flush;
    CHECK(forwards.execute(empty) == Problem::none);
  };
  CHECK(who() == 0);
  for (const ForwardOrder& order : {portfw, mfw, autofw}) forwards.execute(order);
  CHECK(who() == 3);
  // A second entry moves nothing.
  ForwardOrder second = portfw;
  std::get<PortForward>(second.entry).local.port = 81;
  forwards.execute(second);
  CHECK(who() == 3);
  // Empty and filled again: it is the first.
  flush(portfw);
  forwards.execute(portfw);
  CHECK(who() == 1);
  flush(portfw);
  CHECK(who() == 3);
  flush(autofw);
  CHECK(who() == 2);
  CHECK(forwards.execute({Act::remove, mark(1, kAnyEndpoint)}) == Problem::none);
  CHECK(who() == 0);
  CHECK(forwards.empty());
}

TEST_CASE("a refused change leaves the order of the modules") {
  Forwards forwards;
  CHECK(forwards.execute({Act::add, port(kWeb, kA, 0)}) == Problem::invalid);
  CHECK(forwards.execute({Act::edit, port(kWeb, kA)}) == Problem::invalid);
  CHECK(forwards.execute({Act::schedule, controlled()}) == Problem::invalid);
  CHECK(forwards.execute({Act::schedule, mark(1, kA)}) == Problem::invalid);
  CHECK(forwards.empty());
}

TEST_CASE("modules serve TCP and UDP over IPv4 only") {
  Forwards forwards;
  forwards.execute({Act::add, mark(1, at("192.168.0.2", 0))});
  CHECK(forwards.incoming({Protocol::tcp, {kPeer, 1}, kWeb, 1, false}, kStart));
  CHECK(forwards.incoming({Protocol::udp, {kPeer, 1}, kWeb, 1, false}, kStart));
  CHECK_FALSE(forwards.incoming({Protocol::tcp, {kPeer, 1}, kWeb, 1, true}, kStart));
  CHECK_FALSE(forwards.incoming({Protocol::icmp, {kPeer, 1}, kWeb, 1, false}, kStart));
  CHECK_FALSE(forwards.incoming(
      {Protocol::tcp, at("2001:db8::9", 1), at("2001:db8::1", 80), 1, false}, kStart));
}

TEST_CASE("a module that passes leaves the packet to the next") {
  Forwards forwards;
  forwards.execute({Act::add, port(kWeb, kA)});
  forwards.execute({Act::add, mark(1, kB)});
  CHECK(forwards.incoming({Protocol::tcp, {kPeer, 1}, kWeb, 0, false}, kStart) == kA);
  CHECK(forwards.incoming({Protocol::tcp, {kPeer, 1}, kWeb, 1, true}, kStart) == kA);
  CHECK(forwards.incoming({Protocol::tcp, {kPeer, 1}, kWeb, 1, false}, kStart) == kB);
}
