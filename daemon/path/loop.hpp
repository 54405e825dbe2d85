// The thread of a shard: waits for its devices, drains them in bursts, keeps its time.
//
//   wait ──readable──▶ drain up to 32 frames of each device in turn, until all are empty
//    ▲                  │ (after kRounds, others that were posted get their turn)
//    └── spin a little ◀┘ (only if configured: costs a core, saves a wake-up)
//
// Everything else that happens to a shard is posted here and runs between two bursts.

#pragma once

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/path/divert_sockets.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/port/poller.hpp"

namespace masqgate::path {

class Loop {
 public:
  static constexpr std::size_t kBurst = 32;  // frames of one device before the next gets its turn
  static constexpr int kRounds = 16;         // turns before posted work runs
  static constexpr auto kTick = std::chrono::milliseconds{100};

  // spin: how long to look for more frames before waiting; zero: not at all.
  Loop(Shard& shard, Duration spin);
  ~Loop();  // stops and joins

  // Before start(): each queue of each interface, to be waited on and drained. It outlives the loop.
  void watch(PortIndex port, Side side, port::Interface& queue);
  // nice: of the thread, as nice(1) counts. Who forwards for others goes before those others, as
  // Linux' own forwarding does; else senders on the same CPUs keep it from emptying its queues.
  // Returns 0, or the errno of why it may not; it runs all the same.
  int start(int nice);
  void stop();

  // A program that packets may be diverted to has connected; from any thread.
  void adopt(UniqueFd socket, const divert::Peer& peer);

  // Runs work on the shard's thread; from any thread. Work that has not begun when the loop stops
  // never does.
  template <typename Work>
  void post(Work&& work) {
    asio::post(posted_, std::forward<Work>(work));
    poller_.ring();
  }

 private:
  struct Watched {
    PortIndex port;
    Side side;
    port::Interface* queue;
    bool readable;
  };

  void run();
  void note(std::span<const std::uint32_t> tags);
  bool drain_all();
  bool turn();
  bool spin();

  Shard& shard_;
  Duration spin_;
  port::Poller poller_{kTick};
  DivertSockets divert_sockets_{shard_, poller_};
  std::vector<Watched> watched_;
  asio::io_context posted_{1};
  bool stopping_ = false;  // told by posted work
  std::thread thread_;
};

}  // namespace masqgate::path
