// Round-trip time of one UDP datagram at a time.

#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "tests/bench/tool.hpp"

namespace {
using namespace masqgate::bench;

constexpr int kWarmUp = 200;
constexpr int kLossesToGiveUp = 5;

[[noreturn]] void serve(int port) {
  const int socket = bound(SOCK_DGRAM, port);
  std::printf("ready\n");
  std::fflush(stdout);
  std::array<char, 65536> buffer;
  for (;;) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    auto* const address = reinterpret_cast<sockaddr*>(&peer);
    const ssize_t got = recvfrom(socket, buffer.data(), buffer.size(), 0, address, &size);
    if (got >= 0) sendto(socket, buffer.data(), static_cast<std::size_t>(got), 0, address, size);
  }
}

int ask(const Arguments& arguments) {
  const int socket = connected(SOCK_DGRAM, {arguments.text(1), arguments.count(2)});
  const int rounds = arguments.count(3);
  const auto size = static_cast<std::size_t>(arguments.count(4, 64));
  const timeval patience{1, 0};
  sure(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), "SO_RCVTIMEO");

  std::vector<char> data(size, 'p');
  std::vector<double> times;
  int lost = 0;
  for (int round = -kWarmUp; round < rounds && lost <= kLossesToGiveUp; ++round) {
    const double start = now();
    if (send(socket, data.data(), size, 0) < 0 || recv(socket, data.data(), size, 0) < 0) {
      ++lost;
    } else if (round >= 0) {
      times.push_back((now() - start) * 1e6);
    }
  }
  if (times.empty()) return 1;
  std::sort(times.begin(), times.end());
  const auto quantile = [&](double part) {
    return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))];
  };
  std::printf("rounds=%zu lost=%d min=%.1f p50=%.1f p99=%.1f\n", times.size(), lost, times.front(),
              quantile(0.5), quantile(0.99));
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments{count, words, 2,
                            "pingpong serve PORT | pingpong ask IP PORT ROUNDS [SIZE=64]"};
  if (std::string{arguments.text(0)} == "serve") serve(arguments.count(1));
  return ask(arguments);
}
