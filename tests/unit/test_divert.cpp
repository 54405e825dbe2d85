// Unit tests of daemon/divert: who gets which packet, what happens when nobody answers, and that no
// packet is ever lost or kept for ever.

#include <doctest/doctest.h>

#include "tests/unit/divert_lab.hpp"

using namespace masqgate;
using namespace masqgate::test;
using format::Action;
using std::chrono::milliseconds;
using std::chrono::seconds;
using FateKind = Desk::Fate::Kind;

TEST_CASE("D1, complaint 12: nobody listens: drop, pass, reject, as the rule says") {
  DivertLab lab;
  CHECK(lab.divert("a").kind == FateKind::drop);
  CHECK(lab.divert("a").reason == DropReason::divert_nobody);
  lab.terms.nobody = Nobody::pass;
  CHECK(lab.divert("a").kind == FateKind::pass);
  lab.terms.nobody = Nobody::reject;
  CHECK(lab.divert("a").kind == FateKind::reject);
  CHECK(lab.desk.held() == 0);
  CHECK(lab.desk.ports()[0].counters.nobody_dropped == 3);
  CHECK(lab.desk.ports()[0].counters.nobody_passed == 1);
}

TEST_CASE(
    "D1, complaint 12: nobody listens and the rule says hold: who comes in time gets all, in "
    "order") {
  DivertLab lab;
  lab.terms.nobody = Nobody::hold;
  CHECK(lab.divert("a").kind == FateKind::held);
  CHECK(lab.divert("b").kind == FateKind::held);
  lab.pass(seconds{1});
  auto client = lab.connect();
  const Heard heard = lab.flush(*client);
  REQUIRE(heard.packets.size() == 2);
  lab.say(*client, heard.packets[1].id, Action::accept_upto);
  CHECK(lab.texts() == "a b ");
}

TEST_CASE(
    "D3: a held packet that no listener comes for goes as the rule says when its time is over") {
  for (const Late late : {Late::drop, Late::pass}) {
    DivertLab lab;
    lab.terms.nobody = Nobody::hold;
    lab.terms.late = late;
    lab.divert("a");
    lab.pass(milliseconds{1900});
    CHECK(lab.corridor.gone.empty());
    lab.pass(milliseconds{300});
    CHECK(lab.texts() == (late == Late::pass ? "a " : "a! "));
  }
}

TEST_CASE("D3: packets of one turn share a frame; verdicts by id, in any order") {
  DivertLab lab;
  auto client = lab.connect();
  hear(client->channel);
  for (const char* text : {"a", "b", "c"}) CHECK(lab.divert(text).kind == FateKind::held);
  CHECK(client->channel.frames.empty());
  lab.desk.flush(lab.now);
  CHECK(client->channel.frames.size() == 1);
  const Heard heard = hear(client->channel);
  REQUIRE(heard.packets.size() == 3);
  lab.say(*client, heard.packets[2].id, Action::accept);
  lab.say(*client, heard.packets[0].id, Action::drop);
  lab.say(*client, heard.packets[1].id, Action::accept);
  CHECK(lab.texts() == "c a! b ");
  CHECK(lab.desk.held() == 0);
  CHECK(lab.desk.held_bytes() == 0);
}

TEST_CASE(
    "D3, complaint 9: a verdict said twice, for an unknown id or an old generation is a notice, no "
    "harm") {
  DivertLab lab;
  auto client = lab.connect();
  lab.divert("a");
  const auto id = lab.flush(*client).packets.at(0).id;
  lab.say(*client, id, Action::accept);
  lab.say(*client, id, Action::drop);
  lab.say(*client, 12345, Action::drop);
  lab.divert("b");  // in the same slot
  const Heard heard = lab.flush(*client);
  lab.say(*client, id, Action::drop);
  CHECK(lab.texts() == "a ");
  CHECK(lab.alive);
  CHECK(heard.notices.size() == 2);
  CHECK(lab.flush(*client).notices.size() == 1);
  CHECK(lab.desk.held() == 1);
}

TEST_CASE("D3: a listener cannot judge what another one has") {
  DivertLab lab;
  auto one = lab.connect();
  lab.divert("a");
  const auto id = lab.flush(*one).packets.at(0).id;
  auto other = lab.connect(DivertLab::binding(-1));
  lab.say(*other, id, Action::drop);
  CHECK(lab.corridor.gone.empty());
  CHECK(lab.flush(*other).notices.at(0).code ==
        static_cast<std::uint32_t>(format::Code::unknown_id));
}

TEST_CASE("D3: silence ends with the deadline, and the listener is told") {
  for (const Late late : {Late::drop, Late::pass}) {
    DivertLab lab;
    lab.terms.late = late;
    lab.terms.deadline_ms = 500;
    auto client = lab.connect();
    lab.divert("a");
    lab.flush(*client);
    lab.pass(milliseconds{400});
    CHECK(lab.corridor.gone.empty());
    lab.pass(milliseconds{200});
    CHECK(lab.texts() == (late == Late::pass ? "a " : "a! "));
    CHECK(lab.flush(*client).notices.at(0).code ==
          static_cast<std::uint32_t>(format::Code::expired));
  }
}

TEST_CASE("D3: HOLD keeps a packet for longer") {
  DivertLab lab;
  auto client = lab.connect();
  lab.divert("a");
  auto wait = DivertLab::verdict(lab.flush(*client).packets.at(0).id, Action::hold);
  wait.argument = 10000;
  lab.say(*client, wait);
  lab.pass(seconds{9});
  CHECK(lab.corridor.gone.empty());
  lab.pass(seconds{2});
  CHECK(lab.texts() == "a! ");
}

TEST_CASE("D3: a full queue: drop the newest, drop the oldest, or pass") {
  const std::vector<std::pair<Full, FateKind>> rows{{Full::drop, FateKind::drop},
                                                    {Full::drop_oldest, FateKind::held},
                                                    {Full::pass, FateKind::pass}};
  for (const auto& [full, fate] : rows) {
    DivertLab lab{{.packets = 64, .bytes = 1 << 20, .port_packets = 3}};
    lab.terms.full = full;
    auto client = lab.connect();
    client->channel.is_full = true;  // it does not read
    for (const char* text : {"a", "b", "c"}) CHECK(lab.divert(text).kind == FateKind::held);
    CHECK(lab.divert("d").kind == fate);
    CHECK(lab.texts() == (full == Full::drop_oldest ? "a! " : ""));
    CHECK(lab.desk.held() == 3);
  }
}

TEST_CASE("D3: bytes are bounded as packets are") {
  DivertLab lab{{.packets = 64, .bytes = 1 << 20, .port_packets = 32, .port_bytes = 3000}};
  auto client = lab.connect();
  const std::string big(1400, 'x');
  CHECK(lab.divert(big).kind == FateKind::held);
  CHECK(lab.divert(big).kind == FateKind::held);
  CHECK(lab.divert(big).kind == FateKind::drop);
  CHECK(lab.divert("small").kind == FateKind::held);
}

TEST_CASE("D3: credit: no more is handed out than the listener can hold") {
  DivertLab lab;
  auto bind = DivertLab::binding();
  bind.credit = 2;
  auto client = lab.connect(bind);
  CHECK(hear(client->channel).bounds.at(0).credit == 2);
  for (const char* text : {"a", "b", "c"}) lab.divert(text);
  const Heard first = lab.flush(*client);
  REQUIRE(first.packets.size() == 2);
  lab.say(*client, first.packets[0].id, Action::accept);
  CHECK(lab.flush(*client).packets.size() == 1);
}

TEST_CASE("D3: a channel that takes no more keeps frames whole and in order") {
  DivertLab lab;
  auto client = lab.connect();
  hear(client->channel);
  client->channel.is_full = true;
  lab.divert("a");
  CHECK(lab.flush(*client).packets.empty());
  lab.divert("b");
  CHECK(lab.flush(*client).packets.empty());
  client->channel.is_full = false;
  lab.desk.writable(client->member, lab.now);
  const Heard heard = hear(client->channel);
  REQUIRE(heard.packets.size() == 2);
  lab.say(*client, heard.packets[1].id, Action::accept_upto);
  CHECK(lab.texts() == "a b ");
}

TEST_CASE(
    "R1: a listener dies: what it had goes to the next one, in order, marked as redelivered") {
  DivertLab lab;
  auto one = lab.connect();
  for (const char* text : {"a", "b"}) lab.divert(text);
  lab.flush(*one);
  lab.divert("c");  // still in its queue
  lab.leave(*one);
  CHECK(lab.divert("d").kind == FateKind::held);  // comes while nobody is there
  CHECK(lab.corridor.gone.empty());
  lab.pass(seconds{1});
  auto next = lab.connect();
  const Heard heard = lab.flush(*next);
  REQUIRE(heard.packets.size() == 4);
  CHECK((heard.packets[0].flags & format::kRedelivered) != 0);
  CHECK((heard.packets[3].flags & format::kRedelivered) == 0);
  lab.say(*next, heard.packets[3].id, Action::accept_upto);
  CHECK(lab.texts() == "a b c d ");
}

TEST_CASE("D3: a listener dies and none comes: after the grace as if nobody listened") {
  for (const Nobody nobody : {Nobody::drop, Nobody::pass, Nobody::reject}) {
    DivertLab lab;
    lab.terms.nobody = nobody;
    auto one = lab.connect();
    lab.divert("a");
    lab.flush(*one);
    lab.leave(*one);
    lab.pass(milliseconds{2200});
    REQUIRE(lab.corridor.gone.size() == 1);
    CHECK(lab.corridor.gone[0].release.kind == (nobody == Nobody::pass   ? Release::Kind::accept
                                                : nobody == Nobody::drop ? Release::Kind::drop
                                                                         : Release::Kind::reject));
  }
}

TEST_CASE("D3: death can also mean drop or pass") {
  for (const Death death : {Death::drop, Death::pass}) {
    DivertLab lab;
    lab.terms.death = death;
    auto one = lab.connect();
    lab.divert("a");
    lab.leave(*one);
    CHECK(lab.texts() == (death == Death::pass ? "a " : "a! "));
  }
}

TEST_CASE(
    "D3: listeners of one priority share flows; who joins moves none, who dies leaves his to "
    "others") {
  DivertLab lab{{.packets = 1024, .bytes = 1 << 20, .port_packets = 1024}};
  auto one = lab.connect();
  auto two = lab.connect();
  std::map<std::uint64_t, int> owner;
  const auto round = [&](std::vector<DivertLab::Client*> clients) {
    std::map<std::uint64_t, int> seen;
    for (std::uint64_t flow = 1; flow <= 60; ++flow) lab.divert("x", flow * 77);
    lab.desk.flush(lab.now);
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const Heard heard = hear(clients[i]->channel);
      for (const auto& packet : heard.packets) seen[packet.flow] = static_cast<int>(i);
      if (!heard.packets.empty())
        lab.say(*clients[i], heard.packets.back().id, Action::accept_upto);
    }
    return seen;
  };
  const auto before = round({one.get(), two.get()});
  CHECK(before.size() == 60);
  const auto count = std::ranges::count_if(before, [](const auto& f) { return f.second == 0; });
  CHECK(count > 10);
  CHECK(count < 50);
  auto three = lab.connect();
  CHECK(round({one.get(), two.get(), three.get()}) == before);
  lab.leave(*two);
  for (const auto& [flow, who] : round({one.get(), three.get()}))
    if (before.at(flow) == 0) CHECK(who == 0);
}

TEST_CASE("D3: of different priorities, the lower one sees what the higher one accepted") {
  DivertLab lab;
  auto low = lab.connect(DivertLab::binding(1));
  auto high = lab.connect(DivertLab::binding(2));
  lab.divert("a");
  lab.divert("b");
  Heard heard = lab.flush(*high);
  REQUIRE(heard.packets.size() == 2);
  CHECK(lab.flush(*low).packets.empty());
  lab.say(*high, heard.packets[0].id, Action::accept);
  lab.say(*high, heard.packets[1].id, Action::drop);
  heard = lab.flush(*low);
  REQUIRE(heard.packets.size() == 1);
  CHECK(lab.texts() == "b! ");
  lab.say(*low, heard.packets[0].id, Action::accept);
  CHECK(lab.texts() == "a ");
}

TEST_CASE("D3, complaint 11: a tee gets copies and holds nothing up, even when it is stuck") {
  DivertLab lab{{.packets = 1024, .bytes = 1 << 20, .port_packets = 1024}};
  auto bind = DivertLab::binding();
  bind.flags = format::kBindTee;
  bind.permissions = format::kMayTee;
  auto tee = lab.connect(bind);
  hear(tee->channel);
  auto client = lab.connect();
  lab.divert("a");
  Heard copies = lab.flush(*tee);
  REQUIRE(copies.packets.size() == 1);
  CHECK((copies.packets[0].flags & format::kTee) != 0);
  CHECK(hear(client->channel).packets.size() == 1);
  tee->channel.is_full = true;
  for (int i = 0; i < 300; ++i)
    lab.divert("a packet with some bytes in it so that a frame gets full");
  CHECK(lab.flush(*client).packets.size() == 300);
  tee->channel.is_full = false;
  lab.desk.writable(tee->member, lab.now);
  lab.divert("b");
  copies = lab.flush(*tee);
  CHECK(copies.packets.size() < 400);
  for (int i = 0; i < 100; ++i) lab.divert("more");
  lab.desk.flush(lab.now);
  CHECK(lab.desk.listener(tee->member).counters.lost + copies.packets.size() >= 300);
}

TEST_CASE("D3: drain: no new packets, a notice when all is answered; others take over") {
  DivertLab lab;
  auto old = lab.connect();
  lab.divert("a");
  const auto id = lab.flush(*old).packets.at(0).id;
  CHECK(lab.desk.drain(old->member));
  auto fresh = lab.connect();
  lab.divert("b");
  CHECK(lab.flush(*fresh).packets.size() == 1);
  CHECK(hear(old->channel).notices.empty());
  lab.say(*old, id, Action::accept);
  CHECK(lab.flush(*old).notices.at(0).code == static_cast<std::uint32_t>(format::Code::drained));
}

TEST_CASE("D2: mark by mask, new bytes, no more of this flow, block this flow") {
  DivertLab lab;
  auto client = lab.connect();
  Packet packet = packet_of(lab.frames, udp().payload("a"));
  packet.mark = 0xab;
  lab.divert(packet);
  Heard heard = lab.flush(*client);
  auto verdict = DivertLab::verdict(heard.packets.at(0).id, Action::accept);
  verdict.flags = format::kSetMark | format::kModified | format::kFlowOffload;
  verdict.mark = 0x10;
  verdict.mark_mask = 0xf0;
  verdict.budget = 2;
  const Octets data = udp().payload("longer").ip_bytes();
  verdict.argument = static_cast<std::uint16_t>(data.size());
  Octets record = bytes_of(verdict);
  record.insert(record.end(), data.begin(), data.end());
  record.resize(format::padded(record.size()));
  const auto length = format::U32{static_cast<std::uint32_t>(record.size())};
  std::memcpy(record.data(), &length, 4);
  CHECK(lab.desk.receive(client->member, frame_of_records({record}), lab.now));
  REQUIRE(lab.corridor.gone.size() == 1);
  CHECK(lab.corridor.gone[0].mark == 0x1b);
  CHECK(lab.corridor.gone[0].payload == "longer");
  CHECK(lab.desk.held_bytes() == 0);
  CHECK(lab.divert("b").kind == FateKind::pass);
  CHECK(lab.divert("c").kind == FateKind::pass);
  CHECK(lab.divert("d").kind == FateKind::held);
  verdict = DivertLab::verdict(lab.flush(*client).packets.at(0).id, Action::drop);
  verdict.flags = format::kFlowBlock;
  lab.say(*client, verdict);
  CHECK(lab.divert("e").kind == FateKind::drop);
  CHECK(lab.divert("other", 2).kind == FateKind::held);
}

TEST_CASE("D2: what is no packet any more is dropped, and its listener is told") {
  DivertLab lab;
  auto client = lab.connect();
  lab.divert("a");
  auto verdict = DivertLab::verdict(lab.flush(*client).packets.at(0).id, Action::accept);
  verdict.flags = format::kModified;  // without data
  lab.say(*client, verdict);
  CHECK(lab.texts() == "a! ");
  CHECK(lab.flush(*client).notices.at(0).code ==
        static_cast<std::uint32_t>(format::Code::bad_packet));
}

TEST_CASE("D3: a packet that has been through too many hands is dropped and counted") {
  DivertLab lab;
  auto client = lab.connect();
  Packet packet = packet_of(lab.frames, udp().payload("a"));
  packet.hops = 8;
  CHECK(lab.divert(packet).reason == DropReason::divert_loop);
  CHECK(lab.desk.ports()[0].counters.loops == 1);
  lab.desk.set_most_hops(9);
  CHECK(lab.divert(packet).kind == Desk::Fate::Kind::held);
}

TEST_CASE("D2: what a listener injected is not diverted to its own port") {
  DivertLab lab;
  auto client = lab.connect();
  Packet packet = packet_of(lab.frames, udp().payload("a"));
  packet.divert_origin = 2222;
  CHECK(lab.divert(packet).kind == FateKind::pass);
  lab.terms.allow_own = true;
  CHECK(lab.divert(packet).kind == FateKind::held);
}

TEST_CASE("D2: injecting needs its permission; why it failed is a notice with the cookie") {
  DivertLab lab;
  auto poor = lab.connect();
  format::InjectHeader inject;
  inject.cookie = 99;
  lab.alive = lab.desk.receive(poor->member, frame_of_records({bytes_of(inject)}), lab.now);
  const auto notice = lab.flush(*poor).notices.at(0);
  CHECK(notice.id == 99);
  CHECK(notice.code == static_cast<std::uint32_t>(format::Code::not_allowed));
  auto bind = DivertLab::binding();
  bind.permissions = format::kMayListen | format::kMayInject;
  auto rich = lab.connect(bind);
  lab.desk.receive(rich->member, frame_of_records({bytes_of(inject)}), lab.now);
  CHECK(lab.corridor.injected.size() == 1);
  lab.corridor.refuses_injection = format::Code::no_interface;
  lab.desk.receive(rich->member, frame_of_records({bytes_of(inject)}), lab.now);
  CHECK(lab.flush(*rich).notices.at(0).code ==
        static_cast<std::uint32_t>(format::Code::no_interface));
}

TEST_CASE("D3: who may bind is a matter of user, port and permission") {
  DivertLab lab;
  auto access = std::make_shared<Access>();
  access->rules = {{2000, 2999, 1000, {}, format::kMayListen}};
  lab.desk.set_access(access);
  auto bind = DivertLab::binding();
  bind.permissions = format::kMayListen;
  const auto try_it = [&](format::BindHeader header, std::uint32_t user) {
    auto client = lab.connect(header, {1, user, user});
    const Heard heard = hear(client->channel);
    CHECK(heard.byes.empty() == lab.alive);
    lab.leave(*client);
    return lab.alive;
  };
  CHECK(try_it(bind, 1000));
  CHECK_FALSE(try_it(bind, 1001));
  bind.port = 3000;
  CHECK_FALSE(try_it(bind, 1000));
  CHECK(try_it(bind, 0));
  bind.port = 2222;
  bind.permissions = format::kMayInject;
  CHECK_FALSE(try_it(bind, 1000));
  bind.permissions = 0;
  bind.flags = 0x8000;
  CHECK_FALSE(try_it(bind, 0));
}

TEST_CASE("D3: options that were asked for stand between header and packet") {
  DivertLab lab;
  auto bind = DivertLab::binding();
  bind.options = format::wants(format::Option::in_name) |
                 format::wants(format::Option::in_address) |
                 format::wants(format::Option::original_tuple);
  auto client = lab.connect(bind);
  hear(client->channel);
  lab.divert("text");
  lab.desk.flush(lab.now);
  REQUIRE(client->channel.frames.size() == 1);
  format::Reader reader{client->channel.frames[0]};
  const auto record = reader.next();
  REQUIRE(record);
  const auto header = record->as<format::PacketHeader>(format::Type::packet);
  CHECK(header->options_length == 4 + 4 + 4 + 4 + 4 + 40);
  const auto name = record->rest.subspan(4, 3);
  CHECK(static_cast<char>(name[0]) == 'l');
  const auto packet = record->rest.subspan(header->options_length, header->captured_length);
  CHECK(static_cast<char>(packet.back()) == 't');
  CHECK(header->hook == 2);
  CHECK(header->payload_offset == 28);
}

TEST_CASE("D3, complaint 10: rubbish closes the connection with a reason") {
  DivertLab lab;
  auto client = lab.connect();
  const auto complaint = [&](Octets frame) {
    auto one = lab.connect();
    hear(one->channel);
    CHECK_FALSE(lab.desk.receive(one->member, frame, lab.now));
    const Heard heard = hear(one->channel);
    lab.leave(*one);
    return heard.byes.empty() ? std::string{} : heard.byes[0];
  };
  const Octets sound = frame_of_records({bytes_of(DivertLab::verdict(1, Action::accept))});
  const auto changed = [&](std::size_t at, unsigned value) {
    Octets frame = sound;
    frame[at] = static_cast<std::byte>(value);
    return complaint(frame);
  };
  CHECK(changed(0, 0) == "the frame does not begin with DVT1");
  CHECK(changed(4, 2) == "the frame is of another major version than 1");
  CHECK(changed(8, 1) == "the frame's length is not that of the datagram");
  CHECK(changed(12, 2) == "the frame has more or fewer records than it says");
  CHECK(changed(12, 0) == "the frame has more or fewer records than it says");
  CHECK(changed(16, 41) == "a record's length or header length is impossible");
  CHECK(changed(16, 48) == "a record's length or header length is impossible");
  CHECK(changed(22, 48) == "a record's length or header length is impossible");
  CHECK(changed(22, 32) == "a verdict is too short");
  CHECK(changed(32, 200) == "a verdict has an unknown action");
  CHECK(complaint(frame_of_records({bytes_of(DivertLab::binding())})) == "is bound already");
  // An unknown record type is skipped.
  auto future = sound;
  future[20] = std::byte{77};
  CHECK(lab.desk.receive(client->member, future, lab.now));
}

TEST_CASE(
    "D3: every truncation and every changed byte of a frame is refused or understood, never "
    "followed blindly") {
  DivertLab lab;
  auto inject = format::InjectHeader{};
  inject.data_length = 16;
  Octets long_record = bytes_of(inject);
  long_record.resize(72);
  const auto length = format::U32{72};
  std::memcpy(long_record.data(), &length, 4);
  const Octets sound =
      frame_of_records({bytes_of(DivertLab::verdict(1, Action::accept)), long_record});
  for (std::size_t size = 0; size < sound.size(); ++size) {
    auto client = lab.connect();
    CHECK_FALSE(lab.desk.receive(client->member, std::span{sound}.first(size), lab.now));
    lab.leave(*client);
  }
  for (std::size_t at = 0; at < sound.size(); ++at)
    for (const unsigned value : {0u, 1u, 7u, 0x7fu, 0xffu}) {
      Octets frame = sound;
      frame[at] = static_cast<std::byte>(value);
      auto client = lab.connect();
      lab.desk.receive(client->member, frame, lab.now);
      lab.leave(*client);
    }
}

TEST_CASE("D3: the layout of a frame, byte for byte") {
  DivertLab lab;
  auto client = lab.connect();
  hear(client->channel);
  lab.place.add({0x01020304, 4});
  lab.divert("x", 0x1122334455667788);
  lab.desk.flush(lab.now);
  const Octets& frame = client->channel.frames.at(0);
  const auto at = [&](std::size_t offset, std::vector<unsigned> expected) {
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK_MESSAGE(static_cast<unsigned>(frame.at(offset + i)) == expected[i],
                    "at " << offset + i);
  };
  at(0, {'D', 'V', 'T', '1', 1, 0, 1, 0, 144, 0, 0, 0, 1, 0, 0, 0});
  at(16, {128, 0, 0, 0, 1, 0, 96, 0});
  at(16 + 24, {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11});
  at(16 + 32, {29, 0, 0, 0, 29, 0, 0, 0});
  at(16 + 48, {4, 3, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
  at(16 + 68, {5, 0, 0xae, 0x08, 2, 0, 1, 17});
  at(16 + 76, {0, 0, 20, 0, 28, 0, 0, 8});
  at(16 + 96, {0x45});
  at(16 + 96 + 28, {'x', 0, 0, 0});
}

TEST_CASE("P8: verdicts in reverse order find their packets") {
  DivertLab lab{{.packets = 150, .bytes = 1 << 20, .port_packets = 150}};
  auto client = lab.connect();
  for (int i = 0; i < 150; ++i) lab.divert(std::to_string(i));
  const Heard heard = lab.flush(*client);
  REQUIRE(heard.packets.size() == 150);
  for (std::size_t i = heard.packets.size(); i-- > 0;)
    lab.say(*client, heard.packets[i].id, Action::accept);
  CHECK(lab.corridor.gone.size() == 150);
  CHECK(lab.corridor.gone.front().payload == "149");
}
