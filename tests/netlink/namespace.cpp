#include "tests/netlink/namespace.hpp"

#include <doctest/doctest.h>
#include <net/if.h>
#include <sched.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

namespace masqgate::test {

Namespace::Namespace() {
  REQUIRE(unshare(CLONE_NEWNET) == 0);
  run("ip link set lo up");
}

void run(const std::string& command) {
  CAPTURE(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

std::string output(const std::string& command) {
  CAPTURE(command);
  std::string text;
  std::array<char, 4096> part{};
  std::FILE* pipe = popen(command.c_str(), "re");
  REQUIRE(pipe != nullptr);
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) text += part.data();
  REQUIRE(pclose(pipe) == 0);
  return text;
}

unsigned index_of(const std::string& link) {
  CAPTURE(link);
  const unsigned index = if_nametoindex(link.c_str());
  REQUIRE(index != 0);
  return index;
}

void make_veth(const std::string& one, const std::string& other) {
  run("ip link add " + one + " type veth peer name " + other);
  run("ip link set " + one + " up");
  run("ip link set " + other + " up");
}

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  return true;
}

}  // namespace masqgate::test
