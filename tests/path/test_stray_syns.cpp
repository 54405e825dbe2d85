// Stories of SYNs from outside that nobody waits for (RFC 5382 REQ-4, RFC 6092 REC-34).

#include <doctest/doctest.h>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/path/behaviour_router.hpp"

namespace path_stray_syns {

using namespace masqgate;
using namespace masqgate::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr const char* kClosed = R"({"input": {"policy": "drop", "rules": [
    {"id": "no", "protocol": "tcp", "destination_port": "23", "action": "drop"},
    {"id": "sorry", "protocol": "tcp", "destination_port": "24", "action": "reject"},
    {"id": "mine", "protocol": "tcp", "destination_port": "22", "action": "accept"}]}})";

struct ClosedRouter : BehaviourRouter {
  explicit ClosedRouter(const nat::Behaviour& behaviour = nat::kRfc) : BehaviourRouter{behaviour} {
    const auto document = json::Json::parse(kClosed);
    policy.ruleset = std::make_shared<firewall::Ruleset>(firewall::from_json(
        json::Value{document, "/firewall"}, std::vector<std::string>{"lan", "wan"}));
    apply();
  }
  // What has left outside after so long, tick by tick.
  std::vector<Octets> after(Duration duration) {
    std::vector<Octets> all;
    for (Duration passed{}; passed < duration; passed += milliseconds{100}) {
      pass(milliseconds{100});
      for (auto& frame : left(kWan)) all.push_back(std::move(frame.bytes));
    }
    return all;
  }
};

PacketBuilder stray(net::Port port = 4000) {
  return tcp().flags("S").seq(1).from("198.51.100.1", 80).to("203.0.113.7", port);
}

}  // namespace

TEST_CASE("T-05: a stray SYN gets no answer for six seconds, then port unreachable, once") {
  ClosedRouter router;
  router.arrive(kWan, stray());
  CHECK(router.after(milliseconds{5900}).empty());
  router.arrive(kWan, stray());  // its sender tries again: still one answer to the first
  const auto told = router.after(seconds{1});
  REQUIRE(told.size() == 1);
  CHECK(mismatch(told[0], {source("203.0.113.7"), destination("198.51.100.1"), icmp_type(3, 3),
                           quotes({source("198.51.100.1", 80), destination("203.0.113.7", 4000)}),
                           good_checksums()}) == "");
  CHECK(router.after(seconds{20}).empty());
  CHECK(router.imbalance() == "");
}

TEST_CASE("S6-34: over IPv6 it is told that this is prohibited") {
  ClosedRouter router;
  nat::SourceRule six = router.policy.nat.source[0];
  six.selector.source = prefix("fd00:1::/64");
  router.policy.nat.source.push_back(six);
  router.apply();
  router.arrive(kWan, tcp().flags("S").from("2001:db8:5::1", 80).to("2001:db8:2::7", 4000));
  CHECK(router.after(milliseconds{5900}).empty());
  const auto told = router.after(seconds{1});
  REQUIRE(told.size() == 1);
  CHECK(mismatch(told[0], {destination("2001:db8:5::1"), icmp_type(1, 1), good_checksums()}) == "");
}

TEST_CASE("T-03, T-05: when the inside begins the same connection the stray SYN is forgotten") {
  ClosedRouter router;
  router.arrive(kWan, stray());
  CHECK(router.after(seconds{3}).empty());
  router.arrive(kLan, tcp().flags("S").seq(9).from("192.168.1.10", 4000).to("198.51.100.1", 80));
  CHECK(mismatch(router.one(kWan), {source("203.0.113.7", 4000), tcp_flags("S")}) == "");
  // Simultaneous open: the outside's next SYN goes in, both acknowledge.
  router.arrive(kWan, stray());
  CHECK(mismatch(router.one(kLan), {destination("192.168.1.10", 4000), tcp_flags("S")}) == "");
  router.arrive(kLan,
                tcp().flags("S.").seq(9).ack(2).from("192.168.1.10", 4000).to("198.51.100.1", 80));
  CHECK(router.left(kWan).size() == 1);
  router.arrive(kWan, stray().flags("S.").seq(1).ack(10));
  CHECK(router.left(kLan).size() == 1);
  CHECK(router.after(seconds{10}).empty());
  const auto* c = router.connection(stray().tuple());
  REQUIRE(c != nullptr);
  CHECK(c->tcp_state == conntrack::TcpState::established);
}

TEST_CASE("T-06: what a rule decides holds, and a profile may be silent") {
  ClosedRouter router;
  router.arrive(kWan, stray(23));
  router.arrive(kWan, stray(22));
  CHECK(router.left(kWan, Side::host).size() == 1);  // Linux answers for what is open
  CHECK(router.after(seconds{8}).empty());
  router.arrive(kWan, stray(24));
  CHECK(router.left(kWan).size() == 1);  // at once
  CHECK(router.after(seconds{8}).empty());
  ClosedRouter silent{nat::kLinux};
  silent.arrive(kWan, stray());
  CHECK(silent.after(seconds{8}).empty());
}

TEST_CASE("T-05: at an address of a pool that Linux does not have, all that is stray ends") {
  ClosedRouter router;
  router.policy.nat.source[0].kind = nat::SourceRule::Kind::pool;
  router.policy.nat.source[0].pool = {range("198.51.100.20", "198.51.100.20")};
  router.apply();
  router.arrive(kWan, stray().to("198.51.100.20", 4000));
  router.arrive(kWan, udp().from("198.51.100.1", 9).to("198.51.100.20", 9).payload("x"));
  CHECK(router.drops(DropReason::unsolicited) == 2);
  const auto told = router.after(seconds{7});
  REQUIRE(told.size() == 1);
  CHECK(mismatch(told[0], {destination("198.51.100.1"), icmp_type(3, 3)}) == "");
  CHECK(router.imbalance() == "");
}

TEST_CASE("T-05: a flood of stray SYNs costs a bounded number of answers") {
  ClosedRouter router;
  for (unsigned i = 0; i < 2000; ++i)
    router.arrive(
        kWan,
        stray(static_cast<net::Port>(5000 + i)).from("192.0.2." + std::to_string(i % 250 + 1), 80));
  const auto told = router.after(seconds{30});
  CHECK(told.size() >= 1);
  CHECK(told.size() <= path::StraySyns::kMost);
  CHECK(router.imbalance() == "");
}

}  // namespace path_stray_syns
