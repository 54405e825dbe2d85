// The shortest program for diverted packets: lets everything pass, and says how much there was.
// Arguments: the port, how many bytes of each packet are of interest (0: all), and "packed" to have
// frames by the socket instead of by shared memory.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "divert/listener.hpp"

int main(int count, char** arguments) {
  const int port = count > 1 ? std::atoi(arguments[1]) : 2222;
  masqgate::divert::client::Options options;
  options.name = "accept_all";
  options.snapshot = count > 2 ? static_cast<std::uint32_t>(std::atoi(arguments[2])) : 0;
  if (count > 3 && arguments[3] == std::string_view{"packed"})
    options.flags = masqgate::divert::format::kBindSegments;
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
