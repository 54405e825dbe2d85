// Frames from a listener, any bytes: the desk never reads outside them, and every packet that it was
// given leaves it exactly once.

#include <cstdlib>

#include "tests/unit/divert_lab.hpp"

using namespace masqgate::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static DivertLab lab;
  const auto bytes = std::as_bytes(std::span{data, size});
  auto bind = DivertLab::binding();
  bind.permissions = Access::kEverything;
  if (size % 2 != 0) bind.flags = format::kBindOrdered;
  auto client = lab.connect(bind);
  for (int i = 0; i < 4; ++i) lab.divert("packet", 7);
  lab.desk.flush(lab.now);
  lab.desk.receive(client->member, bytes, lab.now);
  lab.desk.flush(lab.now);
  hear(client->channel);
  lab.leave(*client);
  // One that has not bound yet, and one that speaks without records.
  FakeChannel first, plain;
  const auto stranger = lab.desk.attach(first, {}), script = lab.desk.attach(plain, {});
  lab.desk.receive(stranger, bytes, lab.now);
  lab.desk.receive(script, std::as_bytes(std::span{"listen 2222", 11}), lab.now);
  for (int i = 0; i < 2; ++i) lab.divert("packet", 7);
  lab.desk.flush(lab.now);
  lab.desk.receive(script, bytes, lab.now);
  lab.desk.forget(stranger, lab.now);
  lab.desk.forget(script, lab.now);
  lab.desk.take_events();
  lab.pass(std::chrono::seconds{40});
  const bool all_left = lab.desk.held() == 0 && lab.desk.held_bytes() == 0;
  if (!all_left) std::abort();
  lab.corridor.gone.clear();
  lab.corridor.injected.clear();
  return 0;
}
