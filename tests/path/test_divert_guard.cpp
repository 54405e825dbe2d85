// What no program can take away: the way to the router itself, the word that a rule is gone, and an
// account of what was held when masqgate ends.

#include <doctest/doctest.h>

#include "tests/path/divert_router.hpp"

namespace path_divert_guard {

using namespace masqgate;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

using Lab = DivertRouter;

constexpr auto kEverywhere = R"({"prerouting": {"rules": [{"action": {"divert": 2222}}]},
  "input": {"rules": [{"action": {"divert": 2222}}]},
  "output": {"rules": [{"action": {"divert": 2222}}]},
  "postrouting": {"rules": [{"action": {"divert": 2222}}]}})";

PacketBuilder ssh() {
  return tcp().from("192.168.1.10", 4000).to("192.168.1.1", 22).flags("S");
}

void allow_ssh(Lab& lab) {
  lab.router.policy.management = {{22, 22}};
  lab.router.apply();
}

}  // namespace

TEST_CASE("complaint 6: nobody listens, and who manages the router is not shut out") {
  Lab lab{kEverywhere};
  lab.router.arrive(kLan, ssh());
  CHECK(lab.router.left(kLan, Side::host).empty());  // as all others, unless its port is named
  allow_ssh(lab);
  lab.router.arrive(kLan, ssh());
  lab.router.one(kLan, Side::host);
  lab.router.send_from_host(
      kLan, tcp().from("192.168.1.1", 22).to("192.168.1.10", 4000).flags("SA").ack(1));
  lab.router.one(kLan);
  // Others are dropped as before: other ports of the router, other hosts, other protocols.
  lab.router.arrive(kLan, ssh().to("192.168.1.1", 23));
  lab.router.arrive(kLan, ssh().to("198.51.100.1", 22));
  lab.router.arrive(kLan, udp().from("192.168.1.10", 4000).to("192.168.1.1", 22));
  CHECK(lab.router.left(kLan, Side::host).empty());
  CHECK(lab.router.left(kWan).empty());
  CHECK(lab.router.drops(DropReason::divert_nobody) == 4);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("complaint 6: what a forward sends inside is not the router's management") {
  Lab lab{kEverywhere};
  nat::DestinationRule rule;
  rule.selector.destination_ports = {22, 22};
  rule.ingress = kWan;
  rule.to = {address("192.168.1.10"), address("192.168.1.10")};
  lab.router.policy.nat.destination = {rule};
  allow_ssh(lab);
  lab.router.arrive(kWan, ssh().from("198.51.100.1", 4000).to("203.0.113.7", 22));
  CHECK(lab.router.left(kLan).empty());
  CHECK(lab.router.left(kWan, Side::host).empty());
  CHECK(lab.router.drops(DropReason::divert_nobody) == 1);
}

TEST_CASE(
    "complaint 6: a program that listens judges management, too; one that sleeps does not end it") {
  Lab lab{kEverywhere};
  allow_ssh(lab);
  lab.connect();
  lab.router.arrive(kLan, ssh());
  lab.say(lab.listen().packets.at(0).id, Action::drop);
  CHECK(lab.router.drops(DropReason::divert_verdict) == 1);
  lab.router.arrive(kLan, ssh());
  lab.listen();
  for (int i = 0; i < 10; ++i) {
    lab.router.pass(seconds{1});
    lab.listen();
  }
  lab.router.one(kLan, Side::host);
  CHECK(lab.router.drops(DropReason::divert_late) == 0);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("R4: a program is told that the rule of its packet is gone, and the packet goes on") {
  Lab lab{R"({"forward": {"rules": [{"id": "look", "action": {"divert": 2222}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.router.arrive(kLan, question());
  const Heard first = lab.listen();
  lab.say(first.packets.at(0).id, Action::accept);
  CHECK(lab.listen().notices.empty());
  lab.load("{}");
  lab.say(first.packets.at(1).id, Action::accept);
  CHECK(lab.router.left(kWan).size() == 2);
  lab.load(R"({"forward": {"rules": [{"id": "other", "action": {"divert": 2222}}]}})");
  lab.router.arrive(kLan, question());
  const Heard second = lab.listen();
  CHECK(second.notices.empty());  // without any rules none is missed
  lab.load(R"({"forward": {"rules": [{"id": "third", "action": "accept"}]}})");
  lab.say(second.packets.at(0).id, Action::accept);
  const Heard third = lab.listen();
  REQUIRE(third.notices.size() == 1);
  CHECK(third.notices[0].code == static_cast<std::uint32_t>(format::Code::rule_gone));
  CHECK(third.notices[0].id == second.packets[0].id);
}

TEST_CASE("masqgate ends: what is held is dropped or goes on, in order, to the last one") {
  for (const bool pass : {false, true}) {
    CAPTURE(pass);
    Lab lab{R"({"forward": {"rules": [{"id": "one", "action": {"divert": 2222}},
      {"id": "two", "action": {"divert": {"port": 2222, "view": "after"}}}]}})"};
    lab.connect(Access::kEverything, format::kBindOrdered);
    for (const char* text : {"a", "b", "c", "d"}) lab.router.arrive(kLan, question(text));
    const Heard heard = lab.listen();
    lab.say(heard.packets.at(2).id, Action::accept);  // answered, and waits for its turn
    CHECK(lab.router.shard.diverting().end(pass, lab.router.now()) == 4);
    const auto out = lab.router.left(kWan);
    REQUIRE(out.size() == (pass ? 4 : 0));
    for (std::size_t i = 0; i < out.size(); ++i)
      CHECK(mismatch(out[i].bytes, {payload(std::string_view{"abcd"}.substr(i, 1))}) == "");
    CHECK(lab.desk().held() == 0);
    CHECK(lab.router.drops(DropReason::shutting_down) == (pass ? 0 : 4));
    CHECK(lab.router.imbalance() == "");
  }
}

}  // namespace path_divert_guard
