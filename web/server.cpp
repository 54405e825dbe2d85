#include "web/server.hpp"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "daemon/base/log.hpp"
#include "web/listen.hpp"

namespace masqgate::web {
namespace {

// After "too many open files" and the like: long enough not to spin, short enough not to notice.
constexpr std::chrono::milliseconds kAcceptPause{200};

std::size_t alive(std::vector<std::weak_ptr<Session>>& sessions) {
  std::erase_if(sessions, [](const auto& session) { return session.expired(); });
  return sessions.size();
}

}  // namespace

// What listeners and sessions share; it lives until the last of them has ended.
struct Server::Core : std::enable_shared_from_this<Core> {
  Core(asio::io_context& given, const state::Tree& tree, Options wanted)
      : context{given}, options{std::move(wanted)}, rest{tree}, pause{given} {}

  template <class Acceptor>
  asio::awaitable<void> accept_from(std::shared_ptr<Core> self, Acceptor& acceptor, Door door);
  asio::awaitable<void> run(std::shared_ptr<Core> self, std::shared_ptr<Session> session,
                            bool beyond_cap);
  void admit(Session::Socket socket, Door door);
  void stop();
  using Sessions = std::vector<std::weak_ptr<Session>>;

  asio::io_context& context;
  Options options;
  Rest rest;
  std::optional<asio::local::stream_protocol::acceptor> local;
  std::optional<asio::ip::tcp::acceptor> tcp;
  asio::steady_timer pause;
  SocketFile file;
  Sessions served, turned_away;
  bool stopping = false;
};

template <class Acceptor>
asio::awaitable<void> Server::Core::accept_from(std::shared_ptr<Core> self, Acceptor& acceptor,
                                                Door door) {
  while (!self->stopping) {
    asio::error_code error;
    auto socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (self->stopping) break;
    if (!error) {
      if constexpr (std::is_same_v<Acceptor, asio::ip::tcp::acceptor>)
        socket.set_option(asio::ip::tcp::no_delay{true}, error);  // answers are written whole
      self->admit(Session::Socket{std::move(socket)}, door);
      continue;
    }
    if (error == asio::error::connection_aborted) continue;
    log::warning("the API cannot accept a connection", {{"ERROR", error.message()}});
    self->pause.expires_after(kAcceptPause);
    co_await self->pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

// The reference to the core keeps the tree's door open until the session has left it.
asio::awaitable<void> Server::Core::run([[maybe_unused]] std::shared_ptr<Core> self,
                                        std::shared_ptr<Session> session, bool beyond_cap) {
  if (beyond_cap) {
    Response busy = problem(503, "too many connections to the API are open");
    busy.fields.push_back({"Retry-After", "1"});
    auto refusing = session->turn_away(std::move(busy));
    co_await std::move(refusing);
  } else {
    auto serving = session->serve();
    co_await std::move(serving);
  }
}

void Server::Core::admit(Session::Socket socket, Door door) {
  const bool beyond_cap = alive(served) >= options.max_sessions;
  Sessions& sessions = beyond_cap ? turned_away : served;
  if (alive(sessions) >= options.max_sessions) return;  // even who is told to go is limited
  auto session = std::make_shared<Session>(std::move(socket), door, rest, options.limits);
  sessions.push_back(session);
  asio::co_spawn(context, run(shared_from_this(), std::move(session), beyond_cap), asio::detached);
}

void Server::Core::stop() {
  stopping = true;
  asio::error_code ignored;
  if (local) local->close(ignored);
  if (tcp) tcp->close(ignored);
  pause.cancel();
  file.remove();
  for (const Sessions* sessions : {&served, &turned_away})
    for (const auto& weak : *sessions)
      if (const auto session = weak.lock()) session->stop();
}

Server::Server(asio::io_context& context, const state::Tree& tree, Options options)
    : core_{std::make_shared<Core>(context, tree, std::move(options))} {}

Server::~Server() {
  stop();
}

void Server::start() {
  // TCP first: its refusals are mistakes of the configuration, and leave no file behind.
  const Options& options = core_->options;
  std::optional<asio::ip::tcp::acceptor> tcp;
  if (options.tcp) tcp = listen_tcp(core_->context, *options.tcp);
  core_->local = listen_local(core_->context, options.socket, options.socket_mode);
  core_->tcp = std::move(tcp);
  core_->file = SocketFile{options.socket};
  asio::co_spawn(core_->context, core_->accept_from(core_, *core_->local, Door::local),
                 asio::detached);
  if (core_->tcp)
    asio::co_spawn(core_->context, core_->accept_from(core_, *core_->tcp, Door::tcp),
                   asio::detached);
}

void Server::stop() {
  core_->stop();
}

std::size_t Server::sessions() const {
  return alive(core_->served);
}

std::uint16_t Server::tcp_port() const {
  asio::error_code ignored;
  return core_->tcp ? core_->tcp->local_endpoint(ignored).port() : std::uint16_t{0};
}

}  // namespace masqgate::web
