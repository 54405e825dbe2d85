// Unit tests of daemon/base.

#include <doctest/doctest.h>

#include <set>

#include "daemon/base/random.hpp"
#include "daemon/base/siphash.hpp"
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
