// Frames through memory that masqgate and a program share, in place of the socket (docs/divert.md).
//
//   masqgate writes  [ words | ring of frames ]  ──▶  the program, which can map it for reading only
//   masqgate         ◀──  [ words | ring of frames ]  the program writes
//
// Each end writes nothing but its own region, and keeps its own positions to itself as well: what
// stands in the other one's region is news from outside, which is looked at once and then believed
// only as far as it can be true. A ring is mapped twice, one copy behind the other, so that no frame
// is ever cut in two. Positions count bytes since the beginning and never wrap in practice (64 bits).
//
// An end that has nothing to do says so (`state`), looks once more, and sleeps; who puts a frame or
// takes one then wakes it, once for each sleep. How, is a matter of the two ends: masqgate sends an
// empty frame by the socket, a program writes an eventfd(2).

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "divert/format.hpp"

namespace masqgate::divert {

// A file descriptor of which there is one owner.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_{number} {}
  Descriptor(Descriptor&& other) noexcept : number_{other.release()} {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return number_; }
  int release();

 private:
  int number_;
};

class Region {
 public:
  // What stands in front of the ring; each word in cache lines of its own.
  struct Words {
    alignas(128) std::atomic<std::uint64_t> head;   // bytes that were put into this region's ring
    alignas(128) std::atomic<std::uint64_t> tail;   // bytes that were taken out of the other's
    alignas(128) std::atomic<std::uint32_t> state;  // a count of sleeps times four, and kSleeps …
  };
  static constexpr std::uint32_t kSleeps = 1, kWantsRoom = 2;
  static constexpr std::size_t kFront = 65536;  // of the words: a page of any machine
  static constexpr std::size_t kLeast = 256 << 10, kMost = 64 << 20;  // bytes of a ring

  // A region's memory (memfd_create(2)) that can neither grow nor shrink; ring: a power of two from
  // kLeast on. -1 with errno.
  static Descriptor create(std::size_t ring) noexcept;
  // Nobody maps it for writing any more who has not done so already.
  static bool close_for_writing(const Descriptor& memory) noexcept;
  // Empty with errno; EINVAL: its size is not that of a region.
  static std::optional<Region> map(const Descriptor& memory, bool writable) noexcept;

  Region(Region&& other) noexcept;
  ~Region();

  Words& words() const { return *static_cast<Words*>(base_); }
  std::byte* ring() const { return static_cast<std::byte*>(base_) + kFront; }
  std::size_t size() const { return size_; }

 private:
  Region(void* base, std::size_t size) : base_{base}, size_{size} {}
  void* base_ = nullptr;
  std::size_t size_ = 0;  // of the ring
};

// One end: what it sends goes into its own region, what it receives stands in the other's.
class SharedEnd {
 public:
  SharedEnd(Region own, Region other) : own_{std::move(own)}, other_{std::move(other)} {}

  // Where the next frame may be built, kLargestFrame bytes; null if there is no room now.
  std::byte* room() noexcept;
  // A frame that stands there already, or a copy of one that stands elsewhere; false: no room.
  bool put(format::Bytes frame) noexcept;

  // The oldest frame, where it is, until release(); empty if there is none. The other end may still
  // write it: who does not trust it copies it out before he reads it.
  format::Bytes next() noexcept;
  void release() noexcept;

  // The other end's positions or lengths cannot be true; there is nothing more to be had from it.
  bool broken() const { return broken_; }

  // Before sleeping: false if there is something to do.
  bool go_to_sleep() noexcept;
  void wake() noexcept;
  // Whether the other end sleeps and waits for what was put or released since this was asked last.
  bool other_must_wake() noexcept;

 private:
  bool has_room() noexcept;
  bool has_next() noexcept;

  Region own_, other_;
  std::uint64_t head_ = 0;    // of the own ring
  std::uint64_t tail_ = 0;    // of the other's
  std::size_t taking_ = 0;    // bytes of the frame that next() gave
  std::uint32_t sleeps_ = 0;  // how often this end has slept or woken
  std::uint32_t woken_ = 0;   // the other's state when it was woken last
  bool asleep_ = false;
  bool wants_room_ = false;
  bool has_put_ = false, has_released_ = false;  // since the other one was thought of
  bool broken_ = false;
};

// A frame and descriptors that go with it, as sendmsg(2) and recvmsg(2) do; both as those return.
inline constexpr std::size_t kMostPassed = 3;
std::ptrdiff_t send_passing(int socket, format::Bytes frame, std::span<const int> descriptors,
                            int flags) noexcept;
std::ptrdiff_t receive_passed(int socket, std::span<std::byte> frame,
                              std::span<Descriptor, kMostPassed> passed, int flags) noexcept;

}  // namespace masqgate::divert
