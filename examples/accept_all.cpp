// The shortest program for diverted packets: lets everything pass, and says how much there was.
// Arguments: the port, and how many bytes of each packet are of interest (0: all).

#include <cstdio>
#include <cstdlib>

#include "divert/listener.hpp"

int main(int count, char** arguments) {
  const int port = count > 1 ? std::atoi(arguments[1]) : 2222;
  masqgate::divert::client::Options options;
  options.name = "accept_all";
  options.snapshot = count > 2 ? static_cast<std::uint32_t>(std::atoi(arguments[2])) : 0;
  masqgate::divert::client::Listener listener{static_cast<std::uint16_t>(port), options};
  std::puts("ready");
  std::fflush(stdout);
  std::size_t packets = 0;
  for (auto batch = listener.receive(); !batch.empty(); batch = listener.receive()) {
    packets += batch.size();
    listener.accept_all();
  }
  std::printf("%zu packets\n", packets);
}
