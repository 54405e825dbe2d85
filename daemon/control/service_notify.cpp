#include "daemon/control/service_notify.hpp"

#include <fcntl.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace masqgate::control {
namespace {

constexpr int kFirstPassedFd = 3;     // SD_LISTEN_FDS_START
constexpr unsigned kMaxPassed = 256;  // more is a broken environment, not a service

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// One line of a notification: what follows a line break would be another assignment.
std::string one_line(std::string_view text) {
  std::string line{text};
  for (char& c : line)
    if (c == '\n' || c == '\0') c = ' ';
  return line;
}

bool well_formed(std::string_view address) {
  return address.size() > 1 && address.size() < sizeof(sockaddr_un::sun_path) &&
         (address.front() == '/' || address.front() == '@');
}

// A variable that holds a number for one process only ("LISTEN_PID", "WATCHDOG_PID").
bool meant_for_us(const char* pid_variable) {
  return number(environment(pid_variable)) == static_cast<std::uint64_t>(::getpid());
}

}  // namespace

ServiceNotify::ServiceNotify(std::string_view address) {
  if (!well_formed(address)) return;
  address_ = address;
  socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

ServiceNotify ServiceNotify::from_environment() {
  return ServiceNotify{environment("NOTIFY_SOCKET")};
}

bool ServiceNotify::ready(std::string_view status) const {
  return send("READY=1\nSTATUS=" + one_line(status));
}

// The time is what Type=notify-reload tells this reload from an older one by.
bool ServiceNotify::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                            static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

bool ServiceNotify::stopping() const {
  return send("STOPPING=1");
}
bool ServiceNotify::alive() const {
  return send("WATCHDOG=1");
}
bool ServiceNotify::status(std::string_view text) const {
  return send("STATUS=" + one_line(text));
}

bool ServiceNotify::keep(std::string_view name, int fd) const {
  return send("FDSTORE=1\nFDPOLL=0\nFDNAME=" + one_line(name), fd);
}

bool ServiceNotify::forget(std::string_view name) const {
  return send("FDSTOREREMOVE=1\nFDNAME=" + one_line(name));
}

// The manager closes its copy of the pipe when it comes to this message.
bool ServiceNotify::barrier(std::chrono::milliseconds patience) const {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  const UniqueFd ours{ends[0]};
  UniqueFd theirs{ends[1]};
  if (!send("BARRIER=1", theirs.get())) return false;
  theirs.reset();
  pollfd wait{ours.get(), 0, 0};
  return ::poll(&wait, 1, static_cast<int>(patience.count())) == 1 && (wait.revents & POLLHUP) != 0;
}

bool ServiceNotify::send(std::string_view lines, int fd) const {
  if (!socket_) return false;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
  std::string text{lines};
  iovec bytes{text.data(), text.size()};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  const auto tolerated = number(environment("WATCHDOG_USEC"));
  if (!tolerated || *tolerated == 0 || *tolerated > static_cast<std::uint64_t>(INT64_MAX))
    return std::nullopt;
  if (!environment("WATCHDOG_PID").empty() && !meant_for_us("WATCHDOG_PID")) return std::nullopt;
  return std::chrono::microseconds{static_cast<std::int64_t>(*tolerated / 2)};
}

std::vector<PassedFd> take_passed_fds() {
  std::vector<PassedFd> passed;
  const auto count = number(environment("LISTEN_FDS"));
  if (meant_for_us("LISTEN_PID") && count && *count <= kMaxPassed) {
    std::string_view names = environment("LISTEN_FDNAMES");
    for (int fd = kFirstPassedFd; fd < kFirstPassedFd + static_cast<int>(*count); ++fd) {
      const std::string_view name = names.substr(0, names.find(':'));
      names.remove_prefix(std::min(name.size() + 1, names.size()));
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) continue;  // promised, but not there
      passed.push_back({name.empty() ? "unknown" : std::string{name}, UniqueFd{fd}});
    }
  }
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  return passed;
}

UniqueFd take(std::vector<PassedFd>& passed, std::string_view name) {
  UniqueFd last;
  for (PassedFd& one : passed)
    if (one.name == name) last = std::move(one.fd);
  std::erase_if(passed, [&](const PassedFd& one) { return one.name == name; });
  return last;
}

}  // namespace masqgate::control
