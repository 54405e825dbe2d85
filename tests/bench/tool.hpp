// What the measuring tools share: time, sockets that exist or end the program, and arguments.

#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace masqgate::bench {

// Seconds of a steady clock.
inline double now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

// Ends the program with the reason of the last failed system call.
[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline int sure(int result, const char* what) {
  if (result < 0) fail(what);
  return result;
}

// The words of a command line; a missing one has its default.
class Arguments {
 public:
  Arguments(int count, char** words, std::size_t required, const char* usage)
      : words_{words + 1, words + count} {
    if (words_.size() >= required) return;
    std::fprintf(stderr, "usage: %s\n", usage);
    std::exit(2);
  }

  const char* text(std::size_t index, const char* otherwise = "") const {
    return index < words_.size() ? words_[index].c_str() : otherwise;
  }
  double number(std::size_t index, double otherwise = 0) const {
    return index < words_.size() ? std::strtod(words_[index].c_str(), nullptr) : otherwise;
  }
  int count(std::size_t index, int otherwise = 0) const {
    return static_cast<int>(number(index, otherwise));
  }

 private:
  std::vector<std::string> words_;
};

class Address {
 public:
  Address(const char* ip, int port) {
    in_.sin_family = AF_INET;
    in_.sin_port = htons(static_cast<std::uint16_t>(port));
    if (inet_pton(AF_INET, ip, &in_.sin_addr) != 1) {
      std::fprintf(stderr, "%s is not an IPv4 address\n", ip);
      std::exit(2);
    }
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&in_); }
  static constexpr socklen_t size() { return sizeof(sockaddr_in); }

 private:
  sockaddr_in in_{};
};

inline void set_option(int socket, int level, int name, int value) {
  sure(setsockopt(socket, level, name, &value, sizeof value), "setsockopt");
}

// A socket bound to the port on all addresses.
inline int bound(int type, int port) {
  const int socket_ = sure(socket(AF_INET, type, 0), "socket");
  set_option(socket_, SOL_SOCKET, SO_REUSEADDR, 1);
  const Address any{"0.0.0.0", port};
  sure(bind(socket_, any.get(), Address::size()), "bind");
  return socket_;
}

inline int connected(int type, const Address& peer) {
  const int socket_ = sure(socket(AF_INET, type, 0), "socket");
  sure(connect(socket_, peer.get(), Address::size()), "connect");
  return socket_;
}

}  // namespace masqgate::bench
