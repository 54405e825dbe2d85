// Rows of sentences for helpers: what a message becomes, which endpoint it announces (the first,
// where there are several), and what is refused.

#pragma once

#include <doctest/doctest.h>

#include "tests/support/helper_stage.hpp"

namespace masqgate::test {

// A sentence: what goes in, and what becomes of it.
struct Row {
  const char* name;
  std::string in;
  std::optional<std::string> out;  // empty: as it came
  const char* announced = nullptr;
  std::optional<helper::Refusal> refused{};
};

inline void check(HelperStage& stage, bool from_client, const Row& row) {
  CAPTURE(row.name);
  stage.announcements.clear();
  stage.refusals.clear();
  CHECK(stage.say(from_client, row.in) == row.out.value_or(row.in));
  REQUIRE(stage.announcements.empty() == (row.announced == nullptr));
  if (row.announced != nullptr) CHECK(stage.announcements[0].own.text() == row.announced);
  REQUIRE(stage.refusals.size() == (row.refused ? 1 : 0));
  if (row.refused) CHECK(stage.refusals[0] == *row.refused);
}

// What ends the inspection and opens nothing, whatever stands behind it (K-01).
inline void check_foreign(const helper::Helper& which, std::string_view text) {
  HelperStage stage{which};
  stage.say(true, text);
  CHECK(stage.stopped);
  CHECK(stage.announcements.empty());
}

// Whatever is left of a message, nothing is read behind its end (the sanitizers and valgrind look),
// and nothing is announced that the whole one does not say: no port but this one and those behind
// it.
inline void check_cut(const helper::Helper& which, bool from_client, std::string_view before,
                      std::string_view message, net::Port port) {
  for (std::size_t size = 0; size < message.size(); ++size) {
    CAPTURE(size);
    HelperStage stage{which};
    if (!before.empty()) stage.say(true, before);
    const std::vector<char> exact{message.begin(), message.begin() + static_cast<long>(size)};
    stage.say(from_client, {exact.data(), exact.size()});
    for (const auto& what : stage.announcements)
      CHECK((what.own.port == port || what.own.port / 10 == port / 10 || what.own.port < port));
  }
}

}  // namespace masqgate::test
