// Unit tests of divert/shared.hpp: two ends of shared memory, and one that lies.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "divert/shared.hpp"

using namespace masqgate::divert;

namespace {

using Octets = std::vector<std::byte>;

constexpr std::size_t kRing = Region::kLeast;

// A frame of that many bytes that are all `fill` behind its header.
Octets frame_of(std::size_t size, int fill) {
  Octets frame(size, static_cast<std::byte>(fill));
  format::FrameHeader header;
  header.length = static_cast<std::uint32_t>(size);
  std::memcpy(frame.data(), &header, sizeof header);
  return frame;
}

struct Pair {
  Descriptor to = Region::create(kRing), from = Region::create(kRing);
  SharedEnd router{*Region::map(to, true), *Region::map(from, false)};
  SharedEnd program{*Region::map(from, true), *Region::map(to, false)};
};

// What stands in the region of an end that does as it likes.
struct Liar {
  Descriptor to = Region::create(kRing), from = Region::create(kRing);
  SharedEnd router{*Region::map(to, true), *Region::map(from, false)};
  Region own = *Region::map(from, true);
  void say(std::uint64_t head, std::uint32_t length) {
    const format::U32 stored{length};
    std::memcpy(own.ring() + offsetof(format::FrameHeader, length), &stored, sizeof stored);
    own.words().head = head;
  }
};

}  // namespace

TEST_CASE(
    "D3: frames come out of shared memory as they went in, over many rounds of the ring, never "
    "cut") {
  Pair pair;
  int sent = 0, taken = 0;
  const std::array<std::size_t, 4> sizes{16, 4096, format::kLargestFrame, 24};
  const auto size_of = [&](int number) { return sizes[static_cast<std::size_t>(number) % 4]; };
  while (taken < 200) {
    while (pair.router.put(frame_of(size_of(sent), sent % 251))) ++sent;
    CHECK(sent > taken);
    for (int i = 0; i < 3 && taken < sent; ++i, ++taken) {
      const format::Bytes frame = pair.program.next();
      REQUIRE(frame.size() == size_of(taken));
      CHECK(std::equal(frame.begin(), frame.end(), frame_of(size_of(taken), taken % 251).begin()));
      CHECK(pair.program.next().empty());  // one at a time
      pair.program.release();
    }
  }
  CHECK_FALSE(pair.router.broken());
  CHECK_FALSE(pair.program.broken());
}

TEST_CASE("D3: a frame may be built where it will be read") {
  Pair pair;
  std::byte* room = pair.router.room();
  REQUIRE(room != nullptr);
  const Octets frame = frame_of(64, 7);
  std::memcpy(room, frame.data(), frame.size());
  CHECK(pair.program.next().empty());  // not yet
  REQUIRE(pair.router.put({room, frame.size()}));
  CHECK(pair.program.next().size() == 64);
}

TEST_CASE("D3: shared memory that is full takes no more, and says who waits for room") {
  Pair pair;
  while (pair.router.put(frame_of(format::kLargestFrame, 1))) continue;
  CHECK(pair.router.room() == nullptr);
  CHECK(pair.router.go_to_sleep());
  CHECK_FALSE(pair.program.other_must_wake());  // it has taken nothing
  pair.program.next();
  pair.program.release();
  CHECK(pair.program.other_must_wake());
  CHECK_FALSE(pair.program.other_must_wake());  // once
  pair.router.wake();
  CHECK(pair.router.room() != nullptr);
}

TEST_CASE("D3: who sleeps is woken once for each sleep, and nobody sleeps before what is there") {
  Pair pair;
  CHECK(pair.program.go_to_sleep());
  CHECK_FALSE(pair.router.other_must_wake());
  for (int i = 0; i < 3; ++i) pair.router.put(frame_of(16, 1));
  CHECK(pair.router.other_must_wake());
  pair.router.put(frame_of(16, 1));
  CHECK_FALSE(pair.router.other_must_wake());
  CHECK_FALSE(pair.program.go_to_sleep());
  for (int i = 0; i < 4; ++i) {
    CHECK_FALSE(pair.program.next().empty());
    pair.program.release();
  }
  CHECK(pair.program.go_to_sleep());
  pair.router.put(frame_of(16, 1));
  CHECK(pair.router.other_must_wake());
}

TEST_CASE("D3: two threads: everything arrives, and nobody sleeps for ever") {
  Pair pair;
  int bells[2] = {}, wakers[2] = {};
  REQUIRE(::pipe(bells) == 0);
  REQUIRE(::pipe(wakers) == 0);
  const auto sleep = [](SharedEnd& end, int bell) {
    char any = 0;
    if (end.go_to_sleep()) CHECK(::read(bell, &any, 1) == 1);
    end.wake();
  };
  constexpr int kFrames = 20000;
  std::thread reader{[&] {
    for (int i = 0; i < kFrames;) {
      const format::Bytes frame = pair.program.next();
      if (frame.empty()) {
        sleep(pair.program, bells[0]);
        continue;
      }
      CHECK(frame.back() == static_cast<std::byte>(i % 251));
      ++i;
      pair.program.release();
      if (pair.program.other_must_wake()) CHECK(::write(wakers[1], "", 1) == 1);
    }
  }};
  for (int i = 0; i < kFrames;) {
    if (pair.router.put(frame_of(24 + 8 * static_cast<std::size_t>(i % 2000), i % 251)))
      ++i;
    else
      sleep(pair.router, wakers[0]);
    if (pair.router.other_must_wake()) CHECK(::write(bells[1], "", 1) == 1);
  }
  reader.join();
  for (const int descriptor : {bells[0], bells[1], wakers[0], wakers[1]}) ::close(descriptor);
}

TEST_CASE("R5: a program can neither write masqgate's memory nor make any of it shorter") {
  Descriptor memory = Region::create(kRing);
  const auto own = Region::map(memory, true);
  REQUIRE(own);
  REQUIRE(Region::close_for_writing(memory));
  CHECK_FALSE(Region::map(memory, true));
  CHECK(errno == EPERM);
  CHECK(Region::map(memory, false));
  CHECK(::write(memory.get(), "x", 1) == -1);
  CHECK(::ftruncate(memory.get(), 4096) == -1);
  CHECK(::ftruncate(memory.get(), 1 << 24) == -1);
  CHECK(::fallocate(memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536) == -1);
  CHECK(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE) == -1);
}

TEST_CASE("D3: memory of another size than a region has is not taken") {
  for (const long size :
       {0L, 4096L, 65536L, 65536L + 4096, 65536L + 300000, 65536L + (128 << 20)}) {
    CAPTURE(size);
    Descriptor memory{::memfd_create("test", MFD_CLOEXEC)};
    REQUIRE(::ftruncate(memory.get(), size) == 0);
    CHECK_FALSE(Region::map(memory, false));
    CHECK(errno == EINVAL);
  }
  CHECK_FALSE(Region::map(Descriptor{}, false));
}

TEST_CASE("R5: positions and lengths that cannot be true break the end, and nothing else") {
  constexpr std::uint64_t kFar = ~std::uint64_t{0};
  struct Row {
    std::uint64_t head;
    std::uint32_t length;
  };
  for (const auto& [head, length] : std::vector<Row>{{64, 0},
                                                     {64, 15},
                                                     {64, 17},
                                                     {64, 72},
                                                     {8, 16},
                                                     {kRing + 8, 64},
                                                     {kFar, 64},
                                                     {kRing, 0xffffffff},
                                                     {kRing, format::kLargestFrame + 8}}) {
    CAPTURE(head);
    CAPTURE(length);
    Liar liar;
    liar.say(head, length);
    CHECK(liar.router.next().empty());
    CHECK(liar.router.broken());
    CHECK(liar.router.room() == nullptr);
  }
  for (const std::uint64_t tail : {std::uint64_t{8}, std::uint64_t{kRing}, kFar}) {
    CAPTURE(tail);
    Liar liar;
    liar.own.words().tail = tail;
    CHECK_FALSE(liar.router.put(frame_of(16, 1)));
    CHECK(liar.router.broken());
  }
  Liar honest;
  honest.say(64, 64);
  CHECK(honest.router.next().size() == 64);
}

TEST_CASE("R5: a length that changes while it is read is read once") {
  Liar liar;
  liar.say(64, 64);
  const format::Bytes frame = liar.router.next();
  liar.say(64, 0xffffff00);
  CHECK(frame.size() == 64);
  liar.router.release();
  CHECK(liar.router.next().empty());
  CHECK_FALSE(liar.router.broken());
}

TEST_CASE("D3: descriptors go with a frame, also more of them than there may be") {
  int ends[2] = {};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  const Descriptor one{ends[0]}, other{ends[1]};
  const Octets frame = frame_of(32, 3);
  for (std::size_t count = 1; count <= kMostPassed; ++count) {
    const std::vector<int> passed(count, one.get());
    REQUIRE(send_passing(one.get(), frame, passed, 0) == 32);
    std::array<Descriptor, kMostPassed> got;
    std::array<std::byte, 100> room{};
    CHECK(receive_passed(other.get(), room, got, 0) == 32);
    CHECK(std::equal(frame.begin(), frame.end(), room.begin()));
    for (std::size_t i = 0; i < kMostPassed; ++i) CHECK((got[i].get() >= 0) == (i < count));
  }
  REQUIRE(::send(one.get(), frame.data(), frame.size(), 0) == 32);
  std::array<Descriptor, kMostPassed> none;
  std::array<std::byte, 100> room{};
  CHECK(receive_passed(other.get(), room, none, 0) == 32);
  CHECK(none[0].get() == -1);
}
