// Unit tests of daemon/neighbour: who is asked when, who waits how long, and what is bounded.

#include <doctest/doctest.h>

#include "daemon/neighbour/neighbour_table.hpp"
#include "tests/support/frames.hpp"

using namespace masqgate;
using namespace masqgate::neighbour;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

struct Lab final : Asker {
  void ask(PortIndex, net::IpAddress) noexcept override { ++asked; }
  State state(std::string_view text = "203.0.113.1") {
    return table.at(*table.resolve(1, address(text), now)).state;
  }
  void tell(State to, std::optional<net::MacAddress> hardware = mac("02:00:00:00:00:01")) {
    table.update(1, address("203.0.113.1"), hardware, to);
  }
  bool park(std::string_view text = "203.0.113.1") {
    Packet packet = packet_of(frames, udp());
    return table.park(*table.resolve(1, address(text), now), packet);
  }
  std::size_t unpark_all() {
    std::size_t count = 0;
    while (table.unpark()) ++count;
    return count;
  }

  FramePool frames{100};
  int asked = 0;
  Table table{HashKey{1, 2}, *this};
  Time now{seconds{1000}};
};

}  // namespace

TEST_CASE("R-30: a next hop is asked for once a second at most, and not while it is usable") {
  Lab lab;
  for (int i = 0; i < 30; ++i, lab.now += std::chrono::milliseconds{100})
    CHECK(lab.state() == State::unresolved);
  CHECK(lab.asked == 3);
  lab.tell(State::usable);
  lab.now += seconds{100};
  CHECK(lab.state() == State::usable);
  CHECK(lab.asked == 3);
}

TEST_CASE("a stale one serves on and is asked about; a failed one gets another chance") {
  Lab lab;
  lab.tell(State::stale);
  CHECK(lab.table.entries()[0].state == State::stale);
  lab.state();
  CHECK(lab.asked == 1);
  CHECK(lab.state() == State::usable);
  lab.tell(State::failed, std::nullopt);
  CHECK(lab.state() == State::failed);
  lab.now += seconds{2};
  CHECK(lab.state() == State::unresolved);
  CHECK(lab.asked == 2);
}

TEST_CASE("R-28: a few packets wait for each, a bounded number for all; they go on in order") {
  Lab lab;
  for (int i = 0; i < Table::kMostWaitingEach; ++i) CHECK(lab.park());
  CHECK_FALSE(lab.park());
  for (int i = 2; lab.table.waiting() < Table::kMostWaiting; ++i)
    REQUIRE(lab.park("203.0.113." + std::to_string(i / 8 + 2)));
  CHECK_FALSE(lab.park("203.0.113.99"));
  CHECK(lab.frames.in_use() == Table::kMostWaiting);
  CHECK(lab.unpark_all() == 0);
  lab.tell(State::usable);
  CHECK(lab.unpark_all() == Table::kMostWaitingEach);
  CHECK(lab.table.waiting() == Table::kMostWaiting - Table::kMostWaitingEach);
  CHECK(lab.park("203.0.113.99"));
}

TEST_CASE("without a word from Linux the wait ends, also while more packets keep asking") {
  Lab lab;
  REQUIRE(lab.park());
  for (int i = 0; i < 6; ++i) {
    lab.now += seconds{1};
    lab.park();
    lab.table.expire(lab.now);
  }
  CHECK(lab.unpark_all() >= 5);
  CHECK(lab.table.waiting() <= 1);
}

TEST_CASE("a question that got lost is asked again while a packet waits, and only then") {
  Lab lab;
  CHECK(lab.park());
  CHECK(lab.asked == 1);
  for (int i = 0; i < 20; ++i, lab.now += std::chrono::milliseconds{100}) lab.table.expire(lab.now);
  CHECK(lab.asked == 2);
  lab.tell(State::usable);
  CHECK(lab.unpark_all() == 1);
  lab.now += seconds{100};
  lab.table.expire(lab.now);
  CHECK(lab.asked == 2);
}

TEST_CASE("forget_all: nothing is known, nobody waiting is lost") {
  Lab lab;
  lab.tell(State::usable);
  REQUIRE(lab.park("203.0.113.2"));
  lab.table.forget_all();
  CHECK(lab.state() == State::unresolved);
  CHECK(lab.table.waiting() == 1);
  lab.tell(State::usable);
  CHECK(lab.state() == State::usable);
}

TEST_CASE("K-24: strangers' next hops use each other's entries up, never a usable one's") {
  Lab lab;
  lab.tell(State::usable);
  for (std::uint32_t i = 0; i < Table::kMost + 5000; ++i)
    REQUIRE(lab.table.resolve(1, net::IpAddress::v4(0x0a000000 + i), lab.now));
  CHECK(lab.table.entries().size() == Table::kMost);
  CHECK(lab.state() == State::usable);
  CHECK(lab.table.generation() == 1);
}

TEST_CASE("an entry that short cuts may point at gets another meaning: the generation grows") {
  Lab lab;
  lab.tell(State::usable);
  lab.tell(State::failed, std::nullopt);
  for (std::uint32_t i = 0; i < 2 * Table::kMost; ++i)
    lab.table.resolve(1, net::IpAddress::v4(0x0a000000 + i), lab.now);
  CHECK(lab.table.generation() == 2);
}
