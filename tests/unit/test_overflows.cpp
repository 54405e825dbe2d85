// Unit tests of what is told about packets that find no room: when it begins, goes on, ends.

#include <doctest/doctest.h>

#include "daemon/control/overflows.hpp"

using namespace masqgate;
using namespace masqgate::control;
using namespace std::chrono_literals;

namespace {

struct Watch {
  // "2222 5" for what begins or goes on with so many packets, "2222 5." for what has ended.
  std::string step(std::vector<Overflows::Sample> samples, Duration later = 200ms) {
    now += later;
    std::string text;
    for (const Overflows::News& news : overflows.step(samples, now))
      text += (text.empty() ? "" : " | ") + std::to_string(news.who.port) + " " +
              std::to_string(news.packets) + (news.ended ? "." : "");
    return text;
  }
  Time now{1h};
  Overflows overflows;
};

Overflows::Sample port(std::uint16_t number, std::uint64_t count) {
  return {number, divert::kNoMember, {}, {}, count};
}

Overflows::Sample tee(divert::Member member, std::uint64_t count) {
  return {9, member, {}, "tee", count};
}

}  // namespace

TEST_CASE("overflows: one is told when it begins, and when it was quiet for two seconds") {
  Watch watch;
  CHECK(watch.step({port(1, 0), port(2, 0)}).empty());
  CHECK(watch.step({port(1, 5), port(2, 0)}) == "1 5");
  CHECK(watch.step({port(1, 9), port(2, 1)}) == "2 1");
  CHECK(watch.step({port(1, 9), port(2, 1)}, 1999ms).empty());
  CHECK(watch.step({port(1, 9), port(2, 1)}, 1ms) == "1 9. | 2 1.");
  CHECK(watch.step({port(1, 9), port(2, 1)}, 1h).empty());
  CHECK(watch.step({port(1, 12), port(2, 1)}) == "1 3");
}

TEST_CASE("overflows: one that lasts is told every ten seconds, however many packets there are") {
  Watch watch;
  std::string all;
  for (std::uint64_t i = 1; i <= 125; ++i) {
    const std::string news = watch.step({port(1, i * 1000)});
    if (!news.empty()) all += (all.empty() ? "" : " | ") + news;
  }
  CHECK(all == "1 1000 | 1 51000 | 1 101000");
}

TEST_CASE("overflows: who goes away ends its own, and who comes in its place begins anew") {
  Watch watch;
  CHECK(watch.step({port(9, 0), tee(3, 7)}) == "9 7");
  CHECK(watch.step({port(9, 0)}) == "9 7.");
  CHECK(watch.step({port(9, 0), tee(3, 2)}) == "9 2");
  CHECK(watch.step({port(9, 0), tee(3, 1)}).empty());  // another program: one packet more
  CHECK(watch.step({port(9, 0), tee(3, 1)}, 2s) == "9 3.");
}
