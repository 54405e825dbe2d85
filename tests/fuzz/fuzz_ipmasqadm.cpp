// Fuzz target: whatever line is written, what ipmasqadm's language makes of it can be said again.
//
// The first byte chooses the module, the rest is the line.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "daemon/control/ipmasqadm.hpp"

using namespace masqgate::control;
using masqgate::nat::ForwardModule;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto module = static_cast<ForwardModule>(data[0] % 3);
  const auto result = parse_ipmasqadm(module, std::string{data + 1, data + size});
  if (const auto* end = std::get_if<IpmasqadmEnd>(&result)) {
    if ((end->output + end->error).empty()) std::abort();
    return 0;
  }
  const auto& order = std::get<IpmasqadmCommand>(result).order;
  if (!order) return 0;
  if (order->module() != module) std::abort();
  const auto again = parse_ipmasqadm(module, ipmasqadm_words(*order));
  const auto* command = std::get_if<IpmasqadmCommand>(&again);
  if (command == nullptr || command->order != order) std::abort();
  masqgate::nat::Forwards{}.execute(*order);
  return 0;
}
