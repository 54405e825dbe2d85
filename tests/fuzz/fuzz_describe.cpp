// Fuzz target: any bytes can be described, as a frame and as an IP packet, in one line of printable
// text.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "daemon/wire/describe.hpp"

namespace {

void check(const std::string& text) {
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (text.empty() || text.size() > 1000 || !printable) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  check(masqgate::wire::describe_frame(bytes));
  check(masqgate::wire::describe_ip(bytes));
  return 0;
}
