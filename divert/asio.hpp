// Diverted packets in a loop of (standalone) Asio: the client library, waited for by any completion token.
//
//   masqgate::divert::client::AsioListener listener{co_await asio::this_coro::executor, 2222};
//   while (!listener->is_gone())
//     for (auto& packet : co_await listener.async_receive(asio::use_awaitable)) packet.accept();
//
// Only this header needs Asio.

#pragma once

#include <asio/bind_executor.hpp>
#include <asio/compose.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <exception>
#include <span>
#include <system_error>
#include <utility>

#include "divert/listener.hpp"

namespace masqgate::divert::client {

// Runs where its executor runs, and is for one wait at a time. Throws as Listener does.
class AsioListener {
 public:
  AsioListener(const asio::any_io_executor& executor, std::uint16_t port,
               const Options& options = {})
      : listener_{port, options}, readable_{executor, listener_.fd()} {}
  ~AsioListener() { readable_.release(); }  // the descriptor is the listener's
  AsioListener(const AsioListener&) = delete;

  Listener* operator->() { return &listener_; }
  Listener& operator*() { return listener_; }

  // Sends the verdicts of the batch before, and completes with (std::exception_ptr, std::span<Packet>)
  // when there are packets or notices, or masqgate has gone. Packets are valid until the next call.
  template <typename Token>
  auto async_receive(Token&& token) {
    return asio::async_compose<Token, void(std::exception_ptr, std::span<Packet>)>(
        Receive{*this}, token, readable_);
  }

 private:
  struct Receive {
    AsioListener& owner;
    bool has_waited = false, is_done = false;
    std::span<Packet> batch{};
    std::exception_ptr problem{};

    template <typename Self>
    void operator()(Self& self, asio::error_code error = {}) {
      if (error) problem = std::make_exception_ptr(std::system_error{error});
      if (!is_done && !problem) look();
      if (is_done || problem) {
        // Not before the initiating function has returned.
        if (!std::exchange(has_waited, true))
          return asio::post(owner.readable_.get_executor(), std::move(self));
        return self.complete(problem, batch);
      }
      has_waited = true;
      owner.readable_.async_wait(asio::posix::descriptor_base::wait_read, std::move(self));
    }

    void look() {
      Listener& listener = owner.listener_;
      const std::size_t notices = listener.notices.size();
      try {
        batch = listener.poll();
      } catch (...) {
        problem = std::current_exception();
      }
      is_done = !batch.empty() || listener.is_gone() || listener.notices.size() != notices;
    }
  };

  Listener listener_;
  asio::posix::stream_descriptor readable_;
};

}  // namespace masqgate::divert::client
