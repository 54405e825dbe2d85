// Stories of packets that go nowhere: each is dropped by name, its sender told where it may be
// told, and every frame accounted for.

#include <doctest/doctest.h>

#include <functional>

#include "daemon/base/random.hpp"
#include "daemon/firewall/firewall_json.hpp"
#include "tests/support/test_router.hpp"

namespace path_refusals {

using namespace masqgate;
using namespace masqgate::test;

namespace {

PacketBuilder query() {
  return udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("query");
}
PacketBuilder query6() {
  return udp().from("fd00:1::10", 4000).to("2001:db8:9::1", 53).payload("query");
}

void set_rules(TestRouter& router, const char* text) {
  const auto document = json::Json::parse(text);
  router.policy.ruleset = std::make_shared<firewall::Ruleset>(firewall::from_json(
      json::Value{document, "/firewall"}, std::vector<std::string>{"lan", "wan"}));
  router.apply();
}

// The default routes gone, one route of this kind in their place.
void set_route(TestRouter& router, route::Kind kind, PortIndex egress = kNoPort, unsigned mtu = 0) {
  std::vector<route::Route> routes = router.policy.routes->routes();
  std::erase_if(routes, [](const auto& r) { return r.destination.length() == 0; });
  if (kind != route::Kind::none)
    for (const char* all : {"0.0.0.0/0", "::/0"}) {
      route::Route route;
      route.destination = *net::Prefix::parse(all);
      route.kind = kind;
      route.mtu = mtu;
      route.next_hops = {{egress, std::nullopt}};
      routes.push_back(route);
    }
  router.policy.routes = std::make_shared<route::Table>(routes, route::default_rules());
  router.apply();
}

}  // namespace

TEST_CASE("R-05, R-10, R-19, R-27: what is not forwarded, and what its sender hears") {
  struct Case {
    std::string name;
    std::function<void(TestRouter&)> prepare;
    PacketBuilder packet;
    DropReason reason;
    int type, code;  // of the answer; -1: none
  };
  const auto nothing = [](TestRouter&) {};
  const auto with_route = [](route::Kind kind, PortIndex egress = kNoPort) {
    return [=](TestRouter& router) { set_route(router, kind, egress); };
  };
  const Octets loose{std::byte{131}, std::byte{7},   std::byte{4}, std::byte{198},
                     std::byte{51},  std::byte{100}, std::byte{1}};
  Octets strict = loose;
  strict[0] = std::byte{137};
  using enum DropReason;
  using route::Kind;
  const Case cases[] = {
      {"hop limit 1", nothing, query6().ttl(1), ttl_exceeded, 3, 0},
      {"hop limit 0", nothing, query6().ttl(0), ttl_exceeded, 3, 0},
      {"time to live 0", nothing, query().ttl(0), ttl_exceeded, 11, 0},
      {"no route", with_route(Kind::none), query(), no_route, 3, 0},
      {"no route, IPv6", with_route(Kind::none), query6(), no_route, 1, 0},
      {"blackhole", with_route(Kind::blackhole), query(), route_prohibits, -1, -1},
      {"unreachable", with_route(Kind::unreachable), query(), route_prohibits, 3, 1},
      {"unreachable, IPv6", with_route(Kind::unreachable), query6(), route_prohibits, 1, 3},
      {"prohibit", with_route(Kind::prohibit), query(), route_prohibits, 3, 13},
      {"prohibit, IPv6", with_route(Kind::prohibit), query6(), route_prohibits, 1, 1},
      {"through no port of ours", with_route(Kind::unicast), query(), egress_not_ours, -1, -1},
      {"port down",
       [](TestRouter& router) {
         router.policy.ports[kWan].up = false;
         router.apply();
       },
       query(), egress_down, 3, 0},
      {"forwarding off",
       [](TestRouter& router) {
         router.policy.forwarding = false;
         router.apply();
       },
       query(), forwarding_off, -1, -1},
      {"no outside address",
       [](TestRouter& router) {
         router.policy.ports[kWan].addresses.clear();
         router.apply();
       },
       query(), no_outside_address, -1, -1},
      {"loose source route", nothing, query().ip_options(loose), source_route, -1, -1},
      {"strict source route", nothing, query().ip_options(strict), source_route, -1, -1},
      {"from loopback", nothing, query().from("127.0.0.1", 1), martian, -1, -1},
      {"from network 0", nothing, query().from("0.0.0.5", 1), martian, -1, -1},
      {"from multicast", nothing, query().from("224.0.0.1", 1), martian, -1, -1},
      {"from class E", nothing, query().from("240.0.0.1", 1), martian, -1, -1},
      {"from broadcast", nothing, query().from("255.255.255.255", 1), martian, -1, -1},
      {"from link-local", nothing, query().from("169.254.1.1", 1), martian, -1, -1},
      {"from our own address", nothing, query().from("203.0.113.7", 1), martian, -1, -1},
      {"to loopback", nothing, query().to("127.0.0.1", 1), martian, -1, -1},
      {"to network 0", nothing, query().to("0.1.2.3", 1), martian, -1, -1},
      {"to class E", nothing, query().to("240.0.0.1", 1), martian, -1, -1},
      {"K-28 LAND", nothing, query().from("198.51.100.1", 53).to("198.51.100.1", 53), land, -1, -1},
      {"from link-local, IPv6", nothing, query6().from("fe80::1", 1), martian, -1, -1},
      {"to loopback, IPv6", nothing, query6().to("::1", 1), martian, -1, -1},
      {"from nowhere, IPv6", nothing, query6().from("::", 1), martian, -1, -1},
      {"R-03 bad header checksum", nothing, query().bad_ip_checksum(), bad_checksum, -1, -1},
      {"I-09 error about nothing", nothing,
       icmp_error(3, 1)
           .from("192.168.1.10")
           .to("198.51.100.1")
           .quoting(udp().from("198.51.100.1", 1).to("192.168.1.10", 2)),
       unsolicited_error, -1, -1},
      {"I-04 error with a wrong checksum", nothing,
       icmp_error(3, 1).from("192.168.1.10").to("198.51.100.1").quoting(query()).bad_checksum(),
       bad_checksum, -1, -1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    TestRouter router;
    c.prepare(router);
    router.arrive(kLan, c.packet);
    CHECK(router.drops(c.reason) == 1);
    CHECK(router.left(kWan).empty());
    const auto answers = router.left(kLan);
    CHECK(answers.size() == (c.type < 0 ? 0u : 1u));
    for (const auto& answer : answers)
      CHECK(mismatch(answer.bytes,
                     {icmp_type(static_cast<unsigned>(c.type), static_cast<unsigned>(c.code)),
                      good_checksums()}) == "");
    // What does not fit is known to be so when its connection has been confirmed.
    CHECK(router.shard.connections().size() == (c.reason == too_big ? 1u : 0u));
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("too big for the next link, IPv6: the sender hears the MTU") {
  TestRouter router;
  router.policy.ports[kWan].mtu = 1280;
  router.apply();
  router.arrive(kLan, query6().payload_size(1400));
  const Octets error = router.one(kLan);
  CHECK(mismatch(error, {source("fd00:1::1"), destination("fd00:1::10"), icmp_type(2, 0),
                         quotes({source("fd00:1::10", 4000)}), good_checksums()}) == "");
  CHECK(wire::load16(error, 46) == 1280);
  CHECK(router.imbalance() == "");
}

TEST_CASE("R-21, R-22, R-23, R-33: what is sent to many is for Linux, never forwarded") {
  struct Case {
    std::string name;
    PacketBuilder packet;
    bool delivered;
  };
  for (const Case& c :
       {Case{"limited broadcast", query().to("255.255.255.255", 67), true},
        Case{"multicast", query().to("239.1.2.3", 67), true},
        Case{"multicast, IPv6", query6().to("ff02::1:2", 547), true},
        Case{"broadcast of the network it came from", query().to("192.168.1.255", 9), true}}) {
    CAPTURE(c.name);
    TestRouter router;
    router.arrive(kLan, c.packet);
    CHECK(router.left(kLan, Side::host).size() == (c.delivered ? 1u : 0u));
    CHECK(router.left(kWan).empty());
    CHECK(router.imbalance() == "");
  }
  TestRouter router;
  router.arrive(kWan, udp().from("198.51.100.1", 9).to("192.168.1.255", 9));
  CHECK(router.drops(DropReason::group_destination) == 1);
  CHECK(router.left(kLan).empty());
  CHECK(router.imbalance() == "");
}

// Linux takes nothing from an address of its own.
TEST_CASE("what the router itself may not send is refused in the name of whom it spoke to") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    const char* own = v4 ? "203.0.113.7" : "2001:db8:2::7";
    const char* other = v4 ? "198.51.100.1" : "2001:db8:9::1";
    TestRouter router;
    set_rules(
        router,
        R"({"output": {"rules": [{"protocol": "udp", "action": {"reject": "prohibited"}}]}})");
    router.send_from_host(kWan, udp().from(own, 4000).to(other, 53).payload("query"));
    CHECK(router.left(kWan).empty());
    CHECK(mismatch(router.one(kWan, Side::host),
                   {source(other), destination(own), icmp_type(v4 ? 3 : 1, v4 ? 13 : 1),
                    quotes({source(own, 4000), destination(other, 53)}), good_checksums()}) == "");
    CHECK(router.drops(DropReason::rejected) == 1);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("M2: timestamp and address mask queries go out and come home") {
  for (const auto& [request, reply] : {std::pair{13, 14}, std::pair{17, 18}}) {
    TestRouter router;
    const auto message = [](int type) {
      return icmp_error(static_cast<std::uint8_t>(type), 0, 77u << 16 | 1).payload("0123456789ab");
    };
    router.arrive(kLan, message(request).from("192.168.1.10").to("198.51.100.1"));
    CHECK(mismatch(router.one(kWan),
                   {source("203.0.113.7"), icmp_identifier(77), good_checksums()}) == "");
    router.arrive(kWan, message(reply).from("198.51.100.1").to("203.0.113.7"));
    CHECK(mismatch(router.one(kLan),
                   {destination("192.168.1.10"), icmp_identifier(77), good_checksums()}) == "");
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("a full device is a named drop, the connection goes on") {
  TestRouter router;
  router.set_full(kWan, true);
  router.arrive(kLan, query());
  CHECK(router.drops(DropReason::egress_full) == 1);
  router.set_full(kWan, false);
  router.arrive(kLan, query());
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 4000)}) == "");
  CHECK(router.shard.connections().size() == 1);
  CHECK(router.imbalance() == "");
}

TEST_CASE("no frames left: devices wait, fragments are dropped by name, nothing is lost") {
  TestRouter router{{.region = {}, .max_connections = 64, .frames = 1, .divert = {.packets = 0}}};
  router.policy.ports[kWan].mtu = 600;
  router.apply();
  router.arrive(kLan, query().payload_size(1400));
  CHECK(router.drops(DropReason::no_frames) == 1);
  CHECK(router.imbalance() == "");
  router.know(kWan, "203.0.113.1", neighbour::State::unresolved);
  router.arrive(kLan, query().from("192.168.1.11", 1));
  router.arrive(kLan, query().from("192.168.1.11", 2));  // stays in the device
  CHECK(router.shard.counters().frames_in == 2);
  router.know(kWan, "203.0.113.1");
  CHECK(router.left(kWan).size() == 1);
  router.arrive(kLan, query().from("192.168.1.11", 3));
  CHECK(router.left(kWan).size() == 2);
  CHECK(router.imbalance() == "");
}

TEST_CASE(
    "RFC 2131 4.1: an offered address is nobody's yet: the offer is for Linux' own DHCP client") {
  TestRouter router;
  const auto offer = [](const char* to, net::Port port) {
    return udp().from("203.0.113.1", 67).to(to, port).payload("offer");
  };
  router.arrive(kWan, offer("203.0.113.50", 68));
  CHECK(router.left(kWan, Side::host).size() == 1);
  router.arrive(kWan, offer("203.0.113.50", 69));
  CHECK(router.left(kWan, Side::host).empty());
  // A renewal that another router's client asked for goes on to that client.
  router.arrive(kWan, offer("192.168.1.10", 68));
  CHECK(router.left(kWan, Side::host).empty());
  CHECK(router.imbalance() == "");
}

TEST_CASE(
    "K-24: 10,000 silent neighbours: what waits is bounded, all is accounted for, all gives up") {
  TestRouter router{{.region = {}, .max_connections = 16384}};
  for (std::uint32_t i = 0; i < 10000; ++i) {
    const net::IpAddress to = net::IpAddress::v4(0xcb007100u + (i % 200) + 8);  // 203.0.113.8 …
    router.arrive(kLan, query().from("192.168.1.10", static_cast<net::Port>(i + 1)).to({to, 53}));
  }
  CHECK(router.shard.neighbours().waiting() == neighbour::Table::kMostWaiting);
  CHECK(router.imbalance() == "");
  CHECK(router.asker.asked.size() <= 200);
  for (int second = 0; second < 7; ++second) router.pass(std::chrono::seconds{1});
  CHECK(router.shard.neighbours().waiting() == 0);
  CHECK(router.drops(DropReason::neighbour_unresolved) +
            router.drops(DropReason::neighbour_failed) >=
        9900);
  CHECK(router.shard.frames().in_use() == 0);
  CHECK(router.imbalance() == "");
}

TEST_CASE("a parked packet whose connection has gone ends once, and hurts no other") {
  for (const auto state : {neighbour::State::failed, neighbour::State::usable}) {
    TestRouter router;
    router.know(kWan, "203.0.113.1", neighbour::State::unresolved);
    router.arrive(kLan, query());
    conntrack::Table& table = router.shard.connections();
    REQUIRE(table.size() == 1);
    table.remove(*router.connection(query().tuple()));
    router.know(kWan, "203.0.113.1", state);
    router.know(kWan, "203.0.113.1");
    router.left(kWan), router.left(kLan);
    router.arrive(kLan, query().from("192.168.1.10", 1));
    router.arrive(kLan, query().from("192.168.1.10", 2));
    CHECK(router.connection(query().from("192.168.1.10", 1).tuple()) !=
          router.connection(query().from("192.168.1.10", 2).tuple()));
    CHECK(table.size() == 2);
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("the link becomes smaller while packets wait: judged anew, never cut where forbidden") {
  TestRouter router;
  router.know(kWan, "203.0.113.1", neighbour::State::unresolved);
  router.know(kWan, "2001:db8:2::1", neighbour::State::unresolved);
  router.arrive(kLan, query6().payload_size(1400));
  router.arrive(kLan, query().payload_size(1400).dont_fragment());
  router.arrive(kLan, query().payload_size(1400));
  router.policy.ports[kWan].mtu = 1300;
  router.apply();
  router.know(kWan, "203.0.113.1");
  router.know(kWan, "2001:db8:2::1");
  CHECK(router.drops(DropReason::too_big) == 2);
  CHECK(router.left(kWan).size() == 2);  // the fragments of the one that may be cut
  CHECK(router.left(kLan).size() == 2);  // both senders hear of it
  CHECK(router.imbalance() == "");
}

TEST_CASE("a route whose MTU no link may have does not stop the router") {
  TestRouter router;
  set_route(router, route::Kind::unicast, kWan, 20);
  router.know(kWan, "198.51.100.1");
  router.arrive(kLan, query().payload_size(400));
  CHECK(router.left(kWan).size() == 9);  // 408 bytes in pieces of 48
  CHECK(router.imbalance() == "");
}

TEST_CASE("reload between two packets: known connections go on, new ones meet the new rules") {
  const char* closed = R"({"forward": {"policy": "drop", "rules": [
      {"id": "est", "state": ["established", "related"], "action": "accept"}]}})";
  TestRouter router;
  router.arrive(kLan, query());
  const Octets out = router.one(kWan);
  set_rules(router, closed);
  router.arrive(kWan, answer_to(out, udp().payload("answer")));
  CHECK(router.left(kLan).size() == 1);
  router.arrive(kLan, query());
  CHECK(router.left(kWan).size() == 1);
  router.arrive(kLan, query().from("192.168.1.10", 4001));
  CHECK(router.left(kWan).empty());
  CHECK(router.drops(DropReason::rule) == 1);
}

TEST_CASE("reload while a packet waits: what the old rules let pass opens no short cut") {
  TestRouter router;
  for (int i = 0; i < 3; ++i) {
    router.arrive(kLan, query());
    router.arrive(kWan, answer_to(router.one(kWan), udp().payload("answer")));
    router.one(kLan);
  }
  router.know(kWan, "203.0.113.1", neighbour::State::unresolved);
  router.arrive(kLan, query());
  CHECK(router.shard.neighbours().waiting() == 1);
  set_rules(router, R"({"forward": {"policy": "drop", "rules": []}})");
  router.know(kWan, "203.0.113.1");
  CHECK(router.left(kWan).size() == 1);  // had its verdict
  router.arrive(kLan, query());
  CHECK(router.left(kWan).empty());
  CHECK(router.drops(DropReason::rule) == 1);
}

TEST_CASE(
    "rule counters are the same with the short cut and without, fragments and padding included") {
  std::vector<std::vector<std::pair<std::uint64_t, std::uint64_t>>> all;
  for (const bool take_shortcuts : {true, false}) {
    TestRouter router{{.region = {}, .max_connections = 64, .take_shortcuts = take_shortcuts}};
    router.policy.ports[kWan].mtu = 1000;
    set_rules(
        router,
        R"({"prerouting": {"rules": [{"id": "a", "protocol": "udp", "action": {"jump": "b"}}]},
        "forward": {"policy": "drop", "rules": [{"id": "c", "action": "accept"}]},
        "b": {"rules": [{"id": "d", "in": "lan", "action": "return"}]}})");
    for (int i = 0; i < 8; ++i) {
      Octets padded = query().payload("x").frame_bytes(kLanMac, kHostMac);
      padded.resize(60);
      router.arrive_frame(kLan, Side::network, padded);
      const Octets out = router.one(kWan);
      router.arrive(kWan, answer_to(out, udp().payload("answer")));
      router.arrive(kLan, query().payload_size(1200));
      CHECK(router.left(kWan).size() == 2);
    }
    CHECK((router.shard.counters().shortcuts > 0) == take_shortcuts);
    CHECK(router.imbalance() == "");
    auto& counters = all.emplace_back();
    for (const path::RuleCounter& counter : router.shard.rule_counters())
      counters.emplace_back(counter.packets, counter.bytes);
    const std::uint64_t lan_bytes = 8 * (29 + 1228), wan_bytes = 8 * 34;
    const auto expected = [&](const char* id) {
      for (firewall::CounterIndex i = 0; i < router.policy.ruleset->counters(); ++i)
        if (router.policy.ruleset->counter(i).rule == id) return counters[i];
      return std::pair<std::uint64_t, std::uint64_t>{};
    };
    CHECK(expected("a") == std::pair<std::uint64_t, std::uint64_t>{24, lan_bytes + wan_bytes});
    CHECK(expected("c") == std::pair<std::uint64_t, std::uint64_t>{24, lan_bytes + wan_bytes});
    CHECK(expected("d") == std::pair<std::uint64_t, std::uint64_t>{16, lan_bytes});
  }
  CHECK(all[0] == all[1]);
}

TEST_CASE(
    "frames cut off anywhere, of every protocol, from every side: nothing is lost, nothing "
    "crashes") {
  TestRouter router;
  const PacketBuilder kinds[] = {
      query(),
      query6(),
      query().ip_options(Octets(8, std::byte{1})),
      tcp().from("192.168.1.10", 1).to("198.51.100.1", 2).flags("S").tcp_options(Octets(8)),
      tcp().from("fd00:1::10", 1).to("2001:db8:9::1", 2).flags("S"),
      icmp_echo(7).from("192.168.1.10").to("198.51.100.1"),
      icmp_echo(7).from("fd00:1::10").to("2001:db8:9::1"),
      icmp_error(3, 3).from("192.168.1.10").to("198.51.100.1").quoting(query()),
      icmp_error(1, 4).from("fd00:1::10").to("2001:db8:9::1").quoting(query6()),
      ip(net::Protocol::gre).from("192.168.1.10").to("198.51.100.1").payload_size(20),
      query().payload_size(64).fragment(0, true),
      query().payload_size(64).fragment(64, false),
      query().vlan(5),
      query().partial_checksum(),
      tcp().from("192.168.1.10", 1).to("198.51.100.1", 2).flags(".").payload_size(3000).gso(1000),
  };
  for (const PacketBuilder& kind : kinds) {
    const Octets whole = kind.frame_bytes(kLanMac, kHostMac);
    for (std::size_t size = 0; size <= whole.size(); size += size < 150 ? 1 : 97)
      for (const Side side : {Side::network, Side::host}) {
        router.arrive_frame(kLan, side,
                            Octets(whole.begin(), whole.begin() + static_cast<long>(size)),
                            kind.offload());
        REQUIRE(router.imbalance() == "");
      }
  }
  CHECK(router.drops(DropReason::malformed_frame) > 0);
  CHECK(router.drops(DropReason::malformed_ip) > 0);
  CHECK(router.shard.frames().in_use() == router.shard.neighbours().waiting());
}

TEST_CASE("offload orders of any content: the frame passes or is dropped by name") {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    CAPTURE(seed);
    static TestRouter router;
    Random random{{seed, 9}};
    const auto word = [&] {
      return static_cast<std::uint16_t>(random.below(random.below(2) == 0 ? 100 : 65536));
    };
    const wire::VnetHeader offload{static_cast<std::uint8_t>(random.below(4)),
                                   static_cast<std::uint8_t>(random.below(7)),
                                   word(),
                                   word(),
                                   word(),
                                   word()};
    PacketBuilder packet = random.below(2) == 0 ? query() : query6();
    packet.payload_size(random.below(3000));
    router.arrive_frame(kLan, random.below(2) == 0 ? Side::network : Side::host,
                        packet.frame_bytes(kLanMac, kHostMac), offload);
    REQUIRE(router.imbalance() == "");
  }
}

}  // namespace path_refusals
