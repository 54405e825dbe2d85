// What a program is shown of a diverted packet: the addresses of its chain, those before all
// translation or those behind it; and datagrams in fragments as a whole.

#include <doctest/doctest.h>

#include "daemon/base/random.hpp"
#include "daemon/wire/ipv4.hpp"
#include "tests/path/divert_router.hpp"
#include "tests/path/fragment_pieces.hpp"

namespace path_divert_view {

using namespace masqgate;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

using Lab = DivertRouter;
using fragment::Reassembly;

// One rule of that chain with these words, and everything passes behind it.
std::string rules(std::string_view chain, std::string_view words,
                  std::string_view kind = "divert") {
  return R"({")" + std::string{chain} +
         R"(": {"rules": [{"id": "look", "protocol": "udp", "action": {")" + std::string{kind} +
         R"(": {"port": 2222, )" + std::string{words} +
         R"(}}}, {"id": "behind", "source": "192.168.1.10", "action": "accept"}]}})";
}

constexpr auto kBefore = R"("view": "before")", kAfter = R"("view": "after")";

std::uint64_t met(Lab& lab, std::size_t rule) {
  return lab.router.shard.rule_counters().at(rule).packets;
}

// The inside host has asked, and this is the answer from outside.
PacketBuilder answered(Lab& lab) {
  lab.router.arrive(kLan, question());
  const Heard heard = lab.listen();
  if (!heard.packets.empty()) lab.say(heard.packets[0].id, Action::accept);
  return answer_to(lab.router.one(kWan), udp().payload("answer"));
}

}  // namespace

TEST_CASE("D1: view after: the program sees what leaves, rules go on seeing the inside") {
  for (const char* chain : {"prerouting", "forward", "postrouting"}) {
    CAPTURE(chain);
    Lab lab{rules(chain, kAfter)};
    lab.connect();
    lab.router.arrive(kLan, question());
    CHECK(met(lab, 1) == 1);
    const Heard heard = lab.listen();
    REQUIRE(heard.packets.size() == 1);
    CHECK(mismatch(heard.bytes[0], {source("203.0.113.7"), destination("198.51.100.1", 53),
                                    payload("question"), good_checksums()}) == "");
    CHECK((heard.packets[0].flags & format::kAsItLeaves) != 0);
    CHECK((heard.packets[0].flags & format::kFirstOfFlow) != 0);
    CHECK(heard.packets[0].out_interface == 2);
    CHECK(heard.packets[0].rule_position == 1);
    CHECK(lab.router.left(kWan).empty());
    lab.say(heard.packets[0].id, Action::accept);
    CHECK(lab.router.one(kWan) == heard.bytes[0]);  // to the byte
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE("D1: view after: an answer as its receiver inside will get it") {
  Lab lab{rules("forward", kAfter)};
  lab.connect();
  lab.router.arrive(kWan, answered(lab));
  const Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK(mismatch(heard.bytes[0], {destination("192.168.1.10", 4000), good_checksums()}) == "");
  lab.say(heard.packets[0].id, Action::accept);
  CHECK(lab.router.one(kLan) == heard.bytes[0]);
}

TEST_CASE("D1: view after: what the program writes is what leaves, but for inside addresses") {
  Lab lab{rules("forward", kAfter)};
  lab.connect();
  lab.router.arrive(kLan, question());
  const Heard first = lab.listen();
  const auto header = *wire::Ipv4::parse(wire::Bytes{first.bytes.at(0)});
  const net::Port port = wire::load16(wire::Bytes{first.bytes[0]}, header.header_length());
  const auto changed = [&](std::string_view to) {
    return udp().from("203.0.113.7", port).to(to, 53).payload("other words").ttl(63).ip_bytes();
  };
  lab.say(DivertLab::verdict(first.packets.at(0).id, Action::accept), changed("198.51.100.1"));
  CHECK(mismatch(lab.router.one(kWan),
                 {source("203.0.113.7", port), payload("other words"), good_checksums()}) == "");
  // To somebody else, by another port.
  lab.router.arrive(kLan, question());
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          changed("192.168.1.11"));
  CHECK(mismatch(lab.router.one(kLan), {destination("192.168.1.11", 53)}) == "");
  // An address that masquerading hides.
  lab.router.arrive(kLan, question());
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("x").ip_bytes());
  CHECK(lab.router.left(kWan).empty());
  CHECK(lab.router.drops(DropReason::untranslatable) == 1);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D1: view after: a refused beginning leaves no connection behind") {
  for (const Action action : {Action::drop, Action::reject}) {
    Lab lab{rules("forward", kAfter)};
    lab.connect();
    lab.router.arrive(kLan, question());
    CHECK(lab.router.shard.connections().size() == 1);  // its outside port is nobody else's
    lab.say(lab.listen().packets.at(0).id, action);
    CHECK(lab.router.shard.connections().size() == 0);
    CHECK(lab.router.left(kLan).size() == (action == Action::reject ? 1 : 0));
    CHECK(lab.router.imbalance() == "");
  }
  Lab lab{rules("forward", kAfter)};  // nobody listens
  lab.router.arrive(kLan, question());
  CHECK(lab.router.drops(DropReason::divert_nobody) == 1);
  CHECK(lab.router.shard.connections().size() == 0);
}

TEST_CASE("D1: view after: what the rules behind drop, no program sees") {
  Lab lab{R"({"forward": {"policy": "drop", "rules": [
    {"id": "look", "action": {"divert": {"port": 2222, "view": "after"}}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  CHECK(lab.listen().packets.empty());
  CHECK(lab.router.drops(DropReason::rule) == 1);
}

TEST_CASE("D1: view after: several rules, one after the other; more than four are a loop") {
  const auto all = [](int count) {
    std::string text = R"({"forward": {"rules": [)";
    for (int i = 0; i < count; ++i)
      text += R"({"action": {"divert": {"port": 2222, "view": "after"}}}, )";
    return text + R"({"action": "accept"}]}})";
  };
  Lab lab{all(4)};
  lab.connect();
  lab.router.arrive(kLan, question());
  for (std::uint16_t i = 1; i <= 4; ++i) {
    const Heard heard = lab.listen();
    REQUIRE(heard.packets.size() == 1);
    CHECK(heard.packets[0].rule_position == i);
    lab.say(heard.packets[0].id, Action::accept);
  }
  lab.router.one(kWan);
  lab.load(all(5));
  lab.router.arrive(kLan, question());
  CHECK(lab.router.drops(DropReason::divert_loop) == 1);
  lab.load(R"({"forward": {"rules": [)" + [] {
    std::string text;
    for (int i = 0; i < 5; ++i) text += R"({"action": {"tee": {"port": 2222, "view": "after"}}}, )";
    return text;
  }() + R"({"action": "accept"}]}})");
  lab.router.arrive(kLan, question());
  CHECK(lab.listen().packets.size() == 4);
  lab.router.one(kWan);
}

TEST_CASE("R4: view after: the rule is gone when its packet comes to the end") {
  Lab lab{
      R"({"forward": {"rules": [{"id": "late", "action": {"divert": {"port": 2222, "view": "after"}}},
                                    {"id": "now", "action": {"divert": 2222}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  const Heard heard = lab.listen();
  CHECK(heard.packets.at(0).rule_position == 2);
  lab.load(R"({"forward": {"rules": [{"id": "now", "action": {"divert": 2222}}]}})");
  lab.say(heard.packets[0].id, Action::accept);
  lab.router.one(kWan);
  CHECK(lab.router.shard.diverting().rules_gone() == 1);
}

TEST_CASE("D1: view after: no rules are left to repeat, and the program is told") {
  Lab lab{rules("forward", kAfter)};
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.say(lab.listen().packets.at(0).id, Action::repeat_at);
  const Heard heard = lab.listen();
  REQUIRE(heard.notices.size() == 1);
  CHECK(heard.notices[0].code == static_cast<std::uint32_t>(format::Code::not_allowed));
  CHECK(lab.router.left(kWan).empty());
}

TEST_CASE("D1: view after: a flow that needs the program no more takes the short cut") {
  Lab lab{rules("forward", kAfter)};
  lab.connect();
  const PacketBuilder answer = answered(lab);
  lab.router.arrive(kWan, answer);
  auto verdict = DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept);
  verdict.flags = format::kFlowOffload;
  lab.say(verdict);
  lab.router.one(kLan);
  lab.router.arrive(kWan, answer);
  lab.router.arrive(kWan, answer);
  CHECK(lab.router.left(kLan).size() == 2);
  CHECK(lab.listen().packets.empty());
  CHECK(lab.router.shard.counters().shortcuts > 0);
}

TEST_CASE("D1: view before: an answer as it came, with the outside destination") {
  for (const char* chain : {"forward", "postrouting", "prerouting"}) {
    CAPTURE(chain);
    Lab lab{rules(chain, kBefore)};
    lab.connect();
    const PacketBuilder answer = answered(lab);
    lab.router.arrive(kWan, answer);
    const Heard heard = lab.listen();
    REQUIRE(heard.packets.size() == 1);
    CHECK((heard.packets[0].flags & format::kAsItCame) != 0);
    CHECK(mismatch(heard.bytes[0], {destination("203.0.113.7", answer.tuple().destination_port),
                                    payload("answer"), good_checksums()}) == "");
    lab.say(heard.packets[0].id, Action::accept);
    CHECK(mismatch(lab.router.one(kLan),
                   {destination("192.168.1.10", 4000), payload("answer"), good_checksums()}) == "");
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE("D1: view before: the rules behind go on seeing the destination inside") {
  Lab lab{R"({"forward": {"policy": "drop", "rules": [
    {"in": "lan", "action": "accept"},
    {"id": "look", "action": {"divert": {"port": 2222, "view": "before"}}},
    {"id": "behind", "destination": "192.168.1.10", "action": "accept"}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  lab.router.arrive(kWan, answer_to(lab.router.one(kWan), udp().payload("answer")));
  lab.accept_one();
  lab.router.one(kLan);
}

TEST_CASE("D1: view before: changed text, and a changed destination that is translated anew") {
  Lab lab{rules("forward", kBefore)};
  lab.connect();
  PacketBuilder answer = answered(lab);
  lab.router.arrive(kWan, answer);
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          PacketBuilder{answer}.payload("new").ip_bytes());
  CHECK(mismatch(lab.router.one(kLan),
                 {destination("192.168.1.10", 4000), payload("new"), good_checksums()}) == "");
  lab.router.arrive(kWan, answer);
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          PacketBuilder{answer}.to("192.168.1.11", 9).ip_bytes());
  CHECK(lab.router.left(kLan).empty());  // nobody outside may reach it by that address (K-29)
  lab.router.arrive(kWan, answer);
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          PacketBuilder{answer}.to("203.0.113.50", 9).ip_bytes());
  CHECK(mismatch(lab.router.one(kWan), {destination("203.0.113.50", 9)}) == "");
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D1: view before: nobody listens, and the packet goes on as if it had not been shown") {
  for (const char* nobody : {"pass", "reject"}) {
    Lab lab{rules("forward",
                  R"("view": "before", "first": 1, "nobody": ")" + std::string{nobody} + "\"")};
    lab.router.arrive(kLan, question());
    CHECK(lab.router.left(kWan).size() == (nobody == std::string_view{"pass"} ? 1 : 0));
    CHECK(lab.router.left(kLan).size() == (nobody == std::string_view{"pass"} ? 0 : 1));
  }
  Lab lab{"{}"};
  const PacketBuilder answer = answered(lab);
  lab.load(rules("forward", R"("view": "before", "nobody": "pass")"));
  lab.router.arrive(kWan, answer);
  CHECK(mismatch(lab.router.one(kLan), {destination("192.168.1.10", 4000), good_checksums()}) ==
        "");
}

TEST_CASE("D1: copies have views, too") {
  for (const char* view : {kBefore, kAfter}) {
    CAPTURE(view);
    Lab lab{rules("forward", view, "tee")};
    lab.connect(Access::kEverything, format::kBindTee);
    const PacketBuilder answer = answered(lab);
    lab.listen();
    lab.router.arrive(kWan, answer);
    const Heard heard = lab.listen();
    REQUIRE(heard.packets.size() == 1);
    CHECK(mismatch(heard.bytes[0], {destination(view == kBefore ? "203.0.113.7" : "192.168.1.10"),
                                    good_checksums()}) == "");
    CHECK(mismatch(lab.router.one(kLan), {destination("192.168.1.10", 4000), good_checksums()}) ==
          "");
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE("D1: packets for the router and from it, in every view") {
  for (const char* view : {R"("view": "chain")", kBefore, kAfter}) {
    CAPTURE(view);
    Lab lab{R"({"input": {"rules": [{"action": {"divert": {"port": 2222, )" + std::string{view} +
            R"(}}}]}, "output": {"rules": [{"action": {"divert": {"port": 2222, )" + view +
            "}}}]}}"};
    lab.connect();
    lab.router.arrive(kLan, udp().from("192.168.1.10", 4000).to("192.168.1.1", 53));
    lab.accept_one();
    lab.router.one(kLan, Side::host);
    lab.router.send_from_host(kLan, udp().from("192.168.1.1", 53).to("192.168.1.10", 4000));
    lab.accept_one();
    lab.router.one(kLan);
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE("D1: a packet that stands for many is shown as each of them, in every view") {
  for (const char* view : {kBefore, kAfter}) {
    CAPTURE(view);
    Lab lab{rules("forward", view)};
    lab.connect();
    lab.router.arrive(
        kLan, udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload_size(300).gso(100));
    const Heard heard = lab.listen();
    REQUIRE(heard.packets.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(mismatch(heard.bytes[i], {source(view == kAfter ? "203.0.113.7" : "192.168.1.10"),
                                      good_checksums()}) == "");
      lab.say(heard.packets[i].id, Action::accept);
      CHECK(mismatch(lab.router.one(kWan), {source("203.0.113.7"), good_checksums()}) == "");
    }
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE("D1: whatever the view, an accepted packet leaves as if nobody had seen it") {
  Random random{{3, 5}};
  for (const char* view : {R"("view": "chain")", kBefore, kAfter})
    for (const char* chain : {"prerouting", "forward", "postrouting"}) {
      CAPTURE(view);
      CAPTURE(chain);
      const auto with_action = [&](const std::string& action) {
        return R"({")" + std::string{chain} + R"(": {"rules": [{"action": )" + action +
               R"(}, {"destination": "192.168.1.11", "protocol": "tcp", "action": "drop"}]}})";
      };
      Lab with{with_action(R"({"divert": {"port": 2222, )" + std::string{view} + "}}")};
      Lab without{with_action("\"continue\"")};
      with.connect();
      std::vector<PacketBuilder> answers;
      for (int i = 0; i < 400; ++i) {
        CAPTURE(i);
        const auto host = "192.168.1.1" + std::to_string(random.below(2));
        const auto peer = "198.51.100." + std::to_string(1 + random.below(3));
        const auto port = static_cast<net::Port>(4000 + random.below(3));
        PacketBuilder packet = icmp_echo(port).from(host).to(peer);
        const std::uint32_t dice = random.below(10);
        if (dice < 3) packet = udp().from(host, port).to(peer, 53).payload_size(random.below(99));
        if (dice == 3) packet = tcp().from(host, port).to(peer, 80).flags("S").seq(1);
        if (dice == 4) packet = udp().from(host, port).to("192.168.1.1", 53);
        packet.ttl(1 + random.below(64));
        const bool from_outside = dice > 5 && !answers.empty();
        if (from_outside)
          packet = answers[random.below(static_cast<std::uint32_t>(answers.size()))];
        for (Lab* lab : {&with, &without}) lab->router.arrive(from_outside ? kWan : kLan, packet);
        for (Heard heard = with.listen(); !heard.packets.empty(); heard = with.listen())
          for (const auto& one : heard.packets) with.say(one.id, Action::accept);
        for (const PortIndex to : {kLan, kWan})
          for (const Side side : {Side::network, Side::host}) {
            const auto mine = with.router.left(to, side), other = without.router.left(to, side);
            REQUIRE(mine.size() == other.size());
            for (std::size_t k = 0; k < mine.size(); ++k) {
              REQUIRE(mine[k].bytes == other[k].bytes);
              if (to != kWan || side != Side::network) continue;
              if (random.below(4) == 0)
                answers.push_back(icmp_error(3, 1)
                                      .from("203.0.113.50")
                                      .to("203.0.113.7")
                                      .quoting(Octets{mine[k].bytes}));
              else if (mine[k].bytes[9] == std::byte{17})
                answers.push_back(answer_to(mine[k].bytes, udp().payload("answer")));
            }
          }
        REQUIRE(with.router.imbalance() == "");
      }
      CHECK(answers.size() > 20);
      CHECK(with.router.shard.connections().size() == without.router.shard.connections().size());
    }
}

TEST_CASE("D1: defragment: the program gets one whole packet, and its pieces leave as they came") {
  const std::vector<std::vector<std::size_t>> orders{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {0, 2, 1}};
  for (const char* chain : {"prerouting", "forward", "postrouting"})
    for (const auto& order : orders) {
      CAPTURE(chain);
      CAPTURE(order[0]);
      Lab lab{rules(chain, R"("defragment": true)")};
      lab.connect();
      const auto pieces = pieces_of(datagram(7), 3);
      for (const std::size_t i : order) lab.router.arrive(kLan, pieces[i]);
      const Heard heard = lab.listen();
      REQUIRE(heard.packets.size() == 1);
      CHECK((heard.packets[0].flags & format::kReassembled) != 0);
      CHECK((heard.packets[0].flags & format::kFragment) == 0);
      CHECK(heard.packets[0].original_length == 28 + 3 * kPiece);
      CHECK(met(lab, 0) == 1);
      CHECK(lab.router.left(kWan).empty());
      lab.say(heard.packets[0].id, Action::accept);
      const auto out = lab.router.left(kWan);
      REQUIRE(out.size() == 3);
      std::size_t next = 0;
      for (const auto& one : out) {
        CHECK(one.bytes.size() <= 28 + kPiece);
        CHECK(mismatch(one.bytes, {source("203.0.113.7"), ttl(63)}) == "");
        const auto ip = *wire::Ipv4::parse(wire::Bytes{one.bytes});
        CHECK(ip.fragment_offset() == next);
        next += ip.total_length() - 20u;
      }
      CHECK(next == 8 + 3 * kPiece);
      CHECK(lab.router.shard.connections().size() == 1);
      CHECK(lab.router.imbalance() == "");
    }
}

TEST_CASE("D1: defragment: answers that are translated on their way in, and IPv6") {
  Lab lab{rules("forward", R"("defragment": true, "view": "before")")};
  lab.connect();
  const PacketBuilder answer = answered(lab);
  auto pieces = pieces_of(PacketBuilder{answer}.identification(9).no_checksum(), 3);
  std::swap(pieces[0], pieces[1]);
  for (const auto& piece : pieces) lab.router.arrive(kWan, piece);
  Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK(mismatch(heard.bytes[0], {destination("203.0.113.7")}) == "");
  lab.say(heard.packets[0].id, Action::accept);
  CHECK(lab.router.left(kLan).size() == 3);
  // Of the connection's bytes none is counted twice.
  const auto* connection = lab.router.connection(question().tuple());
  REQUIRE(connection != nullptr);
  CHECK(connection->halves[1].packets == 1);

  pieces = pieces_of(udp().from("fd00:1::10", 4000).to("2001:db8:9::1", 53).identification(7), 3);
  std::swap(pieces[0], pieces[2]);
  for (const auto& piece : pieces) lab.router.arrive(kLan, piece);
  heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK(heard.packets[0].original_length == 48 + 3 * kPiece);
  lab.say(heard.packets[0].id, Action::accept);
  CHECK(lab.router.left(kWan).size() == 3);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D1: without it each fragment comes by itself; others are not touched by the rule") {
  Lab lab{rules("forward", R"("nobody": "pass")")};
  lab.connect();
  for (const auto& piece : pieces_of(datagram(7), 3)) lab.router.arrive(kLan, piece);
  const Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 3);
  for (const auto& packet : heard.packets) {
    CHECK((packet.flags & format::kFragment) != 0);
    CHECK((packet.flags & format::kReassembled) == 0);
  }
  Lab other{R"({"forward": {"rules": [{"source": "192.168.1.11",
    "action": {"divert": {"port": 2222, "defragment": true}}}]}})"};
  other.router.know(kLan, "192.168.1.11");
  other.connect();
  auto pieces = pieces_of(datagram(7), 3);
  for (const auto& piece : pieces_of(datagram(7, "192.168.1.11"), 3)) pieces.push_back(piece);
  for (const std::size_t i : {0, 3, 4, 1, 2, 5}) other.router.arrive(kLan, pieces[i]);
  CHECK(other.router.left(kWan).size() == 3);
  CHECK(other.listen().packets.size() == 1);
  CHECK(other.router.imbalance() == "");
}

TEST_CASE("D1: defragment: changed, the datagram is cut by what it has become") {
  Lab lab{rules("forward", R"("defragment": true)")};
  lab.connect();
  for (const auto& piece : pieces_of(datagram(7), 3)) lab.router.arrive(kLan, piece);
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
          datagram(7).payload_size(5000).ip_bytes());
  const auto out = lab.router.left(kWan);
  std::size_t total = 0;
  for (const auto& one : out) {
    CHECK(one.bytes.size() <= 28 + kPiece);
    total += one.bytes.size() - 20;
  }
  CHECK(total == 5008);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("D1: defragment: a copy of the whole, and the pieces go on") {
  Lab lab{rules("forward", R"("defragment": true, "view": "after")", "tee")};
  lab.connect(Access::kEverything, format::kBindTee);
  for (const auto& piece : pieces_of(datagram(7), 3)) lab.router.arrive(kLan, piece);
  const Heard heard = lab.listen();
  REQUIRE(heard.packets.size() == 1);
  CHECK((heard.packets[0].flags & format::kReassembled) != 0);
  CHECK(mismatch(heard.bytes[0], {source("203.0.113.7")}) == "");
  CHECK(lab.router.left(kWan).size() == 3);
}

TEST_CASE("F-03, F-06, F-08: defragment: overlaps, datagrams without end, and very many of them") {
  Lab lab{rules("forward", R"("defragment": true)")};
  lab.connect();
  const auto pieces = pieces_of(datagram(7), 3);
  lab.router.arrive(kLan, pieces[0]);
  lab.router.arrive(kLan, datagram(7).payload_size(kPiece).fragment(8, true));
  lab.router.arrive(kLan, pieces[1]);
  lab.router.arrive(kLan, pieces[2]);
  CHECK(lab.listen().packets.empty());
  CHECK(lab.router.drops(DropReason::fragment_overlap) == 3);
  for (unsigned i = 0; i < 3 * Reassembly::kMost; ++i)
    lab.router.arrive(kLan, pieces_of(datagram(100 + i), 3)[0]);
  CHECK(lab.router.shard.reassembly().size() <= Reassembly::kMost);
  CHECK(lab.router.shard.connections().size() == 0);
  CHECK(lab.router.imbalance() == "");
  for (int i = 0; i < 40; ++i) lab.router.pass(seconds{1});
  CHECK(lab.router.shard.reassembly().size() == 0);
  CHECK(lab.router.left(kWan).empty());
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("complaint 16: which user of this machine has begun a flow, for whoever may see it") {
  struct FakeOwners final : firewall::Owners {
    std::vector<Tuple> asked;
    std::optional<std::uint32_t> uid_of(const Tuple& tuple) noexcept override {
      asked.push_back(tuple);
      return 1234;
    }
  } owners;
  Lab lab{R"({"output": {"rules": [{"action": {"divert": 2222}}]},
              "input": {"rules": [{"action": {"divert": 2222}}]}})"};
  lab.router.shard.set_owners(&owners);
  format::BindHeader bind;
  bind.port = 2222;
  bind.options = format::wants(format::Option::user);
  lab.member = lab.desk().attach(lab.channel, {});
  const auto try_to_bind = [&] {
    return lab.desk().receive(lab.member, frame_of_records({bytes_of(bind)}, format::Kind::control),
                              lab.router.now());
  };
  CHECK_FALSE(try_to_bind());
  CHECK(hear(lab.channel).byes ==
        std::vector<std::string>{"users need the permission to see them"});
  bind.permissions = format::kMayListen | format::kMaySeeUser;
  REQUIRE(try_to_bind());
  hear(lab.channel);
  const auto packet = udp().from("192.168.1.1", 5000).to("192.168.1.10", 4000);
  for (const bool first : {true, false}) {
    lab.router.send_from_host(kLan, packet);
    lab.desk().flush(lab.router.now());
    REQUIRE(lab.channel.frames.size() == 1);
    format::Reader reader{lab.channel.frames[0]};
    const auto record = reader.next();
    const auto header = record->as<format::PacketHeader>(format::Type::packet);
    REQUIRE(header->options_length == (first ? 8 : 0));
    if (first) {
      const auto option = format::load<format::OptionHeader>(record->rest);
      CHECK(option.type == static_cast<std::uint16_t>(format::Option::user));
      CHECK(format::load<format::U32>(record->rest.subspan(sizeof option)) == 1234);
    }
    lab.accept_one();
    lab.router.one(kLan);
  }
  CHECK(owners.asked == std::vector<Tuple>{packet.tuple()});
  lab.router.arrive(kLan, udp().from("192.168.1.10", 4001).to("192.168.1.1", 53));
  CHECK(lab.listen().packets.at(0).options_length == 0);  // nobody's here
}

}  // namespace path_divert_view
