// Server-sent events (WHATWG HTML, section 9.2): a reader of events written to a connection as it
// goes, until the client closes or is too slow, or the server stops.
//
//   id: 1a2b-17                 a comment, a line ":", comes where nothing has happened for a while,
//   event: divert.died          so that both sides know that the other one is there
//   data: {"time":"…", …}
//
// The client's requests are over: the connection ends with the stream. Who closes only his sending
// side has gone, too. Nothing is kept for a client but what is being written; while that lasts, no
// more than the ring holds may come, and it lasts no longer than any other answer.

#pragma once

#include <asio/awaitable.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "daemon/state/events.hpp"

namespace masqgate::web {

class EventStream : public std::enable_shared_from_this<EventStream> {
 public:
  using Socket = asio::generic::stream_protocol::socket;
  static constexpr std::size_t kWriteSize = 64 << 10;      // bytes of events in one write
  static constexpr std::size_t kMostDiscarded = 64 << 10;  // that a client may say meanwhile

  struct TimeLimits {
    std::chrono::milliseconds silence;  // until a comment says that we are there
    std::chrono::milliseconds write;    // until the client has taken what was written
  };

  // The socket outlives run(); the head of the response has been written.
  EventStream(Socket& socket, std::shared_ptr<state::EventReader> reader, TimeLimits limits);
  // Returns when the stream is at its end. The caller keeps the object for so long.
  asio::awaitable<void> run();
  void stop();

 private:
  std::string next_text();
  asio::awaitable<bool> write(std::string text);
  asio::awaitable<std::string> wait_for_text();
  void on_news();
  void watch_client();
  void limit_writing();
  void end();

  Socket& socket_;
  std::shared_ptr<state::EventReader> reader_;
  TimeLimits limits_;
  asio::steady_timer news_, too_slow_;
  std::string told_;  // the id that the client knows
  std::size_t discarded_ = 0;
  bool writing_ = false;
  bool ended_ = false;
};

// "id: …\nevent: …\ndata: …\n\n"
std::string event_text(const state::Events::Event& event);

}  // namespace masqgate::web
