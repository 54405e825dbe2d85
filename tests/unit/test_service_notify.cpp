// Unit tests of daemon/control/service_notify: what the service manager receives, and what it
// passes.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "daemon/control/service_notify.hpp"

using namespace masqgate;
using namespace masqgate::control;

namespace {

// The other side: a datagram socket as systemd has one, at an abstract name or a path.
class Manager {
 public:
  explicit Manager(std::string address) : address_{std::move(address)} {
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, address_.data(), address_.size());
    if (address_[0] == '@') at.sun_path[0] = '\0';
    const void* generic = &at;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
    REQUIRE(::bind(socket_.get(), static_cast<const sockaddr*>(generic), size) == 0);
  }
  ~Manager() {
    if (address_[0] == '/') ::unlink(address_.c_str());
  }
  const std::string& address() const { return address_; }

  // The next datagram, and the descriptor that came with it.
  std::string receive(UniqueFd* passed = nullptr) {
    char bytes[512];
    alignas(cmsghdr) char control[64];
    iovec into{bytes, sizeof bytes};
    msghdr message{};
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (size < 0) return "nothing";
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      UniqueFd owner{fd};
      if (passed != nullptr) *passed = std::move(owner);
    }
    return {bytes, static_cast<std::size_t>(size)};
  }

 private:
  std::string address_;
  UniqueFd socket_;
};

std::string unique(const char* prefix) {
  return prefix + std::to_string(::getpid());
}

struct Environment {
  Environment(const char* name, const std::string& value) : name_{name} {
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() { ::unsetenv(name_); }
  const char* name_;
};

}  // namespace

TEST_CASE("notify: each message is what sd_notify(3) says, by path and by abstract name") {
  for (const std::string& address : {unique("@masqgate-test-"), unique("/tmp/masqgate-test-")}) {
    CAPTURE(address);
    Manager manager{address};
    const ServiceNotify notify{address};
    CHECK(notify.listening());
    CHECK(notify.ready("two ports"));
    CHECK(manager.receive() == "READY=1\nSTATUS=two ports");
    CHECK(notify.stopping());
    CHECK(manager.receive() == "STOPPING=1");
    CHECK(notify.alive());
    CHECK(manager.receive() == "WATCHDOG=1");
    CHECK(notify.status("a\nREADY=1"));
    CHECK(manager.receive() == "STATUS=a READY=1");
    CHECK(notify.forget("fuse"));
    CHECK(manager.receive() == "FDSTOREREMOVE=1\nFDNAME=fuse");
    CHECK(notify.reloading());
    const std::string reloading = manager.receive();
    CHECK(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    CHECK(std::stoll(reloading.substr(reloading.rfind('=') + 1)) > 0);
    CHECK(manager.receive() == "nothing");
  }
}

TEST_CASE("notify: a kept descriptor arrives") {
  Manager manager{unique("@masqgate-test-fd-")};
  const ServiceNotify notify{manager.address()};
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  UniqueFd reading{ends[0]}, writing{ends[1]}, copy;
  CHECK(notify.keep("fuse", writing.get()));
  CHECK(manager.receive(&copy) == "FDSTORE=1\nFDPOLL=0\nFDNAME=fuse");
  writing.reset();
  REQUIRE(copy);
  CHECK(::write(copy.get(), "x", 1) == 1);
  char byte = 0;
  CHECK(::read(reading.get(), &byte, 1) == 1);
  CHECK(byte == 'x');
}

TEST_CASE(
    "notify: a barrier waits until the manager has closed its copy, or says that it has not") {
  Manager manager{unique("@masqgate-test-barrier-")};
  const ServiceNotify notify{manager.address()};
  CHECK_FALSE(notify.barrier(std::chrono::milliseconds{1}));  // nobody reads
  UniqueFd copy;
  CHECK(manager.receive(&copy) == "BARRIER=1");
  copy.reset();
  std::thread reader{[&] {
    while (manager.receive() == "nothing") std::this_thread::yield();
  }};
  CHECK(notify.barrier(std::chrono::minutes{1}));
  reader.join();
}

TEST_CASE("notify: without a manager nothing happens") {
  const std::string too_long = "/" + std::string(200, 'x');
  for (const std::string& address : {std::string{}, std::string{"@"}, std::string{"relative"},
                                     std::string{"vsock:2:1"}, too_long}) {
    CAPTURE(address);
    const ServiceNotify notify{address};
    CHECK_FALSE(notify.listening());
    CHECK_FALSE(notify.ready(""));
    CHECK_FALSE(notify.keep("fuse", 0));
  }
  CHECK_FALSE(ServiceNotify{"/nonexistent/socket"}.alive());
  ::unsetenv("NOTIFY_SOCKET");
  CHECK_FALSE(ServiceNotify::from_environment().listening());
  const Environment named{"NOTIFY_SOCKET", "@x"};
  CHECK(ServiceNotify::from_environment().listening());
}

TEST_CASE("watchdog: half of what is tolerated, if it is our process that is watched") {
  const std::string us = std::to_string(::getpid());
  struct Case {
    const char* usec;
    std::string pid;
    std::int64_t interval;  // 0: none
  };
  for (const Case& c : {Case{"30000000", us, 15'000'000}, Case{"30000000", "", 15'000'000},
                        Case{"30000000", "1", 0}, Case{"0", us, 0}, Case{"", us, 0},
                        Case{"x", us, 0}, Case{"-5", us, 0}, Case{"5 ", us, 0},
                        Case{"18446744073709551615", us, 0}, Case{"18446744073709551616", us, 0}}) {
    CAPTURE(c.usec);
    CAPTURE(c.pid);
    const Environment usec{"WATCHDOG_USEC", c.usec};
    const Environment pid{"WATCHDOG_PID", c.pid};
    const auto interval = watchdog_interval();
    CHECK((interval ? interval->count() : 0) == c.interval);
  }
  CHECK_FALSE(watchdog_interval());
}

// Descriptors are passed from 3 on, so this is tried in a child that has them there.
TEST_CASE("passed descriptors: names belong to numbers, and only the right process takes them") {
  struct Case {
    const char* fds;
    const char* names;
    bool ours;
    const char* expected;  // name:number of each
  };
  for (const Case& c :
       {Case{"2", "fuse:api", true, "fuse:3 api:4 "}, Case{"2", "fuse", true, "fuse:3 unknown:4 "},
        Case{"2", "", true, "unknown:3 unknown:4 "},
        Case{"2", ":fuse:more", true, "unknown:3 fuse:4 "},
        Case{"3", "a:b:c", true, "a:3 b:4 "},  // 5 is not open
        Case{"0", "a", true, ""}, Case{"-1", "a", true, ""}, Case{"257", "a", true, ""},
        Case{"99999999999999999999", "a", true, ""}, Case{"x", "a", true, ""},
        Case{"", "", true, ""}, Case{"2", "fuse:api", false, ""}}) {
    CAPTURE(c.fds);
    CAPTURE(c.names);
    int answer[2];
    REQUIRE(::pipe(answer) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(answer[1], 100);
      ::dup2(::open("/dev/null", O_RDONLY), 3);
      ::dup2(3, 4);
      ::close(5);
      ::setenv("LISTEN_PID", std::to_string(c.ours ? ::getpid() : 1).c_str(), 1);
      ::setenv("LISTEN_FDS", c.fds, 1);
      ::setenv("LISTEN_FDNAMES", c.names, 1);
      std::string seen;
      for (const PassedFd& one : take_passed_fds())
        seen += (::fcntl(one.fd.get(), F_GETFD) & FD_CLOEXEC) != 0
                    ? one.name + ":" + std::to_string(one.fd.get()) + " "
                    : "inherited ";
      if (std::getenv("LISTEN_FDS") != nullptr || !take_passed_fds().empty()) seen += "again";
      const bool written = ::write(100, seen.data(), seen.size()) >= 0;
      ::_exit(written ? 0 : 1);
    }
    ::close(answer[1]);
    const UniqueFd from_child{answer[0]};
    std::string seen;
    char byte = 0;
    while (::read(from_child.get(), &byte, 1) == 1) seen += byte;
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(seen == c.expected);
  }
}

TEST_CASE("passed descriptors: the last of a name is taken, older ones are closed") {
  std::vector<PassedFd> passed;
  int numbers[3];
  for (int i = 0; i < 3; ++i) {
    numbers[i] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    passed.push_back({i == 1 ? "other" : "fuse", UniqueFd{numbers[i]}});
  }
  const UniqueFd fuse = take(passed, "fuse");
  CHECK(fuse.get() == numbers[2]);
  CHECK(::fcntl(numbers[0], F_GETFD) == -1);
  CHECK(::fcntl(numbers[1], F_GETFD) >= 0);
  CHECK_FALSE(take(passed, "fuse"));
  CHECK(passed.size() == 1);
}
