// Unit tests of daemon/base.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "daemon/base/hash_index.hpp"
#include "daemon/base/random.hpp"
#include "daemon/base/siphash.hpp"
#include "daemon/base/timer_wheel.hpp"
#include "daemon/base/unique_fd.hpp"

using namespace masqgate;

TEST_CASE("siphash: another key gives another hash, the same key the same") {
  const auto hash = [](HashKey key) { return SipHash{key}.add(1).add(2).finish(); };
  CHECK(hash({1, 2}) == hash({1, 2}));
  CHECK(hash({1, 2}) != hash({1, 3}));
  CHECK(SipHash{{1, 2}}.add(1).finish() != SipHash{{1, 2}}.add(1).add(0).finish());
}

TEST_CASE("random: below() stays below and reaches every value of a small range") {
  Random random{{7, 9}};
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.below(10));
  CHECK(seen.size() == 10);
  CHECK(*seen.rbegin() == 9);
}

TEST_CASE("unique_fd: the last owner closes, a moved-from one does not") {
  UniqueFd first{::dup(0)};
  const int number = first.get();
  UniqueFd second{std::move(first)};
  CHECK_FALSE(first);
  CHECK(second.get() == number);
  second.reset();
  CHECK(::close(number) == -1);
}

namespace {

// Few hashes, so that runs are long, meet and wrap round the end of the array.
std::uint32_t crowded_hash(Random& random) {
  return (random.below(2) == 0 ? 0xfffffff0 : 0) + random.below(24);
}

}  // namespace

TEST_CASE("hash_index: against unordered_multimap, crowded and up to its limit") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Random random{{seed, 1}};
    constexpr std::size_t kMost = 60;
    HashIndex index{kMost};
    std::unordered_multimap<std::uint32_t, std::uint32_t> model;
    for (int step = 0; step < 3000; ++step) {
      const std::uint32_t hash = crowded_hash(random), value = random.below(8);
      const auto [first, last] = model.equal_range(hash);
      const auto same = std::find_if(first, last, [&](const auto& e) { return e.second == value; });
      const auto found = index.find(hash, [&](std::uint32_t v) { return v == value; });
      REQUIRE(found.has_value() == (same != last));
      if (random.below(3) == 0) {
        REQUIRE(index.erase(hash, value) == (same != last));
        if (same != last) model.erase(same);
      } else if (index.insert(hash, value)) {
        model.emplace(hash, value);
      } else {
        REQUIRE(model.size() == kMost);
      }
      REQUIRE(index.size() == model.size());
    }
    for (const auto& [hash, value] : model) CHECK(index.erase(hash, value));
    CHECK(index.size() == 0);
  }
}

TEST_CASE("timer_wheel: against a map of deadlines: nothing early, nothing more than a tick late") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Random random{{seed, 2}};
    constexpr std::uint32_t kRecords = 200;
    Time now{std::chrono::seconds{random.below(100000)}};
    TimerWheel wheel{kRecords, now};
    std::map<std::uint32_t, Time> model;
    // Distances of every level, and beyond the last.
    const auto distance = [&] {
      return TimerWheel::kTick *
             static_cast<std::int64_t>(random.next() >> (36 + random.below(27)));
    };
    for (int step = 0; step < 600; ++step) {
      const std::uint32_t record = random.below(kRecords);
      switch (random.below(4)) {
        case 0:
          wheel.cancel(record);
          model.erase(record);
          break;
        case 1:
          now += random.below(20) == 0 ? TimerWheel::kTick * random.below(300000)
                                       : TimerWheel::kTick * random.below(70) / 3;
          wheel.advance(now, kRecords, [&](std::uint32_t fired) {
            REQUIRE(model.contains(fired));
            CHECK(model[fired] <= now);
            model.erase(fired);
          });
          for (const auto& [left, deadline] : model) CHECK(deadline + TimerWheel::kTick >= now);
          break;
        default:
          model[record] = now + distance() - TimerWheel::kTick / 2;
          wheel.schedule(record, model[record]);
      }
      REQUIRE(wheel.is_scheduled(record) == model.contains(record));
    }
  }
}

TEST_CASE("timer_wheel: what the budget leaves fires at the next call; fire may schedule again") {
  const Time start{std::chrono::seconds{5}};
  TimerWheel wheel{10, start};
  for (std::uint32_t i = 0; i < 10; ++i) wheel.schedule(i, start);
  int fired = 0;
  const Time later = start + 2 * TimerWheel::kTick;
  const auto count = [&](std::uint32_t) { ++fired; };
  CHECK(wheel.advance(start, 100, count) == 0);
  CHECK(wheel.advance(later, 4, count) == 4);
  CHECK(wheel.advance(later, 4, count) == 4);
  CHECK(wheel.advance(later, 4, count) == 2);
  CHECK(fired == 10);
  wheel.schedule(3, later);
  const Time again = later + 2 * TimerWheel::kTick;
  CHECK(wheel.advance(again, 9, [&](std::uint32_t i) { wheel.schedule(i, again); }) == 1);
  CHECK(wheel.is_scheduled(3));
}
