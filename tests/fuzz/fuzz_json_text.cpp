// Fuzz target: whatever parse_json() accepts is written and read again as the same document.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "daemon/state/json_text.hpp"

using namespace masqgate::state;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{data, data + size};
  Json document;
  try {
    document = parse_json(text);
  } catch (const Error& error) {
    if (error.problem() != Problem::malformed) std::abort();
    return 0;
  }
  if (parse_json(document.dump()) != document) std::abort();
  return 0;
}
