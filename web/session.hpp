// One client: reads requests, asks Rest, writes answers, until one side has had enough.
//
//   wait for a request ─▶ read its head ─▶ (100 Continue) ─▶ read its body ─▶ answer ─┐
//        ▲   idle limit       head limit                        body limit            │ write limit
//        └────────────────────────────────── keep-alive ──────────────────────────────┘
//
// An answer that is a stream of events (event_stream.hpp) goes on until the connection ends.
//
// Each arrow has a time limit for the whole of it, not per read: who sends one byte a minute
// (slow loris) is answered 408 and closed. An error that leaves unread bytes closes in two steps,
// because a plain close would reset the connection and destroy the answer on its way.

#pragma once

#include <asio/awaitable.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "web/admission.hpp"
#include "web/event_stream.hpp"
#include "web/http_parser.hpp"
#include "web/message.hpp"
#include "web/rest.hpp"

namespace masqgate::web {

struct TimeLimits {
  std::chrono::milliseconds idle{60'000};     // between two requests
  std::chrono::milliseconds head{10'000};     // from the first byte of a request to its empty line
  std::chrono::milliseconds body{30'000};     // the whole content
  std::chrono::milliseconds write{30'000};    // until the client has taken an answer
  std::chrono::milliseconds linger{1'000};    // for a client to read why it was refused
  std::chrono::milliseconds silence{15'000};  // of a stream of events, until a comment
};

// Who stands at the other end of the unix socket (SO_PEERCRED).
struct Peer {
  int pid = 0;
  unsigned uid = 0;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  Session(Socket socket, Door door, Rest& rest, TimeLimits limits);

  // Runs until the connection ends; the caller keeps the session alive for so long.
  asio::awaitable<void> serve();
  // Gives one answer without reading, and closes: for clients beyond the cap.
  asio::awaitable<void> turn_away(Response response);

  // Ends the session: at once while it waits for a client, after the answer while it makes one.
  void stop();

 private:
  enum class Next { more, close, linger };

  asio::awaitable<Next> serve_one();
  asio::awaitable<void> follow(Response response);
  asio::awaitable<std::optional<Response>> receive(RequestParser& parser);
  asio::awaitable<bool> read_more();
  asio::awaitable<bool> send(std::string bytes);
  asio::awaitable<Next> refuse(Response response, bool head_only);
  asio::awaitable<void> let_read();
  void limit(std::chrono::milliseconds time);
  void limit_nothing();
  void note_change(const Request& request, const Response& response) const;

  Socket socket_;
  asio::steady_timer timer_;
  Door door_;
  Rest& rest_;
  TimeLimits limits_;
  std::optional<Peer> peer_;
  std::shared_ptr<EventStream> stream_;  // while it is one
  std::string pending_;                  // received, not yet parsed; at most one head and one read
  unsigned limit_number_ = 0;  // the time limit that counts: an older one that fires late does not
  bool timed_out_ = false;
  bool answering_ = false;
  bool stopping_ = false;
};

}  // namespace masqgate::web
