// The thread of a shard: waits for its devices, drains them in bursts, keeps its time.
//
//   wait ──readable──▶ drain up to 32 frames of each device in turn, until all are empty
//    ▲                  │ (after kRounds, others that were posted get their turn)
//    └── spin a little ◀┘ (only if configured: costs a core, saves a wake-up)
//
// Everything else that happens to a shard is posted here and runs between two bursts.

#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "daemon/path/shard.hpp"

namespace masqgate::path {

class Loop {
 public:
  static constexpr std::size_t kBurst = 32;  // frames of one device before the next gets its turn
  static constexpr int kRounds = 16;         // turns before posted work runs
  static constexpr auto kTick = std::chrono::milliseconds{100};

  // spin: how long to look for more frames before waiting; zero: not at all.
  Loop(Shard& shard, Duration spin);
  ~Loop();  // stops and joins

  // Before start(): each queue of each interface, to be waited on and drained.
  void watch(PortIndex port, Side side, port::Interface& queue);
  void start();
  void stop();

  // Runs work on the shard's thread; from any thread.
  template <typename Work>
  void post(Work&& work) {
    asio::post(context_, std::forward<Work>(work));
  }
  asio::io_context& context() { return context_; }

 private:
  struct Watched {
    PortIndex port;
    Side side;
    port::Interface& queue;
    asio::posix::stream_descriptor descriptor;
    bool readable = false;
    bool waiting = false;
  };

  void wait(Watched& watched);
  void run();
  bool drain_all();
  bool spin();
  void keep_time();

  Shard& shard_;
  Duration spin_;
  asio::io_context context_{1};
  asio::steady_timer timer_{context_};
  std::vector<std::unique_ptr<Watched>> watched_;
  bool running_ = false;  // run() is on its way
  std::thread thread_;
};

}  // namespace masqgate::path
