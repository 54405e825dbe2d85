// A conversation made of the fuzzer's bytes, for one helper: messages of both sides, split at 0xfe
// (the client speaks) and 0xfd (the server). What leaves must not have grown without bound.

#pragma once

#include <cstdlib>

#include "daemon/helper/registry.hpp"
#include "tests/support/helper_stage.hpp"

namespace masqgate::test {

inline int fuzz_helper(const helper::Helper& helper, const std::uint8_t* data, std::size_t size) {
  constexpr char kClient = '\xfe', kServer = '\xfd';
  HelperStage stage{helper, size != 0 && data[0] == '6'};
  const std::string text{data, data + size};
  bool from_client = true;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t end = std::min(text.find_first_of("\xfe\xfd", from), text.size());
    const std::string part = text.substr(from, end - from);
    const std::size_t announced = stage.announcements.size();
    const std::string out = stage.say(from_client, part);
    // Each announcement makes an address and a port longer, and nothing else.
    if (out.size() > part.size() + (stage.announcements.size() - announced + part.size() / 8) * 64)
      std::abort();
    if (end < text.size()) from_client = text[end] == kClient;
    if (end < text.size() && text[end] == kServer) from_client = false;
    from = end + 1;
  }
  return 0;
}

}  // namespace masqgate::test
