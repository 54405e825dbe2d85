// Fuzzes the helper of ftp with conversations.

#include "tests/fuzz/helper.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return masqgate::test::fuzz_helper(masqgate::helper::kFtp, data, size);
}
