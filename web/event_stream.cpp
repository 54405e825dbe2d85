#include "web/event_stream.hpp"

#include <sys/socket.h>

#include <array>
#include <asio/buffer.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <utility>

namespace masqgate::web {
namespace {

using Clock = asio::steady_timer::clock_type;

}  // namespace

std::string event_text(const state::Events::Event& event) {
  return "id: " + event.id + "\nevent: " + event.type + "\ndata: " + event.data + "\n\n";
}

EventStream::EventStream(Socket& socket, std::shared_ptr<state::EventReader> reader,
                         TimeLimits limits)
    : socket_{socket},
      reader_{std::move(reader)},
      limits_{limits},
      news_{socket.get_executor()},
      too_slow_{socket.get_executor()} {
  reader_->on_news([this] { on_news(); });
}

asio::awaitable<void> EventStream::run() {
  watch_client();
  // A client that has had no event yet knows where it stands, too.
  std::string text = next_text();
  if (told_.empty()) text += "id: " + (told_ = reader_->id()) + "\n\n";
  text = "retry: 2000\n" + text;
  while (!ended_) {
    auto writing = write(std::move(text));
    const bool written = co_await std::move(writing);
    if (!written) break;
    auto waiting = wait_for_text();
    text = co_await std::move(waiting);
  }
  reader_->on_news({});
  too_slow_.cancel();
}

// As many events as one write may have.
std::string EventStream::next_text() {
  std::string text;
  while (text.size() < kWriteSize) {
    const auto event = reader_->next();
    if (!event) break;
    text += event_text(*event);
    told_ = event->id;
  }
  return text;
}

asio::awaitable<bool> EventStream::write(std::string text) {
  limit_writing();
  writing_ = true;
  asio::error_code error;
  co_await asio::async_write(socket_, asio::buffer(text),
                             asio::redirect_error(asio::use_awaitable, error));
  writing_ = false;
  too_slow_.cancel();
  co_return !error && !ended_;
}

// What is to be said next: events, or that there were none for a while. Where others went by that
// the client does not want, it learns where it stands.
asio::awaitable<std::string> EventStream::wait_for_text() {
  std::string text = next_text();
  const auto until = Clock::now() + limits_.silence;
  while (text.empty() && !ended_ && Clock::now() < until) {
    news_.expires_at(until);
    asio::error_code ignored;
    co_await news_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    text = next_text();
  }
  if (text.empty() && told_ != reader_->id()) text = "id: " + (told_ = reader_->id()) + "\n";
  if (!text.ends_with("\n\n")) text = ":\n" + text + "\n";
  co_return text;
}

void EventStream::on_news() {
  if (!writing_)
    news_.cancel();
  else if (reader_->fell_behind())
    end();
}

// What a client still sends is of no use; that it has gone is.
void EventStream::watch_client() {
  const auto seen = [weak = weak_from_this()](asio::error_code error) {
    const auto self = weak.lock();
    if (error || !self || self->ended_) return;
    std::array<char, 4096> bytes;
    const ssize_t size =
        ::recv(self->socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) return self->end();
    if (size > 0) self->discarded_ += static_cast<std::size_t>(size);
    if (self->discarded_ > kMostDiscarded) return self->end();
    self->watch_client();
  };
  socket_.async_wait(Socket::wait_read, seen);
}

void EventStream::limit_writing() {
  too_slow_.expires_after(limits_.write);
  too_slow_.async_wait([weak = weak_from_this()](asio::error_code error) {
    const auto self = weak.lock();
    if (!error && self && self->writing_ && self->too_slow_.expiry() <= Clock::now()) self->end();
  });
}

void EventStream::stop() {
  end();
}

void EventStream::end() {
  ended_ = true;
  news_.cancel();
  asio::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace masqgate::web
