// Talks to the service manager: tells it how we are, takes and leaves descriptors (sd_notify(3),
// sd_listen_fds(3)), without libsystemd.
//
// Everything is a datagram of NAME=value lines to the socket named in NOTIFY_SOCKET; without that
// variable (started by hand) every call does nothing and returns false.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/unique_fd.hpp"

namespace masqgate::control {

class ServiceNotify {
 public:
  // The address is a path or, after '@', a name in the abstract namespace (unix(7)). Empty or
  // anything else: nobody listens.
  explicit ServiceNotify(std::string_view address);
  static ServiceNotify from_environment();

  bool listening() const { return static_cast<bool>(socket_); }

  // All of these return whether the manager's socket took it. Line breaks in texts become spaces.
  bool ready(std::string_view status) const;
  bool reloading() const;  // ready() ends it
  bool stopping() const;
  bool alive() const;  // the watchdog's sign of life
  bool status(std::string_view text) const;

  // The manager keeps a copy of this descriptor over restarts and passes it to every process of the
  // service it starts, also when its other end is dead.
  bool keep(std::string_view name, int fd) const;
  bool forget(std::string_view name) const;
  // Waits until the manager has worked off all that was sent before. Blocks: for short programs.
  bool barrier(std::chrono::milliseconds patience) const;

 private:
  bool send(std::string_view lines, int fd = -1) const;

  std::string address_;
  UniqueFd socket_;
};

// How often alive() must be sent at the latest (half of what the manager tolerates); nothing if it
// asks for none, or not us.
std::optional<std::chrono::microseconds> watchdog_interval();

struct PassedFd {
  std::string name;  // FileDescriptorName, FDNAME; "unknown" if the manager gave none
  UniqueFd fd;
};

// The descriptors that the manager passed to this process, close-on-exec from now on. The variables
// are taken out of the environment: a second call returns nothing.
std::vector<PassedFd> take_passed_fds();
// The last one with this name, or an empty one; all others of the name are closed.
UniqueFd take(std::vector<PassedFd>& passed, std::string_view name);

}  // namespace masqgate::control
