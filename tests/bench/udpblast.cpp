// Sends small UDP datagrams as fast as sendmmsg() can, or at a rate.

#include <ctime>

#include "tests/bench/tool.hpp"

namespace {
using namespace masqgate::bench;

constexpr unsigned kBatch = 32;

// How many datagrams may be sent now; sleeps when the next one is not due for a while.
unsigned due(double since_start, double rate, double sent) {
  if (rate <= 0) return kBatch;
  const double owed = since_start * rate - sent;
  if (owed >= 1) return static_cast<unsigned>(std::min<double>(owed, kBatch));
  const double wait = (1 - owed) / rate;
  if (wait > 60e-6) {
    const timespec nap{0, static_cast<long>(std::min(wait, 0.5) * 1e9) - 55'000};
    nanosleep(&nap, nullptr);
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments{count, words, 4,
                            "udpblast IP PORT PAYLOAD SECONDS [FLOWS=1] [RATE=0 (flat out)]"};
  const Address peer{arguments.text(0), arguments.count(1)};
  std::vector<char> payload(static_cast<std::size_t>(arguments.count(2)), 'x');
  const double seconds = arguments.number(3), rate = arguments.number(5);

  std::vector<int> flows(static_cast<std::size_t>(arguments.count(4, 1)));
  for (int& flow : flows) {
    flow = connected(SOCK_DGRAM, peer);
    set_option(flow, SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
  }
  iovec data{payload.data(), payload.size()};
  std::vector<mmsghdr> messages(kBatch);
  for (mmsghdr& message : messages) {
    message = {};
    message.msg_hdr.msg_iov = &data;
    message.msg_hdr.msg_iovlen = 1;
  }

  std::uint64_t sent = 0, refused = 0;
  const double start = now();
  double elapsed = 0;
  for (std::size_t turn = 0; (elapsed = now() - start) < seconds;) {
    const unsigned batch = due(elapsed, rate, static_cast<double>(sent));
    if (batch == 0) continue;
    const int done = sendmmsg(flows[turn++ % flows.size()], messages.data(), batch, 0);
    if (done > 0) {
      sent += static_cast<unsigned>(done);
    } else {
      ++refused;
    }
  }
  std::printf("sent=%llu seconds=%.3f rate=%.0f refused=%llu\n",
              static_cast<unsigned long long>(sent), elapsed, static_cast<double>(sent) / elapsed,
              static_cast<unsigned long long>(refused));
}
