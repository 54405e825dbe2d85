// The shortest program for diverted packets: lets everything pass, and says how much there was.

#include <cstdio>
#include <cstdlib>

#include "divert/listener.hpp"

int main(int count, char** arguments) {
  const int port = count > 1 ? std::atoi(arguments[1]) : 2222;
  masqgate::divert::client::Listener listener{static_cast<std::uint16_t>(port),
                                              {.name = "accept_all"}};
  std::puts("ready");
  std::fflush(stdout);
  std::size_t packets = 0;
  for (auto batch = listener.receive(); !batch.empty(); batch = listener.receive()) {
    packets += batch.size();
    listener.accept_all();
  }
  std::printf("%zu packets\n", packets);
}
