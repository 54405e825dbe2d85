// Fuzzes one helper with conversations made of the fuzzer's bytes: messages of both sides, split at
// 0xfe (the client speaks) and 0xfd (the server). Which helper, the program's own name says:
// helper_ftp.

#include <cstdlib>
#include <string>

#include "daemon/helper/registry.hpp"
#include "tests/support/helper_stage.hpp"

namespace {

const masqgate::helper::Helper* fuzzed = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char*** arguments) {
  const std::string_view program = (*arguments)[0];
  constexpr std::string_view kPrefix = "helper_";
  fuzzed = masqgate::helper::find_helper(program.substr(program.rfind(kPrefix) + kPrefix.size()));
  if (fuzzed == nullptr) std::abort();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr char kClient = '\xfe', kServer = '\xfd';
  const bool is_esp = fuzzed->beside && size != 0 && data[0] == 'e';
  masqgate::test::HelperStage stage{*fuzzed, size != 0 && data[0] == '6', is_esp ? 7u : 0u};
  const std::string text{data, data + size};
  bool from_client = true;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t end = std::min(text.find_first_of("\xfe\xfd", from), text.size());
    const std::string part = text.substr(from, end - from);
    const std::size_t announced = stage.announcements.size();
    const std::string out = stage.say(from_client, part);
    // Each announcement makes an address and a port longer, and so does each address that is
    // written there anyway; nothing else.
    if (out.size() > part.size() + (stage.announcements.size() - announced + part.size() / 3) * 64)
      std::abort();
    if (end < text.size()) from_client = text[end] == kClient;
    if (end < text.size() && text[end] == kServer) from_client = false;
    from = end + 1;
  }
  return 0;
}
