// No helper takes longer than in proportion to what it reads, whatever that is.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "daemon/base/clock.hpp"
#include "daemon/helper/registry.hpp"
#include "tests/support/helper_stage.hpp"

using namespace masqgate;

namespace {

constexpr std::size_t kShort = 512, kLong = 16 * kShort;
// What is in proportion takes 16 times as long, what is squared 256 times; in between there is room
// for a machine with other work.
constexpr double kMost = 100;

std::string repeated(const std::string& part, std::size_t size) {
  std::string text;
  while (text.size() < size) text += part;
  text.resize(size);
  return text;
}

// The shortest of several goes; each long enough for the clock.
double seconds_for(const helper::Helper& helper, bool from_client, const std::string& text) {
  constexpr int kGoes = 5;
  constexpr std::size_t kBytes = 2 * kLong;
  Duration shortest = Duration::max();
  for (int go = 0; go < kGoes; ++go) {
    const Time start = BootClock::now();
    for (std::size_t done = 0; done < kBytes; done += text.size()) {
      test::HelperStage stage{helper};
      stage.say(from_client, text);
    }
    shortest = std::min(shortest, BootClock::now() - start);
  }
  return std::chrono::duration<double>(shortest).count() * static_cast<double>(text.size()) /
         static_cast<double>(kBytes);
}

// The named inputs of the fuzzer, without its signs for who speaks.
std::vector<std::string> corpus_of(const helper::Helper& helper) {
  const char* source = std::getenv("MASQGATE_SOURCE");
  REQUIRE_MESSAGE(source != nullptr, "set MASQGATE_SOURCE to the source tree");
  std::vector<std::string> all;
  const auto folder = std::filesystem::path{source} / "tests/fuzz/corpus";
  for (const auto& entry :
       std::filesystem::directory_iterator{folder / ("helper_" + std::string{helper.name})}) {
    std::ifstream file{entry.path(), std::ios::binary};
    std::string text{std::istreambuf_iterator<char>{file}, {}};
    std::erase_if(text, [](char c) { return c == '\xfe' || c == '\xfd'; });
    if (!text.empty()) all.push_back(std::move(text));
  }
  return all;
}

}  // namespace

TEST_CASE("H1: sixteen times the bytes take no helper much more than sixteen times as long") {
  const std::string hostile[] = {std::string(1, '\0'),
                                 "\xff",
                                 "\r\n",
                                 "\n",
                                 " ",
                                 ",",
                                 "(",
                                 "<",
                                 "=",
                                 "1,",
                                 "PORT 1,",
                                 "\x01"
                                 "DCC SEND ",
                                 "227 (",
                                 "m=audio 1 ",
                                 "c=IN IP4 ",
                                 "Via: ",
                                 std::string{"\x30\x80"},
                                 "\x7e\x00\x80"};
  for (const helper::Helper* helper : helper::all_helpers()) {
    std::vector<std::string> parts = corpus_of(*helper);
    CHECK_FALSE(parts.empty());
    parts.insert(parts.end(), std::begin(hostile), std::end(hostile));
    for (const std::string& part : parts) {
      for (const bool from_client : {true, false}) {
        CAPTURE(helper->name);
        CAPTURE(part);
        CAPTURE(from_client);
        const double one = seconds_for(*helper, from_client, repeated(part, kShort));
        const double many = seconds_for(*helper, from_client, repeated(part, kLong));
        CHECK(many <= kMost * one);
      }
    }
  }
}
