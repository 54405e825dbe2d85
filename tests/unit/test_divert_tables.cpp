// Unit tests of the files that show diverted packets, byte by byte.

#include <doctest/doctest.h>

#include "daemon/control/divert_tables.hpp"
#include "tests/unit/divert_lab.hpp"

using namespace masqgate;
using namespace masqgate::control;
using namespace masqgate::test;
using namespace std::chrono_literals;

namespace {

ListenerCopy made_up() {
  ListenerCopy one;
  one.member = 3;
  one.peer = {.process = 4711, .user = 1000, .group = 100};
  one.name = "my ids";
  one.port = 2222;
  one.group = "flow";
  one.transport = "packed";
  one.priority = -5;
  one.snapshot = 128;
  one.outstanding = 6;
  one.queued = 7;
  one.queued_bytes = 8;
  auto& c = one.counters;
  c.delivered = 90;
  c.frames = 20;
  c.accepted = 10;
  c.modified = 11;
  c.dropped = 12;
  c.rejected = 13;
  c.repeated = 14;
  c.expired = 15;
  c.redelivered = 20;
  c.injected = 21;
  c.inject_refused = 22;
  c.lost = 24;
  for (int i = 0; i < 98; ++i) one.latency.add(100us);
  one.latency.add(5ms);
  one.latency.add(5ms);
  return one;
}

DeskCopy made_up_desk() {
  DeskCopy copy;
  copy.ports.push_back({2222, 1, 2, 3, {}});
  auto& p = copy.ports[0].counters;
  p.full_dropped = 16;
  p.full_passed = 17;
  p.nobody_dropped = 18;
  p.nobody_passed = 19;
  p.died_dropped = 5;
  p.loops = 23;
  copy.ports.push_back({8668, 0, 0, 0, {}});
  copy.listeners = {made_up(), made_up()};
  copy.listeners[1].group = "tee";
  copy.listeners[1].transport = "shared";
  copy.listeners[1].name = "a_name_of_thirty_one_characters";
  return copy;
}

}  // namespace

TEST_CASE("net/divert: a row for each listener and for each port without one, byte by byte") {
  CHECK(divert_text(made_up_desk()) ==
        " port     pid   uid name              prio group transport outstanding queued_bytes"
        "    delivered     accepted     modified      dropped     rejected     repeated"
        "      expired    full_drop    full_pass nolistener_drop nolistener_pass  redelivered"
        "     injected   inject_err        loops         lost avg_batch   p50_us   p99_us\n"
        " 2222    4711  1000 my_ids              -5 flow  packed              6            8"
        "           90           10           11           12           13           14"
        "           15           16           17              18              19           20"
        "           21           22           23           24       4.5      128     8192\n"
        " 2222    4711  1000 a_name_of_thirty_one_characters     -5 tee   shared              6"
        "            8           90           10           11           12           13"
        "           14           15           16           17              18              19"
        "           20           21           22           23           24       4.5      128"
        "     8192\n"
        " 8668       0     0 -                    0 -     -                   0            0"
        "            0            0            0            0            0            0"
        "            0            0            0               0               0            0"
        "            0            0            0            0       0.0        0        0\n");
}

TEST_CASE("nfnetlink_queue: the nine columns of Linux, byte by byte; tees are no queues") {
  CHECK(queue_text(made_up_desk()) == " 2222   4711    13 2   128    16     5       90  1\n");
  DeskCopy whole = made_up_desk();
  whole.listeners[0].snapshot = 0;
  CHECK(queue_text(whole) == " 2222   4711    13 2 65535    16     5       90  1\n");
  CHECK(queue_text(DeskCopy{}).empty());
}

TEST_CASE("the copy of a desk says how each listener shares, and how it gets its packets") {
  DivertLab lab;
  auto bind = DivertLab::binding();
  auto flow = lab.connect(bind);
  bind.flags = format::kBindAnyMember;
  auto any = lab.connect(bind);
  bind.flags = format::kBindTee;
  bind.permissions = format::kMayTee;
  auto tee = lab.connect(bind);
  FakeChannel channel;
  const Member plain = lab.desk.attach(channel, {});
  REQUIRE(lab.desk.receive(plain, std::as_bytes(std::span{"listen 2222", 11}), lab.now));
  const DeskCopy copy = copy_desk(lab.desk, 5);
  CHECK(copy.rules_gone == 5);
  std::string words;
  for (const ListenerCopy& one : copy.listeners)
    words += std::string{one.group} + "/" + std::string{one.transport} + " ";
  CHECK(words == "flow/packed any/packed tee/packed flow/plain ");
}
