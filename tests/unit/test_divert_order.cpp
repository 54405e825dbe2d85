// Unit tests of daemon/divert: a listener that wants the packets of a flow released in the order in
// which they came, whatever the order of its verdicts.

#include <doctest/doctest.h>

#include <deque>

#include "daemon/base/random.hpp"
#include "tests/unit/divert_lab.hpp"

using namespace masqgate;
using namespace masqgate::test;
using format::Action;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

format::BindHeader ordered(std::int16_t priority = 0) {
  auto bind = DivertLab::binding(priority);
  bind.flags = format::kBindOrdered;
  return bind;
}

// The packets of one flow, named by letters, as their listener got them.
std::vector<format::PacketHeader> deliver(DivertLab& lab, DivertLab::Client& client,
                                          std::string_view letters, std::uint64_t flow = 1) {
  for (const char& letter : letters) lab.divert(std::string_view{&letter, 1}, flow);
  auto packets = lab.flush(client).packets;
  REQUIRE(packets.size() == letters.size());
  return packets;
}

}  // namespace

TEST_CASE("D2: in order: verdicts in any order, packets of a flow leave as they came") {
  DivertLab lab;
  const auto client = lab.connect(ordered());
  const auto packets = deliver(lab, *client, "abcd");
  lab.say(*client, packets[2].id, Action::accept);
  lab.say(*client, packets[1].id, Action::accept);
  CHECK(lab.texts() == "");
  CHECK(lab.desk.held() == 4);
  lab.say(*client, packets[0].id, Action::accept);
  CHECK(lab.texts() == "a b c ");
  lab.say(*client, packets[3].id, Action::accept);
  CHECK(lab.texts() == "d ");
  CHECK(lab.desk.held() == 0);
  CHECK(lab.desk.held_bytes() == 0);
}

TEST_CASE("D2: without it, as verdicts come") {
  DivertLab lab;
  const auto client = lab.connect();
  const auto packets = deliver(lab, *client, "ab");
  lab.say(*client, packets[1].id, Action::accept);
  CHECK(lab.texts() == "b ");
}

TEST_CASE("D2: in order: flows never wait for each other") {
  DivertLab lab;
  const auto client = lab.connect(ordered());
  deliver(lab, *client, "ab", 1);
  const auto others = deliver(lab, *client, "xy", 2);
  lab.say(*client, others[0].id, Action::accept);
  lab.say(*client, others[1].id, Action::accept);
  CHECK(lab.texts() == "x y ");
}

TEST_CASE("D2: in order: a packet that is dropped goes at once, and frees those behind it") {
  for (const Action action : {Action::drop, Action::reject}) {
    DivertLab lab;
    const auto client = lab.connect(ordered());
    const auto packets = deliver(lab, *client, "abcd");
    lab.say(*client, packets[1].id, action);
    CHECK(lab.texts() == "b! ");
    lab.say(*client, packets[2].id, Action::accept);
    CHECK(lab.texts() == "");
    lab.say(*client, packets[0].id, action);
    CHECK(lab.texts() == "a! c ");
    lab.say(*client, packets[3].id, Action::accept);
    CHECK(lab.texts() == "d ");
  }
}

TEST_CASE("D2: in order: who waits is bounded by the deadline of those in front") {
  for (const Late late : {Late::drop, Late::pass}) {
    DivertLab lab;
    lab.terms.late = late;
    const auto client = lab.connect(ordered());
    const auto first = deliver(lab, *client, "a");
    lab.pass(seconds{1});
    const auto others = deliver(lab, *client, "bc");
    lab.say(*client, others[1].id, Action::accept);
    lab.pass(milliseconds{900});
    CHECK(lab.texts() == "");
    lab.pass(milliseconds{300});
    CHECK(lab.texts() == (late == Late::drop ? "a! " : "a "));
    lab.pass(seconds{1});
    CHECK(lab.texts() == (late == Late::drop ? "b! c " : "b c "));
    CHECK(lab.desk.held() == 0);
  }
}

TEST_CASE("D2: in order: a packet whose time is over does not overtake one that is held longer") {
  DivertLab lab;
  lab.terms.late = Late::pass;
  const auto client = lab.connect(ordered());
  const auto packets = deliver(lab, *client, "abc");
  auto longer = DivertLab::verdict(packets[0].id, Action::hold);
  longer.argument = 5000;
  lab.say(*client, longer);
  lab.say(*client, packets[2].id, Action::accept);
  lab.pass(seconds{3});  // b's time is over
  CHECK(lab.texts() == "");
  lab.pass(seconds{3});
  CHECK(lab.texts() == "a b c ");
}

TEST_CASE("R1: in order: a listener dies, and its packets go on in order by the next one") {
  DivertLab lab;
  const auto first = lab.connect(ordered());
  const auto packets = deliver(lab, *first, "abcd");
  lab.say(*first, packets[1].id, Action::accept);
  lab.say(*first, packets[3].id, Action::accept);
  lab.leave(*first);
  CHECK(lab.texts() == "");
  lab.divert("e");
  const auto second = lab.connect(ordered());
  const auto again = lab.flush(*second).packets;
  REQUIRE(again.size() == 3);  // a, c, e
  CHECK((again[0].flags & format::kRedelivered) != 0);
  lab.say(*second, again[2].id, Action::accept);
  lab.say(*second, again[1].id, Action::accept);
  CHECK(lab.texts() == "");
  lab.say(*second, again[0].id, Action::accept);
  CHECK(lab.texts() == "a b c d e ");
  CHECK(lab.desk.held() == 0);
}

TEST_CASE("D2: in order: what a death lets pass or drops keeps the order, too") {
  for (const Death death : {Death::pass, Death::drop}) {
    DivertLab lab;
    lab.terms.death = death;
    const auto client = lab.connect(ordered());
    const auto packets = deliver(lab, *client, "abcd");
    lab.say(*client, packets[1].id, Action::accept);
    lab.say(*client, packets[3].id, Action::accept);
    lab.leave(*client);
    CHECK(lab.texts() == (death == Death::pass ? "a b c d " : "a! b c! d "));
    CHECK(lab.desk.held() == 0);
  }
}

TEST_CASE("D2: in order: the next listener and another port get them in order") {
  DivertLab lab;
  const auto high = lab.connect(ordered(5));
  const auto low = lab.connect(DivertLab::binding(1));
  auto packets = deliver(lab, *high, "abc");
  lab.say(*high, packets[2].id, Action::accept);
  lab.say(*high, packets[1].id, Action::accept);
  CHECK(lab.flush(*low).packets.empty());
  lab.say(*high, packets[0].id, Action::accept);
  const Heard heard = lab.flush(*low);
  REQUIRE(heard.packets.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(heard.packets[i].id == packets[i].id);
  for (const auto& packet : heard.packets) lab.say(*low, packet.id, Action::drop);
  CHECK(lab.texts() == "a! b! c! ");

  auto elsewhere = DivertLab::binding();
  elsewhere.port = 3333;
  const auto other = lab.connect(elsewhere);
  packets = deliver(lab, *high, "de");
  for (const std::size_t i : {1, 0}) {
    auto requeue = DivertLab::verdict(packets[i].id, Action::requeue);
    requeue.argument = 3333;
    lab.say(*high, requeue);
    CHECK(lab.flush(*other).packets.size() == (i == 1 ? 0 : 2));
  }
}

TEST_CASE("D2: in order: of a flow that several members share, too") {
  DivertLab lab;
  auto bind = ordered();
  bind.flags = format::kBindOrdered | format::kBindAnyMember;
  const auto one = lab.connect(bind), two = lab.connect(bind);
  for (const char* text : {"a", "b", "c", "d"}) lab.divert(text);
  const Heard first = lab.flush(*one), second = lab.flush(*two);
  REQUIRE(first.packets.size() == 2);
  REQUIRE(second.packets.size() == 2);
  for (const auto& packet : second.packets) lab.say(*two, packet.id, Action::accept);
  CHECK(lab.texts() == "");
  for (const auto& packet : first.packets) lab.say(*one, packet.id, Action::accept);
  CHECK(lab.texts() == "a b c d ");
}

TEST_CASE("D2: in order: no room, and the oldest that was not handed out makes way") {
  DivertLab lab{{.packets = 4, .bytes = 1 << 20, .port_packets = 4}};
  lab.terms.full = Full::drop_oldest;
  auto bind = ordered();
  bind.credit = 2;
  const auto client = lab.connect(bind);
  for (const char* text : {"a", "b", "c", "d", "e"}) lab.divert(text);
  auto packets = lab.flush(*client).packets;
  REQUIRE(packets.size() == 2);
  lab.divert("f");
  CHECK(lab.texts() == "a! d! ");
  lab.say(*client, packets[1].id, Action::accept);
  lab.say(*client, packets[0].id, Action::accept);
  for (const auto& packet : lab.flush(*client).packets) lab.say(*client, packet.id, Action::accept);
  CHECK(lab.texts() == "b c e f ");
}

TEST_CASE("D2: in order: an answered packet has its verdict; a second one is told") {
  DivertLab lab;
  const auto client = lab.connect(ordered());
  const auto packets = deliver(lab, *client, "ab");
  lab.say(*client, packets[1].id, Action::accept);
  lab.say(*client, packets[1].id, Action::drop);
  const Heard heard = lab.flush(*client);
  REQUIRE(heard.notices.size() == 1);
  CHECK(heard.notices[0].code == static_cast<std::uint32_t>(format::Code::unknown_id));
  CHECK(lab.desk.listener(client->member).given.count == 1);  // there is credit for another one
  lab.say(*client, packets[1].id, Action::accept_upto);       // names none that it has
  lab.say(*client, packets[0].id, Action::accept_upto);
  CHECK(lab.texts() == "a b ");
}

TEST_CASE("D2: in order: nothing of a flow that needs the program no more overtakes the rest") {
  DivertLab lab;
  const auto client = lab.connect(ordered());
  const auto packets = deliver(lab, *client, "abc");
  auto offload = DivertLab::verdict(packets[0].id, Action::accept);
  offload.flags = format::kFlowOffload;
  lab.say(*client, offload);
  REQUIRE(lab.corridor.gone.size() == 1);
  CHECK_FALSE(lab.corridor.gone[0].release.remember);
  CHECK(lab.divert("d").kind == Desk::Fate::Kind::held);
  for (const auto& packet : {packets[1], packets[2], lab.flush(*client).packets.at(0)})
    lab.say(*client, packet.id, Action::accept);
  CHECK(lab.texts() == "a b c d ");
  const auto fate = lab.divert("e");
  CHECK(fate.kind == Desk::Fate::Kind::pass);
  CHECK(fate.remember);
}

TEST_CASE("D2: in order: at random, each flow leaves in its order and nothing is forgotten") {
  Random random{{1, 2}};
  DivertLab lab{{.packets = 256, .bytes = 1 << 20, .port_packets = 256}};
  lab.terms.late = Late::pass;
  auto client = lab.connect(ordered());
  std::vector<std::uint64_t> waiting;
  std::vector<std::deque<std::string>> flows(5);
  std::size_t dropped = 0, left = 0, sent = 0;
  const auto check = [&] {
    for (const auto& one : std::exchange(lab.corridor.gone, {})) {
      auto& flow = flows[one.flow];
      if (one.release.kind != Release::Kind::accept) {
        ++dropped;
        REQUIRE(std::erase(flow, one.payload) == 1);
        continue;
      }
      ++left;
      REQUIRE(flow.front() == one.payload);
      flow.pop_front();
    }
  };
  for (int i = 0; i < 20000; ++i) {
    const std::uint32_t dice = random.below(100);
    if (dice < 45 && lab.desk.held() < 200) {
      const std::uint64_t flow = random.below(5);
      const std::string name = std::to_string(++sent);
      if (lab.divert(name, flow).kind == Desk::Fate::Kind::held) flows[flow].push_back(name);
    } else if (dice < 90 && !waiting.empty()) {
      const std::size_t at = random.below(static_cast<std::uint32_t>(waiting.size()));
      const Action action = dice < 60 ? Action::drop : Action::accept;
      lab.say(*client, std::exchange(waiting[at], waiting.back()), action);
      waiting.pop_back();
    } else if (dice < 97) {
      for (const auto& packet : lab.flush(*client).packets) waiting.push_back(packet.id);
    } else if (dice < 99) {
      lab.pass(milliseconds{random.below(1500)});
    } else {
      lab.leave(*client);
      client = lab.connect(ordered());
      waiting.clear();
    }
    check();
  }
  lab.pass(seconds{10});
  check();
  CHECK(lab.desk.held() == 0);
  CHECK(left > 2000);
  CHECK(dropped > 500);
  for (const auto& flow : flows) CHECK(flow.empty());
}
