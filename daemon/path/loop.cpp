#include "daemon/path/loop.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <future>
#include <memory>

namespace masqgate::path {
namespace {

int set_nice(int nice) {
  const auto thread = static_cast<id_t>(::gettid());
  if (nice == 0 || ::setpriority(PRIO_PROCESS, thread, nice) == 0) return 0;
  return errno;
}

}  // namespace

Loop::Loop(Shard& shard, Duration spin) : shard_{shard}, spin_{spin} {}

Loop::~Loop() {
  stop();
}

void Loop::watch(PortIndex port, Side side, port::Interface& queue) {
  poller_.add(queue.descriptor(), static_cast<std::uint32_t>(watched_.size()));
  watched_.push_back({port, side, &queue, false});
}

int Loop::start(int nice) {
  std::promise<int> niced;
  thread_ = std::thread{[&, nice] {
    niced.set_value(set_nice(nice));
    run();
  }};
  return niced.get_future().get();
}

void Loop::adopt(UniqueFd socket, const divert::Peer& peer) {
  post([this, owned = std::make_shared<UniqueFd>(std::move(socket)), peer] {
    divert_sockets_.adopt(std::move(*owned), peer);
  });
}

void Loop::stop() {
  if (!thread_.joinable()) return;
  post([this] { stopping_ = true; });
  thread_.join();
}

// What the poller tells: devices that have frames, work that was posted, time to tick.
void Loop::note(std::span<const std::uint32_t> tags) {
  for (const std::uint32_t tag : tags)
    if (tag == port::Poller::kBell) {
      posted_.restart();
      posted_.poll();
    } else if (tag == port::Poller::kTick) {
      shard_.tick(BootClock::now());
      shard_.tell_wall_clock(std::time(nullptr));
    } else if (DivertSockets::is_ours(tag)) {
      divert_sockets_.ready(tag);
    } else {
      watched_[tag].readable = true;
    }
}

// A burst of each readable device; says whether any has more.
bool Loop::drain_all() {
  const Time now = BootClock::now();
  bool more = false;
  for (Watched& watched : watched_) {
    if (!watched.readable) continue;
    watched.readable =
        shard_.drain(watched.port, watched.side, *watched.queue, kBurst, now) == kBurst;
    more = more || watched.readable;
  }
  return divert_sockets_.turn(now, more) || more;
}

// Asks again and again until a device is readable or the time is over, and lets whoever else wants
// this CPU have it: the packets that are waited for may have to come from there.
bool Loop::spin() {
  const Time end = BootClock::now() + spin_;
  do {
    note(poller_.look());
    if (std::ranges::any_of(watched_, &Watched::readable)) return true;
    ::sched_yield();
  } while (BootClock::now() < end && !stopping_);
  return false;
}

// Bursts until there is nothing more; false then, true when others must get their turn first.
bool Loop::turn() {
  for (int round = 0; round < kRounds; ++round)
    if (!drain_all() && (spin_ == Duration{} || !spin())) return false;
  return true;
}

void Loop::run() {
  bool more = false;
  while (!stopping_) {
    note(more || !divert_sockets_.may_sleep() ? poller_.look() : poller_.wait());
    more = turn();
  }
}

}  // namespace masqgate::path
