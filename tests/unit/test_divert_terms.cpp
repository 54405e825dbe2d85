// Unit tests of daemon/divert: what a listener may ask for beside the usual, and what people are told.

#include <doctest/doctest.h>

#include "tests/unit/divert_lab.hpp"

using namespace masqgate;
using namespace masqgate::test;
using format::Action;

namespace {

Octets text(std::string_view words) {
  const auto bytes = std::as_bytes(std::span{words});
  return {bytes.begin(), bytes.end()};
}

Octets plain_answer(std::uint64_t id, Action action, const Octets& data = {}) {
  format::PlainHeader header;
  header.id = id;
  header.action = static_cast<std::uint8_t>(action);
  Octets answer = bytes_of(header);
  answer.insert(answer.end(), data.begin(), data.end());
  return answer;
}

}  // namespace

TEST_CASE(
    "D3: plain datagrams: a sentence binds, each packet comes behind 16 bytes, the header "
    "answers") {
  DivertLab lab;
  FakeChannel channel;
  const Member member = lab.desk.attach(channel, {});
  REQUIRE(lab.desk.receive(member, text("listen 2222\n"), lab.now));
  for (const char* word : {"a", "b", "c"}) lab.divert(word);
  lab.desk.flush(lab.now);
  REQUIRE(channel.frames.size() == 3);
  std::vector<std::uint64_t> ids;
  for (const Octets& frame : channel.frames) {
    const auto header = format::load<format::PlainHeader>(frame);
    CHECK(header.in_interface == 1);
    CHECK(header.hook == 2);
    CHECK(frame.size() == sizeof header + 29);
    ids.push_back(header.id);
  }
  CHECK(lab.desk.receive(member, plain_answer(ids[2], Action::accept), lab.now));
  CHECK(lab.desk.receive(member, plain_answer(ids[0], Action::drop), lab.now));
  const Octets other =
      udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("other").ip_bytes();
  CHECK(lab.desk.receive(member, plain_answer(ids[1], Action::accept, other), lab.now));
  CHECK(lab.texts() == "c a! other ");
  CHECK(lab.desk.listener(member).counters.modified == 1);
}

TEST_CASE("D3: a plain connection that says nonsense is closed with a sentence") {
  for (const char* word : {"listen x", "listen 70000", "listen 2222x", "listen 0"}) {
    CAPTURE(word);
    DivertLab lab;
    FakeChannel channel;
    const Member member = lab.desk.attach(channel, {});
    CHECK_FALSE(lab.desk.receive(member, text(word), lab.now));
    CHECK(channel.frames.size() == 1);
    lab.desk.forget(member, lab.now);
  }
  const std::vector<Octets> answers{text("short"), plain_answer(1, Action::reject),
                                    plain_answer(1, Action::accept, Octets(70000))};
  for (const Octets& answer : answers) {
    DivertLab lab;
    FakeChannel channel;
    const Member member = lab.desk.attach(channel, {});
    REQUIRE(lab.desk.receive(member, text("listen 2222"), lab.now));
    CHECK_FALSE(lab.desk.receive(member, answer, lab.now));
    CHECK(channel.frames.size() == 1);
  }
}

TEST_CASE("D3: one by one: each packet in a frame of its own, for whoever waits with select()") {
  DivertLab lab;
  auto bind = DivertLab::binding();
  bind.flags = format::kBindOneByOne;
  auto client = lab.connect(bind);
  hear(client->channel);
  for (const char* word : {"a", "b", "c"}) lab.divert(word);
  lab.desk.flush(lab.now);
  CHECK(client->channel.frames.size() == 3);
  CHECK(hear(client->channel).packets.size() == 3);
}

TEST_CASE("D3: a group whose members need no flows: the least loaded one gets the packet") {
  DivertLab lab;
  auto bind = DivertLab::binding();
  bind.flags = format::kBindAnyMember;
  auto one = lab.connect(bind), other = lab.connect(bind);
  for (int i = 0; i < 10; ++i) lab.divert("x", 7);
  CHECK(lab.flush(*one).packets.size() == 5);
  const Heard heard = lab.flush(*other);
  CHECK(heard.packets.size() == 5);
  lab.say(*other, heard.packets.back().id, Action::accept_upto);
  for (int i = 0; i < 5; ++i) lab.divert("y", 7);
  CHECK(lab.flush(*other).packets.size() == 5);
}

TEST_CASE("D2: a verdict marks the connection, and wants no rule to divert the packet again") {
  DivertLab lab;
  auto client = lab.connect();
  lab.divert("a");
  auto verdict = DivertLab::verdict(lab.flush(*client).packets.at(0).id, Action::accept);
  verdict.flags = format::kSetFlowMark;
  verdict.mark = 0x12;
  verdict.mark_mask = 0x0f;
  lab.say(*client, verdict);
  CHECK(lab.corridor.connection_mark == 2);
  CHECK(lab.corridor.gone.at(0).mark == 0);
  Packet packet = packet_of(lab.frames, udp().from("192.168.1.10", 1).to("198.51.100.1", 53));
  packet.not_diverted = true;
  CHECK(lab.divert(packet).kind == Desk::Fate::Kind::pass);
}

TEST_CASE("D3: a flag that this version does not know is told, and the verdict counts without it") {
  DivertLab lab;
  auto client = lab.connect();
  lab.divert("a");
  auto verdict = DivertLab::verdict(lab.flush(*client).packets.at(0).id, Action::accept);
  verdict.flags = 64;
  lab.say(*client, verdict);
  CHECK(lab.texts() == "a ");
  CHECK(lab.flush(*client).notices.at(0).code ==
        static_cast<std::uint32_t>(format::Code::not_known));
}

TEST_CASE("D3: the name of the rule is an option") {
  DivertLab lab;
  auto bind = DivertLab::binding();
  bind.options = format::wants(format::Option::rule_name);
  auto client = lab.connect(bind);
  hear(client->channel);
  lab.divert("a");
  lab.desk.flush(lab.now);
  format::Reader reader{client->channel.frames.at(0)};
  const auto record = reader.next();
  REQUIRE(record);
  const auto option = format::load<format::OptionHeader>(record->rest);
  CHECK(option.type == 8);
  CHECK(option.length == 4);
}

TEST_CASE("D3: who came, who left, who died and who was sent away can be read") {
  DivertLab lab;
  using Kind = Event::Kind;
  auto one = lab.connect(), two = lab.connect();
  lab.divert("a");
  lab.desk.flush(lab.now);
  lab.desk.drain(two->member);
  lab.leave(*two);
  lab.leave(*one);
  auto bad = lab.connect();
  lab.desk.receive(bad->member, text("rubbish"), lab.now);
  lab.leave(*bad);
  std::vector<Kind> kinds;
  const auto events = lab.desk.take_events();
  for (const Event& event : events) kinds.push_back(event.kind);
  CHECK(kinds == std::vector{Kind::attached, Kind::attached, Kind::drained, Kind::died,
                             Kind::attached, Kind::closed, Kind::died});
  CHECK(lab.desk.take_events().empty());
  for (int i = 0; i < 100; ++i) lab.leave(*lab.connect());
  CHECK(lab.desk.take_events().size() == Desk::kMostEvents);
}

TEST_CASE("complaint 5: members join and leave while 10,000 flows live: none moves that need not") {
  DivertLab lab{{.packets = 64, .bytes = 1 << 20, .port_packets = 64}};
  std::vector<std::unique_ptr<DivertLab::Client>> clients;
  for (int i = 0; i < 2; ++i) clients.push_back(lab.connect());
  const auto owner_of = [&](std::uint64_t flow) {
    lab.divert("x", flow);
    lab.desk.flush(lab.now);
    for (std::size_t i = 0; i < clients.size(); ++i)
      for (const auto& packet : hear(clients[i]->channel).packets) {
        lab.say(*clients[i], packet.id, Action::accept);
        return i;
      }
    return clients.size();
  };
  constexpr std::uint64_t kFlows = 10000, kStep = 0x9e3779b97f4a7c15;
  std::vector<std::size_t> before;
  for (std::uint64_t i = 0; i < kFlows; ++i) before.push_back(owner_of(i * kStep));
  clients.push_back(lab.connect());
  std::size_t moved = 0, taken = 0;
  for (std::uint64_t i = 0; i < kFlows; ++i) moved += owner_of(i * kStep) != before[i];
  for (std::uint64_t i = kFlows; i < kFlows + 600; ++i) taken += owner_of(i * kStep) == 2;
  CHECK(moved == 0);
  CHECK(taken > 100);  // of new flows the new member has its share
  lab.leave(*clients[0]);
  for (std::uint64_t i = 0; i < kFlows; ++i)
    if (before[i] == 1) moved += owner_of(i * kStep) != 1;
  CHECK(moved == 0);
}
