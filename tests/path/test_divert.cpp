// Packets that leave the corridor for a program and come back: where they go on, with what, and what
// happens when the program does something to them.

#include <doctest/doctest.h>

#include "tests/path/divert_router.hpp"

namespace path_divert {

using namespace masqgate;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

using Lab = DivertRouter;

constexpr auto kForward = R"({"forward": {"policy": "drop", "rules": [
  {"id": "look", "protocol": "udp", "action": {"divert": 2222}},
  {"id": "ok", "action": "accept"}]}})";

}  // namespace

TEST_CASE("D1: nobody listens: drop, as DENY; or the packet goes on behind the rule") {
  Lab lab{kForward};
  lab.router.arrive(kLan, question());
  CHECK(lab.router.left(kWan).empty());
  CHECK(lab.router.drops(DropReason::divert_nobody) == 1);
  lab.load(R"({"forward": {"policy": "drop", "rules": [
    {"action": {"divert": {"port": 2222, "nobody": "pass"}}}, {"action": "accept"}]}})");
  lab.router.arrive(kLan, question());
  lab.router.one(kWan);
  lab.load(
      R"({"forward": {"rules": [{"action": {"divert": {"port": 2222, "nobody": "reject"}}}]}})");
  lab.router.arrive(kLan, question());
  lab.router.one(kLan);  // destination unreachable
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: accept goes on at the rule behind, with mark and connection; masquerading follows") {
  Lab lab{R"({"forward": {"policy": "drop", "rules": [
    {"id": "look", "action": {"divert": 2222}},
    {"id": "marked", "mark": "0x10/0xf0", "action": "accept"}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  CHECK(lab.router.left(kWan).empty());
  Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK(heard.packets[0].hook == 2);
  CHECK((heard.packets[0].tracking & format::kNew) != 0);
  CHECK((heard.packets[0].flags & format::kFirstOfFlow) != 0);
  CHECK(lab.router.shard.parked() == 1);
  CHECK(lab.router.imbalance() == "");
  auto verdict = DivertLab::verdict(heard.packets[0].id, Action::accept);
  verdict.flags = format::kSetMark;
  verdict.mark = 0x10;
  verdict.mark_mask = 0xf0;
  lab.say(verdict);
  const Octets out = lab.router.one(kWan);
  CHECK(checksum_problem(out) == "");
  // The answer comes back through the translation.
  lab.router.arrive(kWan, answer_to(out, udp().payload("answer")));
  heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK((heard.packets[0].tracking & format::kReply) != 0);
  verdict.id = heard.packets[0].id;
  lab.say(verdict);
  lab.router.one(kLan);
  lab.router.arrive(kLan, question());
  CHECK(lab.listen().packets.size() == 1);  // no short cut past the program
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: in every chain, and in a chain that was jumped to") {
  for (const char* chain : {"prerouting", "forward", "postrouting"}) {
    Lab lab{
        R"({"own": {"rules": [{"protocol": "tcp", "action": "drop"}, {"action": {"divert": 2222}},
                                 {"action": "continue"}]},
               ")" +
        std::string{chain} +
        R"(": {"policy": "drop", "rules": [{"action": {"jump": "own"}}, {"action": "accept"}]}})"};
    lab.connect();
    lab.router.arrive(kLan, question());
    lab.accept_one();
    lab.router.one(kWan);
    CHECK(lab.router.imbalance() == "");
  }
  Lab lab{R"({"input": {"rules": [{"action": {"divert": 2222}}]},
              "output": {"rules": [{"action": {"divert": 2222}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, udp().from("192.168.1.10", 4000).to("192.168.1.1", 53));
  lab.accept_one();
  lab.router.one(kLan, Side::host);
  lab.router.send_from_host(kLan, udp().from("192.168.1.1", 53).to("192.168.1.10", 4000));
  lab.accept_one();
  lab.router.one(kLan);
}

TEST_CASE("R4: rules change while a packet is away: it goes on behind the rule of that name") {
  const auto with = [](const char* before, const char* after) {
    return std::string{R"({"forward": {"policy": "drop", "rules": [)"} + before +
           R"({"id": "look", "action": {"divert": 2222}})" + after + "]}}";
  };
  const std::vector<std::pair<std::string, bool>> rows{
      {with("", R"(, {"action": "accept"})"), true},
      {with(R"({"id": "new", "protocol": "tcp", "action": "drop"}, )", R"(, {"action": "accept"})"),
       true},
      {with(R"({"id": "new", "action": "accept"}, )", ""), false},
      {R"({"forward": {"policy": "drop", "rules": [{"id": "other", "action": "accept"}]}})", false},
      {R"({"forward": {"policy": "drop", "rules": [{"id": "first", "action": "continue"},
                                                   {"id": "moved_up", "action": "accept"}]}})",
       true},
      {R"({"forward": {"policy": "drop"}})", false},
      {"{}", true}};
  for (const auto& [rules, passes] : rows) {
    CAPTURE(rules);
    Lab lab{with(R"({"id": "first", "protocol": "tcp", "action": "drop"}, )",
                 R"(, {"action": "drop"})")};
    lab.connect();
    lab.router.arrive(kLan, question());
    const Heard heard = lab.listen();
    lab.load(rules);
    lab.say(heard.packets.at(0).id, Action::accept);
    CHECK(lab.router.left(kWan).size() == (passes ? 1 : 0));
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE("D2: repeat: at the top of the chain, or at a rule") {
  Lab lab{R"({"forward": {"policy": "drop", "rules": [
    {"id": "done", "mark": "1", "action": "accept"}, {"id": "look", "action": {"divert": 2222}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  auto verdict = DivertLab::verdict(lab.listen().packets.at(0).id, Action::repeat_at);
  lab.say(verdict);  // without a mark it comes by again
  const Heard again = lab.listen();
  REQUIRE(again.packets.size() == 1);
  CHECK(again.packets[0].hops == 2);
  verdict.id = again.packets[0].id;
  verdict.flags = format::kSetMark;
  verdict.mark = 1;
  verdict.mark_mask = 0xffffffff;
  lab.say(verdict);
  lab.router.one(kWan);
}

TEST_CASE(
    "D2: a program that repeats for ever is stopped at a number of hops, and that is counted") {
  Lab lab{kForward};
  lab.connect();
  lab.router.arrive(kLan, question());
  int rounds = 0;
  for (Heard heard = lab.listen(); !heard.packets.empty(); heard = lab.listen(), ++rounds)
    lab.say(heard.packets[0].id, Action::repeat_at);
  CHECK(rounds == lab.desk().most_hops());
  CHECK(lab.router.drops(DropReason::divert_loop) == 1);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: new bytes: lengths and checksums are completed, and it fits the link or is cut") {
  Lab lab{kForward};
  lab.connect();
  for (const std::size_t size : {1u, 100u, 1472u, 3000u}) {
    lab.router.arrive(kLan, question());
    const Heard heard = lab.listen();
    Octets changed = udp()
                         .from("192.168.1.10", 4000)
                         .to("198.51.100.1", 53)
                         .payload_size(size)
                         .bad_checksum()
                         .ip_bytes();
    changed[2] = changed[3] = std::byte{0};  // its length
    lab.say(DivertLab::verdict(heard.packets.at(0).id, Action::accept), changed);
    const auto left = lab.router.left(kWan);
    CHECK(left.size() == (size > 1472 ? 3 : 1));
    for (const auto& packet : left) CHECK(checksum_problem(packet.bytes) == "");
  }
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: what is no packet is dropped as that") {
  Lab lab{kForward};
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept), octets("rubbish"));
  CHECK(lab.router.drops(DropReason::divert_bad_packet) == 1);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D4: a natd-like program rewrites addresses itself, both ways") {
  Lab lab{R"({"prerouting": {"rules": [{"action": {"divert": 2222}}]}})"};
  lab.router.policy.nat.source.clear();
  lab.router.apply();
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          udp()
              .from("203.0.113.7", 50000)
              .to("198.51.100.1", 53)
              .payload("question")
              .ttl(63)
              .ip_bytes());
  const Octets out = lab.router.one(kWan);
  CHECK(checksum_problem(out) == "");
  lab.router.arrive(kWan,
                    udp().from("198.51.100.1", 53).to("203.0.113.7", 50000).payload("answer"));
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          udp().from("198.51.100.1", 53).to("192.168.1.10", 4000).payload("answer").ip_bytes());
  lab.router.one(kLan);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: two first packets of a connection at once: both pass, with one connection") {
  Lab lab{kForward};
  lab.connect();
  lab.router.arrive(kLan, question("A"));
  lab.router.arrive(kLan, question("AAAA"));
  const Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 2);
  lab.say(heard.packets[1].id, Action::accept_upto);
  CHECK(lab.router.left(kWan).size() == 2);
  CHECK(lab.router.shard.connections().size() == 1);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE(
    "D3: verdicts drop and reject, silence, death and a full queue are each counted by name") {
  Lab lab{kForward,
          {.region = {}, .max_connections = 64, .divert = {.packets = 2, .port_packets = 2}}};
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.say(lab.listen().packets.at(0).id, Action::drop);
  lab.router.arrive(kLan, question());
  auto verdict = DivertLab::verdict(lab.listen().packets.at(0).id, Action::reject);
  verdict.argument = format::kRejectProhibited;
  lab.say(verdict);
  CHECK(lab.router.one(kLan)[21] == std::byte{13});
  CHECK(lab.router.drops(DropReason::divert_verdict) == 2);
  for (int i = 0; i < 3; ++i) lab.router.arrive(kLan, question());
  CHECK(lab.router.drops(DropReason::divert_full) == 1);
  lab.router.pass(seconds{3});
  CHECK(lab.router.drops(DropReason::divert_late) == 2);
  lab.load(R"({"forward": {"rules": [{"action": {"divert": {"port": 2222, "death": "drop"}}}]}})");
  lab.router.arrive(kLan, question());
  lab.desk().forget(lab.member, lab.router.now());
  CHECK(lab.router.drops(DropReason::divert_died) == 1);
  CHECK(lab.router.shard.parked() == 0);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("R2: a program that does not read holds no frame that others need") {
  Lab lab{kForward,
          {.region = {}, .max_connections = 1024, .divert = {.packets = 200, .port_packets = 200}}};
  lab.connect();
  lab.channel.is_full = true;
  for (unsigned i = 0; i < 400; ++i)
    lab.router.arrive(
        kLan, udp().from("192.168.1.10", static_cast<net::Port>(1000 + i)).to("198.51.100.1", 53));
  CHECK(lab.router.drops(DropReason::divert_full) == 200);
  CHECK(lab.router.drops(DropReason::no_frames) == 0);
  lab.router.arrive(kLan, tcp().from("192.168.1.10", 4000).to("198.51.100.1", 80).flags("S"));
  lab.router.one(kWan);
}

TEST_CASE("D3: the first packets of a connection only; behind them the short cut") {
  Lab lab{R"({"forward": {"rules": [{"action": {"divert": {"port": 2222, "first": 2}}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.accept_one();
  const Octets out = lab.router.one(kWan);
  lab.router.arrive(kWan, answer_to(out, udp()));
  lab.accept_one();
  lab.router.one(kLan);
  for (int i = 0; i < 3; ++i) lab.router.arrive(kLan, question());
  CHECK(lab.listen().packets.empty());
  CHECK(lab.router.left(kWan).size() == 3);
  CHECK(lab.router.shard.counters().shortcuts > 0);
}

TEST_CASE("D3: no more of this flow: its packets take the short cut; others still come") {
  Lab lab{kForward};
  lab.connect();
  const auto offload = [&] {
    auto verdict = DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept);
    verdict.flags = format::kFlowOffload;
    lab.say(verdict);
  };
  lab.router.arrive(kLan, question());
  offload();
  const Octets out = lab.router.one(kWan);
  lab.router.arrive(kWan, answer_to(out, udp()));
  CHECK(lab.listen().packets.empty());
  for (int i = 0; i < 3; ++i) lab.router.arrive(kLan, question());
  CHECK(lab.router.shard.counters().shortcuts > 0);
  lab.router.arrive(kLan, udp().from("192.168.1.11", 4000).to("198.51.100.1", 53));
  CHECK(lab.listen().packets.size() == 1);
}

TEST_CASE("D1: tee: the packet goes on at once, its copy comes too, listener or not") {
  Lab lab{R"({"forward": {"rules": [{"action": {"tee": 2222}}]}})"};
  lab.router.arrive(kLan, question());
  lab.router.one(kWan);
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.router.one(kWan);
  const Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK((heard.packets[0].flags & format::kTee) != 0);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D1: fragments raw: each by itself, with the ports of the first one known") {
  Lab lab{R"({"forward": {"rules": [{"protocol": "udp", "action": {"divert": 2222}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question().payload_size(24).identification(7).fragment(0, true));
  lab.router.arrive(kLan, question().payload_size(24).identification(7).fragment(32, false));
  const Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 2);
  CHECK(heard.packets[0].fragment == 0x2000);
  CHECK(heard.packets[1].fragment == 4);
  CHECK((heard.packets[1].flags & format::kFragment) != 0);
  lab.say(heard.packets[1].id, Action::accept_upto);
  CHECK_MESSAGE(lab.router.left(kWan).size() == 2, lab.router.trace.text());
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D3: packets that stand for many: whole to who says so, else each of them, complete") {
  const auto big = tcp()
                       .from("192.168.1.10", 4000)
                       .to("198.51.100.1", 80)
                       .flags("P.")
                       .payload_size(4000)
                       .gso(1400);
  for (const bool whole : {true, false}) {
    Lab lab{R"({"forward": {"rules": [{"action": {"divert": 2222}}]}})"};
    lab.connect(Access::kEverything, whole ? format::kBindSegments : 0);
    lab.router.arrive(kLan, big);
    const Heard heard = lab.listen();
    REQUIRE(heard.packets.size() == (whole ? 1 : 3));
    CHECK(heard.packets[0].segment_size == (whole ? 1400 : 0));
    if (!whole)
      for (const Octets& bytes : heard.bytes) CHECK(checksum_problem(bytes) == "");
    lab.say(heard.packets.back().id, Action::accept_upto);
    CHECK(lab.router.left(kWan).size() == (whole ? 1 : 3));
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE("D2: injected packets: as received, as sent; only from where they may come") {
  Lab lab{kForward};
  const auto inject = [&](const PacketBuilder& packet, std::uint8_t direction, std::uint32_t in) {
    format::InjectHeader header;
    header.direction = direction;
    header.in_interface = in;
    REQUIRE(lab.desk().receive(lab.member, injection(packet, header), lab.router.now()));
    const Heard heard = lab.listen();
    return heard.notices.empty() ? 0u : heard.notices[0].code.value();
  };
  const auto not_allowed = static_cast<std::uint32_t>(format::Code::not_allowed);
  lab.connect(format::kMayListen | format::kMayInject);
  CHECK(inject(question(), 0, 1) == 0);
  lab.router.one(kWan);                            // and was not diverted to its own port
  CHECK(inject(question(), 0, 2) == not_allowed);  // that source is not behind wan
  CHECK(inject(question(), 0, 9) == static_cast<std::uint32_t>(format::Code::no_interface));
  CHECK(inject(question(), 1, 1) == not_allowed);
  CHECK(inject(udp().from("203.0.113.7", 999).to("198.51.100.1", 53), 1, 2) == 0);
  lab.router.one(kWan);
  lab.desk().forget(lab.member, lab.router.now());
  lab.connect(format::kMayListen);
  CHECK(inject(question(), 0, 1) == not_allowed);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: what a program sends in the router's name begins a connection, and one only") {
  constexpr std::size_t kMost = 64;
  Lab lab{
      R"({"input": {"policy": "drop", "rules": [{"state": ["established"], "action": "accept"}]}})",
      {.region = {}, .max_connections = kMost}};
  lab.connect();
  format::InjectHeader outward;
  outward.direction = 1;
  outward.out_interface = kWan + 1u;
  const PacketBuilder query = udp().from("203.0.113.7", 999).to("198.51.100.1", 53);
  for (std::size_t i = 0; i < 4 * kMost; ++i) {
    REQUIRE(lab.desk().receive(lab.member, injection(query, outward), lab.router.now()));
    CHECK(lab.listen().notices.empty());
    lab.router.one(kWan);
  }
  CHECK(lab.router.shard.connections().size() == 1);
  const PacketBuilder answer = udp().from("198.51.100.1", 53).to("203.0.113.7", 999);
  lab.router.arrive(kWan, answer);
  lab.router.one(kWan, Side::host);
  lab.router.arrive(kWan, udp().from("198.51.100.1", 53).to("203.0.113.7", 998));
  CHECK(lab.router.left(kWan, Side::host).empty());
  CHECK(lab.router.drops(DropReason::rule) == 1);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D2: a program may speak for a translated flow, as it looks outside, and begins none") {
  constexpr std::size_t kMost = 64;
  Lab lab{kForward, {.region = {}, .max_connections = kMost}};
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.accept_one();
  const Octets seen = lab.router.one(kWan);
  const auto port = wire::load16(seen, 20);
  format::InjectHeader outward;
  outward.direction = 1;
  outward.out_interface = kWan + 1u;
  const PacketBuilder more = udp().from("203.0.113.7", port).to("198.51.100.1", 53).payload("more");
  for (std::size_t i = 0; i < 2 * kMost; ++i) {
    REQUIRE(lab.desk().receive(lab.member, injection(more, outward), lab.router.now()));
    CHECK(lab.router.one(kWan) == more.ip_bytes());
  }
  CHECK(lab.router.shard.connections().size() == 1);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE(
    "D2: while a packet is away its connection may end: it goes on without, and does no harm") {
  Lab lab{R"({"forward": {"rules": [{"protocol": "udp", "action": {"divert": 2222}}]}})"};
  lab.router.policy.nat.source.clear();
  lab.router.apply();
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.accept_one();
  lab.router.arrive(kLan, question());
  const Heard heard = lab.listen();
  lab.router.shard.connections().remove(*lab.router.connection(question().tuple()));
  lab.say(heard.packets.at(0).id, Action::accept);
  CHECK(lab.router.left(kWan).size() == 2);
  CHECK(lab.router.imbalance() == "");
}

}  // namespace path_divert
