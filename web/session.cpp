#include "web/session.hpp"

#include <sys/socket.h>

#include <array>
#include <asio/buffer.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <ctime>
#include <utility>

#include "daemon/base/log.hpp"

namespace masqgate::web {
namespace {

constexpr std::size_t kReadSize = 16 << 10;
constexpr std::size_t kMaxDiscarded = 4 << 20;  // bytes read over while a refused client reads

std::optional<Peer> peer_of(Session::Socket& socket, Door door) {
  if (door != Door::local) return std::nullopt;
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return std::nullopt;
  return Peer{.pid = credentials.pid, .uid = credentials.uid};
}

std::string bytes_of(const Response& response, Framing framing) {
  return serialize(response, framing, http_date(std::time(nullptr)));
}

}  // namespace

Session::Session(Socket socket, Door door, Rest& rest, TimeLimits limits)
    : socket_{std::move(socket)},
      timer_{socket_.get_executor()},
      door_{door},
      rest_{rest},
      limits_{limits},
      peer_{peer_of(socket_, door)} {}

void Session::limit(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  timer_.async_wait([weak = weak_from_this(), number = ++limit_number_](asio::error_code error) {
    const std::shared_ptr<Session> self = weak.lock();
    if (error || !self || number != self->limit_number_) return;
    self->timed_out_ = true;
    asio::error_code ignored;
    self->socket_.cancel(ignored);
  });
}

void Session::limit_nothing() {
  timer_.cancel();
  ++limit_number_;
}

void Session::stop() {
  stopping_ = true;
  if (stream_) return stream_->stop();
  if (answering_) return;
  asio::error_code ignored;
  socket_.cancel(ignored);
}

asio::awaitable<void> Session::serve() {
  Next next = Next::more;
  while (next == Next::more) {
    auto serving = serve_one();
    next = co_await std::move(serving);
  }
  if (next == Next::linger) {
    auto lingering = let_read();
    co_await std::move(lingering);
  }
  timer_.cancel();
  asio::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<void> Session::turn_away(Response response) {
  auto refusing = refuse(std::move(response), false);
  const Next next = co_await std::move(refusing);
  if (next == Next::linger) {
    auto lingering = let_read();
    co_await std::move(lingering);
  }
}

asio::awaitable<Session::Next> Session::serve_one() {
  RequestParser parser;
  auto receiving = receive(parser);
  std::optional<Response> refusal = co_await std::move(receiving);
  const bool complete = parser.state() == RequestParser::State::complete;
  const bool head_only = parser.request().method == "HEAD";
  if (!complete) {
    if (!refusal) co_return Next::close;
    auto refusing = refuse(std::move(*refusal), head_only);
    co_return co_await std::move(refusing);
  }

  const Request& request = parser.request();
  Response response;
  limit_nothing();  // how long an answer takes is not the client's doing
  answering_ = true;
  if (refusal) {
    response = std::move(*refusal);
  } else {
    auto answering = rest_.answer(request);
    response = co_await std::move(answering);
  }
  note_change(request, response);
  if (response.events && !head_only) {
    auto following = follow(std::move(response));
    co_await std::move(following);
    co_return Next::close;
  }
  const bool stay = request.keep_alive && !stopping_;
  std::string bytes = bytes_of(response, {.head_only = head_only, .keep_alive = stay});
  auto sending = send(std::move(bytes));
  const bool sent = co_await std::move(sending);
  answering_ = false;
  if (sent && stay && !stopping_) co_return Next::more;
  co_return sent && !pending_.empty() ? Next::linger : Next::close;
}

asio::awaitable<void> Session::follow(Response response) {
  auto sending = send(bytes_of(response, {.keep_alive = false}));
  const bool sent = co_await std::move(sending);
  limit_nothing();
  if (!sent || stopping_) co_return;
  stream_ = std::make_shared<EventStream>(
      socket_, std::move(response.events),
      EventStream::TimeLimits{.silence = limits_.silence, .write = limits_.write});
  auto running = stream_->run();
  co_await std::move(running);
  stream_.reset();
}

// Reads one request into the parser. Returns what refuses it, if anything does; the parser is not
// complete when the connection ended or the refusal leaves unread bytes behind.
asio::awaitable<std::optional<Response>> Session::receive(RequestParser& parser) {
  using State = RequestParser::State;
  bool admitted = false, started = false;
  limit(limits_.idle);
  for (;;) {
    if (!started && !pending_.empty()) {
      started = true;
      limit(limits_.head);
    }
    const std::size_t used = parser.feed(pending_);
    pending_.erase(0, used);
    if (parser.state() == State::refused)
      co_return problem(parser.refusal().status, parser.refusal().detail);
    if (parser.state() != State::head && !admitted) {
      std::optional<Response> refusal = refuse_admission(parser.request(), door_);
      if (refusal) co_return refusal;
      admitted = true;
      limit(limits_.body);
      if (parser.state() == State::body && parser.request().expects_continue) {
        auto sending = send("HTTP/1.1 100 Continue\r\n\r\n");
        const bool sent = co_await std::move(sending);
        if (!sent) co_return std::nullopt;
        limit(limits_.body);
      }
    }
    if (parser.state() == State::complete) co_return std::nullopt;
    auto reading = read_more();
    const bool alive = co_await std::move(reading);
    if (alive) continue;
    if (timed_out_ && started) {
      timed_out_ = false;
      co_return problem(408, "the request did not arrive in time");
    }
    co_return std::nullopt;
  }
}

// False: nothing more will come, or the time is over, or the server stops.
asio::awaitable<bool> Session::read_more() {
  if (timed_out_ || stopping_) co_return false;
  std::array<char, kReadSize> bytes;
  asio::error_code error;
  const std::size_t size = co_await socket_.async_read_some(
      asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
  if (error || stopping_) co_return false;
  pending_.append(bytes.data(), size);
  co_return true;
}

asio::awaitable<bool> Session::send(std::string bytes) {
  if (timed_out_) co_return false;
  limit(limits_.write);
  asio::error_code error;
  co_await asio::async_write(socket_, asio::buffer(bytes),
                             asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

asio::awaitable<Session::Next> Session::refuse(Response response, bool head_only) {
  std::string bytes = bytes_of(response, {.head_only = head_only, .keep_alive = false});
  auto sending = send(std::move(bytes));
  const bool sent = co_await std::move(sending);
  co_return sent ? Next::linger : Next::close;
}

// Says that nothing more will come, then reads over what the client still sends, so that the
// answer is not lost in a reset (RFC 9112 section 9.6).
asio::awaitable<void> Session::let_read() {
  asio::error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  limit(limits_.linger);
  for (std::size_t discarded = 0; !error && discarded < kMaxDiscarded;
       discarded += pending_.size()) {
    pending_.clear();
    auto reading = read_more();
    const bool alive = co_await std::move(reading);
    if (!alive) break;
  }
}

void Session::note_change(const Request& request, const Response& response) const {
  if (request.method == "GET" || request.method == "HEAD") return;
  log::info("a change was asked for", {{"METHOD", request.method},
                                       {"TARGET", request.target},
                                       {"STATUS", std::to_string(response.status)},
                                       {"PEER_UID", peer_ ? std::to_string(peer_->uid) : "tcp"},
                                       {"PEER_PID", peer_ ? std::to_string(peer_->pid) : "tcp"}});
}

}  // namespace masqgate::web
