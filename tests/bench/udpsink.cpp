// Counts the UDP datagrams that arrive, from the first until none came for a while.

#include <poll.h>

#include <array>

#include "tests/bench/tool.hpp"

int main(int count, char** words) {
  using namespace masqgate::bench;
  const Arguments arguments{count, words, 1,
                            "udpsink PORT [IDLE_MS=400] [WAIT_MS=10000 (for the first)]"};
  const int idle = arguments.count(1, 400), patience = arguments.count(2, 10000);
  const int socket = bound(SOCK_DGRAM, arguments.count(0));
  set_option(socket, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);

  constexpr unsigned kBatch = 64;
  static std::array<std::array<char, 2048>, kBatch> buffers;
  std::array<iovec, kBatch> vectors;
  std::array<mmsghdr, kBatch> messages{};
  for (unsigned i = 0; i < kBatch; ++i) {
    vectors[i] = {buffers[i].data(), buffers[i].size()};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::printf("ready\n");
  std::fflush(stdout);

  std::uint64_t received = 0;
  double first = 0, last = 0;
  for (;;) {
    const int got = recvmmsg(socket, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (got <= 0) {
      pollfd readable{socket, POLLIN, 0};
      if (poll(&readable, 1, received == 0 ? patience : idle) <= 0) break;
      continue;
    }
    last = now();
    if (received == 0) first = last;
    received += static_cast<unsigned>(got);
  }
  std::printf("received=%llu seconds=%.3f\n", static_cast<unsigned long long>(received),
              last - first);
}
