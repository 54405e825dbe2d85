// The REST door's listeners: a unix socket, and TCP on the loopback where it is configured.
//
// Everything runs on the io_context that is handed in (the control thread's). The socket's file
// mode says who may come; a socket left behind by a dead daemon is replaced, one that still
// answers is not. Sessions are capped: the next one hears 503.

#pragma once

#include <sys/types.h>

#include <asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/state/tree.hpp"
#include "web/session.hpp"

namespace masqgate::web {

struct Options {
  std::string socket{};  // path of the unix socket
  mode_t socket_mode = 0660;
  std::optional<std::string> tcp{};  // "127.0.0.1:8080", "[::1]:8080", "localhost:8080"
  std::size_t max_sessions = 64;     // each costs a descriptor and at most about 1.1 MB
  TimeLimits limits{};
};

class Server {
 public:
  // The tree and the io_context have to outlive the server and the sessions it started, which
  // end on the io_context soon after stop().
  Server(asio::io_context& context, const state::Tree& tree, Options options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // stops

  // Listens. Throws std::runtime_error that names the address and what is wrong with it; then
  // nothing is left behind.
  void start();
  // Closes the listeners, removes the socket file, ends waiting sessions at once and busy ones
  // after their answer. May be called twice.
  void stop();

  std::size_t sessions() const;
  // The port that was chosen, for "127.0.0.1:0"; 0 without a TCP listener.
  std::uint16_t tcp_port() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace masqgate::web
