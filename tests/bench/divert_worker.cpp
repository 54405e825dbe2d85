// A program for diverted packets that works for a while on each, or answers very many at once in one order.

#include <algorithm>
#include <string_view>

#include "divert/listener.hpp"
#include "tests/bench/tool.hpp"

namespace {
using namespace masqgate::bench;
namespace client = masqgate::divert::client;
namespace format = masqgate::divert::format;

void ready() {
  std::printf("ready\n");
  std::fflush(stdout);
}

void work(client::Listener& listener, double seconds) {
  for (auto batch = listener.receive(); !batch.empty(); batch = listener.receive()) {
    for (client::Packet& packet : batch) {
      for (const double until = now() + seconds; now() < until;) continue;
      packet.accept();
    }
  }
}

// Collects so many packets, and says how long a verdict takes, until masqgate says that none is left.
void answer(client::Listener& listener, std::size_t number, bool backward) {
  std::vector<std::uint64_t> ids;
  while (ids.size() < number && !listener.is_gone())
    for (const client::Packet& packet : listener.receive()) ids.push_back(packet.header().id);
  if (backward) std::reverse(ids.begin(), ids.end());
  const double start = now();
  format::VerdictHeader verdict;  // its action is "accept"
  for (const std::uint64_t id : ids) {
    verdict.id = id;
    listener.say(verdict);
  }
  listener.drain();
  // More may have come behind the last one; they get their verdict as they are read.
  const auto is_drained = [&] {
    for (const auto& notice : listener.notices)
      if (notice.code == static_cast<std::uint32_t>(format::Code::drained)) return true;
    return listener.is_gone();
  };
  while (!is_drained())
    for (const client::Packet& packet : listener.poll()) {
      verdict.id = packet.header().id;
      listener.say(verdict);
    }
  std::printf("verdicts=%zu each_ns=%.0f\n", ids.size(),
              (now() - start) / static_cast<double>(ids.size()) * 1e9);
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments{
      count, words, 3,
      "divert_worker PORT work MICROSECONDS | divert_worker PORT forward|backward PACKETS"};
  const std::string_view what = arguments.text(1);
  client::Options options;
  options.settles = what == "work";
  client::Listener listener{static_cast<std::uint16_t>(arguments.count(0)), options};
  ready();
  if (what == "work") {
    work(listener, arguments.number(2) * 1e-6);
  } else {
    answer(listener, static_cast<std::size_t>(arguments.count(2)), what == "backward");
  }
}
