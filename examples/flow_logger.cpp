// Lets everything pass that is diverted to its port, and prints flows as they begin and end, and who
// else listens. Argument: the port.

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "divert/listener.hpp"

namespace client = masqgate::divert::client;
namespace format = masqgate::divert::format;

namespace {

std::string text(const std::uint8_t* address, const format::TupleValue& tuple, unsigned port) {
  std::array<char, INET6_ADDRSTRLEN> out{};
  ::inet_ntop(tuple.version == 4 ? AF_INET : AF_INET6, address, out.data(), out.size());
  const bool has_ports = tuple.protocol == 6 || tuple.protocol == 17;
  return out.data() + (has_ports ? " port " + std::to_string(port) : std::string{});
}

void print(const format::FlowHeader& flow) {
  const format::TupleValue& tuple = flow.original;
  const bool begins = flow.event == static_cast<std::uint8_t>(format::FlowEvent::start);
  std::printf("%s %s > %s", begins ? "begins" : "ends",
              text(tuple.source, tuple, tuple.source_port).c_str(),
              text(tuple.destination, tuple, tuple.destination_port).c_str());
  if (!begins)
    std::printf(": %llu and %llu bytes", static_cast<unsigned long long>(flow.bytes[0].value()),
                static_cast<unsigned long long>(flow.bytes[1].value()));
  std::puts("");
}

void print(const format::ListenerHeader& other) {
  const bool left = other.event == static_cast<std::uint8_t>(format::ListenerEvent::left);
  std::printf("%s at port %u: %.32s, process %u\n", left ? "gone" : "listens",
              static_cast<unsigned>(other.port), other.name, static_cast<unsigned>(other.process));
}

}  // namespace

int main(int count, char** arguments) {
  const int port = count > 1 ? std::atoi(arguments[1]) : 2222;
  client::Options options;
  options.name = "flow_logger";
  options.flags = format::kBindSegments | format::kBindFlows | format::kBindReflect;
  client::Listener listener{static_cast<std::uint16_t>(port), options};
  std::puts("ready");
  while (!listener.is_gone()) {
    std::fflush(stdout);
    pollfd wait{.fd = listener.fd(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, -1);
    while (!listener.poll().empty()) listener.accept_all();
    for (const auto& flow : listener.flows) print(flow);
    for (const auto& other : listener.listeners) print(other);
    listener.flows.clear();
    listener.listeners.clear();
  }
}
