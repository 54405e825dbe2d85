// The thread of a shard over real descriptors: it wakes for frames, for posted work, and to stop.

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <thread>

#include "daemon/base/unique_fd.hpp"
#include "daemon/path/loop.hpp"
#include "tests/path/divert_router.hpp"
#include "tests/support/test_router.hpp"

namespace path_loop {

using namespace masqgate;
using namespace masqgate::test;

namespace {

// An Interface over one end of a socket pair; the other end is the network.
class SocketInterface final : public port::Interface {
 public:
  SocketInterface() {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    near_.reset(pair[0]);
    far_.reset(pair[1]);
  }
  port::ReadResult read(Frame& frame) noexcept override {
    const auto room = frame.device_room(Frame::kLinkSize).subspan(wire::VnetHeader::kSize);
    const ssize_t size = ::read(near_.get(), room.data(), room.size());
    if (size < 0) return port::ReadResult::empty;
    frame.set_ip_size(static_cast<std::size_t>(size) - Frame::kLinkSize);
    frame.offload = {};
    return port::ReadResult::frame;
  }
  bool write(Frame& frame) noexcept override {
    const auto bytes = frame.device_bytes(Frame::kLinkSize).subspan(wire::VnetHeader::kSize);
    return ::write(near_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  int descriptor() const noexcept override { return near_.get(); }
  std::size_t link_size() const noexcept override { return Frame::kLinkSize; }

  void arrive(const Octets& frame) {
    REQUIRE(::write(far_.get(), frame.data(), frame.size()) == static_cast<ssize_t>(frame.size()));
  }
  // Frames that left, until there were so many or a long time has passed.
  std::size_t left(std::size_t wanted) {
    std::size_t count = 0;
    for (int i = 0; i < 5000 && count < wanted; ++i) {
      char bytes[2048];
      while (::read(far_.get(), bytes, sizeof bytes) > 0) ++count;
      if (count < wanted) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return count;
  }

 private:
  UniqueFd near_, far_;
};

Octets query_frame(net::Port port) {
  return udp()
      .from("192.168.1.10", port)
      .to("198.51.100.1", 53)
      .payload("query")
      .frame_bytes(kLanMac, kHostMac);
}

// What the shard's thread answers; the thread of the test waits for it.
template <typename Question>
auto ask(path::Loop& loop, Question question) {
  std::promise<decltype(question())> answer;
  loop.post([&] { answer.set_value(question()); });
  return answer.get_future().get();
}

void check_forwarding(Duration spin) {
  TestRouter router;
  SocketInterface lan, wan;
  router.shard.attach(kLan, Side::network, &lan);
  router.shard.attach(kWan, Side::network, &wan);
  path::Loop loop{router.shard, spin};
  loop.watch(kLan, Side::network, lan);
  loop.watch(kWan, Side::network, wan);
  CHECK(loop.start(0) == 0);
  CHECK(ask(loop, [&] { return router.shard.counters().frames_in; }) == 0);
  constexpr std::size_t kMany = 3 * path::Loop::kBurst + 1;
  for (net::Port i = 0; i < kMany; ++i) {
    lan.arrive(query_frame(static_cast<net::Port>(4000 + i)));
    if (i == kMany / 2) CHECK(wan.left(i + 1u) == i + 1u);  // it sleeps now, and wakes again
  }
  CHECK(wan.left(kMany / 2) == kMany / 2);
  CHECK(ask(loop, [&] { return router.shard.counters().frames_in; }) == kMany);
  CHECK(ask(loop, [&] { return router.imbalance(); }) == "");
}

}  // namespace

TEST_CASE("loop: every frame that arrives is handled, asleep or awake") {
  check_forwarding({});
}

TEST_CASE("loop: the same when it spins before it sleeps") {
  check_forwarding(std::chrono::microseconds{50});
}

TEST_CASE("loop: posted work runs once, in order, on the one thread, whoever posts it") {
  TestRouter router;
  path::Loop loop{router.shard, {}};
  loop.start(0);
  const auto thread = ask(loop, [] { return std::this_thread::get_id(); });
  CHECK(thread != std::this_thread::get_id());
  constexpr int kEach = 1000;
  std::vector<int> seen[2];
  const auto post_all = [&](int who) {
    for (int i = 0; i < kEach; ++i) loop.post([&seen, who, i] { seen[who].push_back(i); });
  };
  std::thread other{post_all, 1};
  post_all(0);
  other.join();
  CHECK(ask(loop, [] { return std::this_thread::get_id(); }) == thread);
  for (const auto& numbers : seen) {
    CHECK(numbers.size() == kEach);
    CHECK(std::ranges::is_sorted(numbers));
  }
}

TEST_CASE("loop: time passes without any frame, again and again") {
  TestRouter router;
  path::Loop loop{router.shard, {}};
  Time before = BootClock::now();
  loop.start(0);
  for (int tick = 0; tick < 3; ++tick) {
    CAPTURE(tick);
    bool ticked = false;
    for (int i = 0; i < 1000 && !ticked; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
      ticked = ask(loop, [&] { return router.shard.now() > before; });
    }
    CHECK(ticked);
    before = ask(loop, [&] { return router.shard.now(); });
  }
}

TEST_CASE("loop: stops while work is waiting, and before it was started") {
  TestRouter router;
  { const path::Loop never_started{router.shard, {}}; }
  path::Loop loop{router.shard, {}};
  loop.start(0);
  loop.stop();
  bool ran = false;
  loop.post([&] { ran = true; });
  CHECK_FALSE(ran);
}

TEST_CASE("loop: the thread takes the nice value, and says so where it may not") {
  TestRouter router;
  path::Loop modest{router.shard, {}};
  CHECK(modest.start(7) == 0);
  CHECK(ask(modest, [] { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); }) ==
        7);
  modest.stop();
  rlimit limit{};
  ::getrlimit(RLIMIT_NICE, &limit);
  path::Loop urgent{router.shard, {}};
  const int problem = urgent.start(-20);
  CHECK((problem == 0 || problem == EACCES || problem == EPERM));
  CHECK(ask(urgent, [] { return true; }));  // it runs all the same
}

TEST_CASE("loop: programs get their packets together while devices are busy, and else at once") {
  DivertRouter lab{R"({"forward": {"rules": [{"action": {"divert": 2222}}]}})"};
  port::Poller poller{std::chrono::seconds{60}};
  path::DivertSockets sockets{lab.router.shard, poller};
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  sockets.adopt(UniqueFd{pair[0]}, {});
  const UniqueFd program{pair[1]};
  const auto records = [&] {
    format::FrameHeader header;
    const ssize_t size = ::recv(program.get(), &header, sizeof header, 0);
    return size == static_cast<ssize_t>(sizeof header) ? int{header.records} : 0;
  };
  format::BindHeader bind;
  bind.port = 2222;
  const Octets frame = frame_of_records({bytes_of(bind)}, format::Kind::control);
  REQUIRE(::write(program.get(), frame.data(), frame.size()) == static_cast<ssize_t>(frame.size()));
  sockets.turn(lab.router.now(), false);
  REQUIRE(records() == 1);  // bound

  for (int turn = 1; turn < path::DivertSockets::kTurnsTogether; ++turn) {
    lab.router.arrive(kLan, question());
    CHECK(sockets.turn(lab.router.now(), true));
    CHECK(records() == 0);
  }
  sockets.turn(lab.router.now(), true);
  CHECK(records() == path::DivertSockets::kTurnsTogether - 1);
  lab.router.arrive(kLan, question());
  sockets.turn(lab.router.now(), false);
  CHECK(records() == 1);
}

}  // namespace path_loop
