// New TCP connections per second: connect, accept, close by reset, a number of them at a time.

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <unordered_set>

#include "tests/bench/tool.hpp"

namespace {
using namespace masqgate::bench;

constexpr int kEvents = 256;

// Closing sends a reset: no port waits in TIME_WAIT.
void close_by_reset(int socket) {
  const linger now_{1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &now_, sizeof now_);
  close(socket);
}

void watch(int poller, int socket, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = socket;
  sure(epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
}

[[noreturn]] void serve(int first_port, int ports) {
  const int poller = sure(epoll_create1(0), "epoll_create1");
  std::unordered_set<int> listeners;
  for (int port = first_port; port < first_port + ports; ++port) {
    const int listener = bound(SOCK_STREAM | SOCK_NONBLOCK, port);
    sure(listen(listener, 4096), "listen");
    listeners.insert(listener);
    watch(poller, listener, EPOLLIN);
  }
  std::printf("ready\n");
  std::fflush(stdout);
  std::array<epoll_event, kEvents> events;
  for (;;) {
    const int count = epoll_wait(poller, events.data(), kEvents, -1);
    for (int i = 0; i < count; ++i) {
      const int socket = events[static_cast<std::size_t>(i)].data.fd;
      if (!listeners.contains(socket)) {
        close_by_reset(socket);
        continue;
      }
      int accepted = 0;
      while ((accepted = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK)) >= 0)
        watch(poller, accepted, EPOLLIN);
    }
  }
}

class Client {
 public:
  Client(const char* ip, int first_port, int ports)
      : poller_{sure(epoll_create1(0), "epoll_create1")} {
    for (int port = first_port; port < first_port + ports; ++port) peers_.emplace_back(ip, port);
  }

  void run(int at_a_time, double seconds) {
    const double start = now();
    double elapsed = 0;
    while ((elapsed = now() - start) < seconds) {
      while (under_way_ < at_a_time) open();
      finish();
    }
    std::printf("connections=%llu seconds=%.2f rate=%.0f failed=%llu\n", made_, elapsed,
                static_cast<double>(made_) / elapsed, failed_);
  }

 private:
  void open() {
    const int socket_ = sure(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    set_option(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
    const Address& peer = peers_[turn_++ % peers_.size()];
    if (connect(socket_, peer.get(), Address::size()) < 0 && errno != EINPROGRESS) {
      ++failed_;
      close(socket_);
      if (failed_ > 100'000) fail("connect");
      return;
    }
    watch(poller_, socket_, EPOLLOUT);
    ++under_way_;
  }

  void finish() {
    std::array<epoll_event, kEvents> events;
    const int count = epoll_wait(poller_, events.data(), kEvents, 100);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      ++((event.events & (EPOLLERR | EPOLLHUP)) != 0 ? failed_ : made_);
      close_by_reset(event.data.fd);
      --under_way_;
    }
  }

  int poller_;
  std::vector<Address> peers_;
  std::size_t turn_ = 0;
  int under_way_ = 0;
  unsigned long long made_ = 0, failed_ = 0;
};

}  // namespace

int main(int count, char** words) {
  const Arguments arguments{
      count, words, 3, "connrate serve PORT PORTS | connrate ask IP PORT PORTS AT_A_TIME SECONDS"};
  if (std::string{arguments.text(0)} == "serve") serve(arguments.count(1), arguments.count(2));
  Client client{arguments.text(1), arguments.count(2), arguments.count(3)};
  client.run(arguments.count(4), arguments.number(5));
}
