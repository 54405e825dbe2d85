// Stories of what a profile says of time and of ports: who keeps a mapping alive, for how long, and
// which port is found when few are left (RFC 4787 REQ-5 and 6, RFC 7857 5 and 9).

#include <doctest/doctest.h>

#include <set>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/path/behaviour_router.hpp"

namespace path_profiles {

using namespace masqgate;
using namespace masqgate::test;
using nat::Refresh;
using std::chrono::seconds;

namespace {

nat::Behaviour with(Refresh refresh) {
  nat::Behaviour behaviour = nat::kRfc;
  behaviour.refresh = refresh;
  return behaviour;
}

void use_rules(BehaviourRouter& router, const char* text) {
  const auto document = json::Json::parse(text);
  router.policy.ruleset = std::make_shared<firewall::Ruleset>(firewall::from_json(
      json::Value{document, "/firewall"}, std::vector<std::string>{"lan", "wan"}));
  router.apply();
}

// Seconds until the connection of this packet is forgotten.
long long left(BehaviourRouter& router, const PacketBuilder& packet) {
  const conntrack::Connection* c = router.connection(packet.tuple());
  REQUIRE(c != nullptr);
  return std::chrono::duration_cast<seconds>(c->expires() - router.now()).count();
}

}  // namespace

TEST_CASE("U-06: a mapping is there for five idle minutes, and is gone then") {
  for (const int idle : {119, 299, 302}) {
    CAPTURE(idle);
    BehaviourRouter router;
    const auto outside = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53));
    router.pass(seconds{idle});
    CHECK(router.reaches(from_outside("198.51.100.1", 53, outside), "192.168.1.10", 4000) ==
          (idle < 300));
  }
}

TEST_CASE("T-07, T-08, I-03: the default times of TCP and of ICMP queries") {
  BehaviourRouter router;
  const auto client = [](const char* flags) {
    return tcp().flags(flags).from("192.168.1.10", 4000).to("198.51.100.1", 80);
  };
  router.arrive(kLan, client("S").seq(0));
  CHECK(left(router, client("S")) >= 240);
  router.arrive(kWan, answer_to(router.one(kWan), tcp().flags("S.").seq(0).ack(1)));
  CHECK(left(router, client("S")) >= 240);
  router.arrive(kLan, client(".").seq(1).ack(1));
  CHECK(left(router, client("S")) >= 7440);
  router.arrive(kLan, client("F.").seq(1).ack(1));
  CHECK(left(router, client("S")) >= 240);
  const auto echo = icmp_echo(7).from("192.168.1.10").to("198.51.100.1");
  router.arrive(kLan, echo);
  CHECK(left(router, echo) >= 60);
}

TEST_CASE("U-07: what comes in keeps a mapping alive where the profile says so, else it does not") {
  for (const bool shortcuts : {true, false})
    for (const Refresh refresh : {Refresh::outbound, Refresh::both}) {
      CAPTURE(shortcuts);
      CAPTURE(static_cast<int>(refresh));
      BehaviourRouter router{with(refresh), shortcuts};
      const auto question = ask("192.168.1.10", 4000, "198.51.100.1", 53);
      const auto outside = router.sent(question);
      const auto answer = from_outside("198.51.100.1", 53, outside);
      for (int i = 0; i < 3; ++i) {
        CHECK(router.reaches(answer, "192.168.1.10", 4000));
        router.sent(question);
      }
      CHECK((router.shard.counters().shortcuts > 0) == shortcuts);
      for (int i = 0; i < 4; ++i) {
        router.pass(seconds{90});
        router.arrive(kWan, answer);
      }
      CHECK((router.connection(question.tuple()) != nullptr) == (refresh == Refresh::both));
    }
}

TEST_CASE("U-07: what goes out keeps it alive, whoever began") {
  BehaviourRouter router{with(Refresh::outbound)};
  const auto outside = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53));
  const auto stranger = from_outside("198.51.100.1", 99, outside);
  const auto answer = ask("192.168.1.10", 4000, "198.51.100.1", 99);
  CHECK(router.reaches(stranger, "192.168.1.10", 4000));
  for (int i = 0; i < 10; ++i) {
    router.pass(seconds{250});
    CHECK(router.sent(answer) == outside);
  }
  CHECK(router.connection(answer.tuple())->has(conntrack::Connection::kInbound));
}

TEST_CASE("U-07: strangers who come in by a mapping do not keep it alive") {
  for (const Refresh refresh : {Refresh::outbound, Refresh::both}) {
    nat::Behaviour open = nat::kOpen;
    open.refresh = refresh;
    BehaviourRouter router{open};
    const auto outside = router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53));
    bool alive = true;
    for (net::Port i = 1; i <= 6; ++i) {
      router.pass(seconds{100});
      alive = router.reaches(from_outside("192.0.2.9", i, outside), "192.168.1.10", 4000);
    }
    CHECK(alive == (refresh == Refresh::both));
  }
}

TEST_CASE("X-08: what a rule refuses does not keep a mapping alive") {
  BehaviourRouter router{with(Refresh::both)};
  use_rules(router, R"({"forward": {"rules": [
      {"id": "no", "in": "wan", "protocol": "udp", "source_port": "53", "action": "drop"}]}})");
  const auto question = ask("192.168.1.10", 4000, "198.51.100.1", 53);
  const auto outside = router.sent(question);
  for (int i = 0; i < 4; ++i) {
    router.pass(seconds{90});
    CHECK_FALSE(router.reaches(from_outside("198.51.100.1", 53, outside), "192.168.1.10", 4000));
  }
  CHECK(router.connection(question.tuple()) == nullptr);
}

TEST_CASE("X-09, I-14: an error or a reset that answers what came in keeps nothing alive") {
  BehaviourRouter router{with(Refresh::both)};
  const auto question = ask("192.168.1.10", 4000, "198.51.100.1", 53);
  const auto outside = router.sent(question);
  router.pass(seconds{100});
  router.arrive(kWan, from_outside("198.51.100.1", 53, outside));
  const Octets inside = router.one(kLan);
  router.pass(seconds{100});
  const auto before = left(router, question);
  router.arrive(kLan, icmp_error(3, 3).from("192.168.1.10").to("198.51.100.1").quoting(inside));
  CHECK(router.left(kWan).size() == 1);
  CHECK(left(router, question) == before);

  const auto client = [](const char* flags) {
    return tcp().flags(flags).from("192.168.1.10", 4000).to("198.51.100.1", 80);
  };
  router.arrive(kLan, client("S").seq(0));
  router.arrive(kWan, answer_to(router.one(kWan), tcp().flags("S.").seq(0).ack(1)));
  router.arrive(kLan, client(".").seq(1).ack(1));
  for (int i = 0; i < 2; ++i) {
    router.arrive(kLan, client("R").seq(1));
    CHECK(left(router, client("S")) <= 240 - 5 * i);
    router.pass(seconds{5});
  }
}

TEST_CASE("X-02: a rule's own times hold for its connections alone, and follow the document") {
  BehaviourRouter router;
  conntrack::Timeouts own = router.policy.timeouts;
  own.udp = own.udp_stream = seconds{20};
  router.policy.rule_timeouts.sets = {own};
  router.policy.rule_timeouts.places[77] = 1;
  nat::SourceRule other = router.policy.nat.source[0];
  other.selector.destination = prefix("198.51.100.1");
  other.timeout_set = 77;
  router.policy.nat.source.insert(router.policy.nat.source.begin(), other);
  router.apply();
  const auto brief = ask("192.168.1.10", 4000, "198.51.100.1", 53);
  const auto usual = ask("192.168.1.10", 4000, "198.51.100.2", 53);
  const auto outside = router.sent(brief);
  router.sent(usual);
  CHECK(left(router, brief) == 20);
  CHECK(left(router, usual) == 300);
  // Who comes in by the mapping is treated as it is.
  CHECK(router.reaches(from_outside("198.51.100.1", 99, outside), "192.168.1.10", 4000));
  CHECK(left(router, from_outside("198.51.100.1", 99, outside)) == 20);
  for (int i = 0; i < 3; ++i) {
    router.sent(brief);
    router.arrive(kWan, from_outside("198.51.100.1", 53, outside));
  }
  CHECK(router.shard.counters().shortcuts > 0);
  CHECK(left(router, brief) == 20);
  router.policy.rule_timeouts = {};
  router.apply();
  router.sent(brief);
  CHECK(left(router, brief) == 300);
}

TEST_CASE("U-10: hairpin internal shows the receiver who really asks") {
  nat::Behaviour behaviour = nat::kRfc;
  behaviour.hairpin = nat::Hairpin::internal;
  for (const bool tcp_too : {false, true}) {
    BehaviourRouter router{behaviour};
    const auto base = [&] { return tcp_too ? tcp().flags("S") : udp().payload("x"); };
    const auto b = router.sent(base().from("192.168.1.11", 5000).to("198.51.100.1", 80));
    router.arrive(kLan, base().from("192.168.1.10", 4000).to(b.address.text(), b.port));
    const Octets to_b = router.one(kLan);
    CHECK(mismatch(to_b, {source("192.168.1.10", 4000), destination("192.168.1.11", 5000),
                          good_checksums()}) == "");
    router.arrive(kLan, answer_to(to_b, tcp_too ? tcp().flags("S.") : udp().payload("y")));
    CHECK(mismatch(router.one(kLan), {source("203.0.113.7", b.port),
                                      destination("192.168.1.10", 4000), good_checksums()}) == "");
    CHECK(router.imbalance() == "");
  }
}

TEST_CASE("P-02: a redirect on the way out holds no port outside") {
  BehaviourRouter router;
  nat::DestinationRule proxy;
  proxy.kind = nat::DestinationRule::Kind::redirect;
  proxy.ingress = kLan;
  proxy.selector.protocol = net::Protocol::udp;
  proxy.selector.destination_ports = {4000, 4000};
  router.policy.nat.destination = {proxy};
  router.apply();
  CHECK(router.sent(ask("192.168.1.10", 4000, "198.51.100.1", 53)).port == 4000);
  proxy.ingress = kWan;
  router.policy.nat.destination = {proxy};
  router.apply();
  CHECK(router.sent(ask("192.168.1.11", 4000, "198.51.100.1", 53)).port != 4000);
}

TEST_CASE("P-05: the last free port is found, of either parity, and a port that is free again") {
  for (const auto choice : {nat::PortChoice::random, nat::PortChoice::contiguous})
    for (const bool parity : {false, true}) {
      if (parity && choice == nat::PortChoice::contiguous) continue;
      CAPTURE(parity);
      nat::Behaviour behaviour = nat::kRfc;
      behaviour.ports = choice;
      behaviour.parity = parity;
      BehaviourRouter router{behaviour};
      router.policy.nat.source[0].ports = {5000, 6999};
      router.apply();
      std::set<net::Port> got;
      for (net::Port i = 0; i < 2000; ++i) {
        const auto port =
            router.sent(ask("192.168.1.10", static_cast<net::Port>(2000 + i), "192.0.2.1", 53))
                .port;
        if (parity) CHECK(port % 2 == i % 2);
        got.insert(port);
      }
      CHECK(got.size() == 2000);
      CHECK(*got.begin() == 5000);
      CHECK(*got.rbegin() == 6999);
      const auto late = ask("192.168.1.10", 9000, "192.0.2.1", 53);
      CHECK(router.sent(late).port == 0);
      CHECK(router.drops(DropReason::no_free_ports) == 1);
      router.shard.connections().remove(
          *router.connection(ask("192.168.1.10", 3234, "192.0.2.1", 53).tuple()));
      CHECK(got.contains(router.sent(late).port));
      CHECK(router.imbalance() == "");
    }
}

TEST_CASE("P-05: a port whose ring goes on is not free, and one that two rings share neither") {
  BehaviourRouter router;
  router.policy.nat.source[0].ports = {5000, 5000};
  router.policy.nat.source[0].behaviour.parity = false;
  router.apply();
  const auto first = ask("192.168.1.10", 4000, "192.0.2.1", 53);
  CHECK(router.sent(first).port == 5000);
  CHECK(router.sent(ask("192.168.1.10", 4000, "192.0.2.2", 53)).port == 5000);
  router.shard.connections().remove(*router.connection(first.tuple()));
  CHECK(router.sent(ask("192.168.1.11", 4000, "192.0.2.1", 53)).port == 0);
  router.pass(seconds{400});
  CHECK(router.sent(ask("192.168.1.11", 4000, "192.0.2.1", 53)).port == 5000);
}

}  // namespace path_profiles
