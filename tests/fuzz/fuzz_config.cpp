// Fuzz target: a document becomes a Config whose canonical form is read back to itself, or it is
// refused at a place that is in it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/control/config.hpp"
#include "daemon/state/json_text.hpp"

using namespace masqgate;
using state::Json;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Json document;
  try {
    document = state::parse_json({reinterpret_cast<const char*>(data), size});
  } catch (const state::Error&) {
    return 0;
  }
  Json written;
  try {
    written = to_json(control::from_json(document, "/run/masqgate"));
  } catch (const state::Error& error) {
    if (error.problem() != state::Problem::invalid) std::abort();
    if (!document.contains(Json::json_pointer{error.pointer()})) std::abort();
    return 0;
  }
  if (to_json(control::from_json(written, "/run/masqgate")) != written) std::abort();
  return 0;
}
