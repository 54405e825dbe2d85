#include "daemon/path/loop.hpp"

#include <unistd.h>

namespace masqgate::path {

Loop::Loop(Shard& shard, Duration spin) : shard_{shard}, spin_{spin} {}

Loop::~Loop() {
  stop();
}

// The descriptor is duplicated: the queue keeps its own, both mean the same device queue.
void Loop::watch(PortIndex port, Side side, port::Interface& queue) {
  watched_.push_back(std::make_unique<Watched>(Watched{
      port, side, queue, asio::posix::stream_descriptor{context_, ::dup(queue.descriptor())}}));
}

void Loop::start() {
  for (const auto& watched : watched_) wait(*watched);
  keep_time();
  thread_ = std::thread{[this] { context_.run(); }};
}

void Loop::stop() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

void Loop::wait(Watched& watched) {
  watched.waiting = true;
  watched.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                [this, &watched](const asio::error_code& problem) {
                                  watched.waiting = false;
                                  if (problem) return;
                                  watched.readable = true;
                                  if (!running_) run();
                                });
}

// One turn for each readable device; says whether any has more.
bool Loop::drain_all() {
  const Time now = BootClock::now();
  bool more = false;
  for (const auto& watched : watched_) {
    if (!watched->readable) continue;
    watched->readable =
        shard_.drain(watched->port, watched->side, watched->queue, kBurst, now) == kBurst;
    more = more || watched->readable;
  }
  return more;
}

// Looks at every device, readable or not, until one has something or the time is over.
bool Loop::spin() {
  if (spin_ == Duration{}) return false;
  const Time end = BootClock::now() + spin_;
  for (Time now = BootClock::now(); now < end; now = BootClock::now())
    for (const auto& watched : watched_)
      if (shard_.drain(watched->port, watched->side, watched->queue, kBurst, now) > 0) {
        watched->readable = true;
        return true;
      }
  return false;
}

void Loop::run() {
  running_ = true;
  for (int round = 0; round < kRounds; ++round) {
    if (drain_all() || spin()) continue;
    running_ = false;
    for (const auto& watched : watched_)
      if (!watched->waiting) wait(*watched);
    return;
  }
  post([this] { run(); });
}

void Loop::keep_time() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](const asio::error_code& problem) {
    if (problem) return;
    shard_.tick(BootClock::now());
    keep_time();
  });
}

}  // namespace masqgate::path
