#include "divert/shared.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace masqgate::divert {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(Region::Words) <= Region::kFront);

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this == &other) return *this;
  if (number_ >= 0) ::close(number_);
  number_ = other.release();
  return *this;
}

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

int Descriptor::release() {
  return std::exchange(number_, -1);
}

Descriptor Region::create(std::size_t ring) noexcept {
  Descriptor memory{::memfd_create("masqgate-divert", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (memory.get() < 0) return memory;
  if (::ftruncate(memory.get(), static_cast<off_t>(kFront + ring)) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
    return Descriptor{};
  return memory;
}

bool Region::close_for_writing(const Descriptor& memory) noexcept {
  return ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0;
}

// Words and ring, and the ring once more behind it.
std::optional<Region> Region::map(const Descriptor& memory, bool writable) noexcept {
  struct stat about {};
  if (::fstat(memory.get(), &about) != 0) return std::nullopt;
  const auto bytes = static_cast<std::uint64_t>(about.st_size);
  if (bytes < kFront + kLeast || bytes > kFront + kMost || !std::has_single_bit(bytes - kFront)) {
    errno = EINVAL;
    return std::nullopt;
  }
  const std::size_t size = bytes - kFront;
  void* base = ::mmap(nullptr, kFront + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return std::nullopt;
  Region region{base, size};
  const int rights = PROT_READ | (writable ? PROT_WRITE : 0);
  const auto place = [&](std::size_t at, std::size_t length, std::size_t from) {
    return ::mmap(static_cast<std::byte*>(base) + at, length, rights, MAP_SHARED | MAP_FIXED,
                  memory.get(), static_cast<off_t>(from)) != MAP_FAILED;
  };
  if (!place(0, kFront + size, 0) || !place(kFront + size, size, kFront)) return std::nullopt;
  return region;
}

Region::Region(Region&& other) noexcept
    : base_{std::exchange(other.base_, nullptr)}, size_{other.size_} {}

Region::~Region() {
  if (base_ != nullptr) ::munmap(base_, kFront + 2 * size_);
}

bool SharedEnd::has_room() noexcept {
  const std::uint64_t tail = other_.words().tail.load(std::memory_order_acquire);
  if (tail > head_ || head_ - tail > own_.size()) broken_ = true;
  return !broken_ && own_.size() - (head_ - tail) >= format::kLargestFrame;
}

std::byte* SharedEnd::room() noexcept {
  wants_room_ = !has_room();
  return wants_room_ ? nullptr : own_.ring() + (head_ & (own_.size() - 1));
}

bool SharedEnd::put(format::Bytes frame) noexcept {
  std::byte* to = room();
  if (to == nullptr) return false;
  if (frame.data() != to) std::memcpy(to, frame.data(), frame.size());
  head_ += frame.size();
  own_.words().head.store(head_, std::memory_order_release);
  has_put_ = true;
  return true;
}

bool SharedEnd::has_next() noexcept {
  return other_.words().head.load(std::memory_order_acquire) != tail_ + taking_;
}

format::Bytes SharedEnd::next() noexcept {
  if (broken_ || taking_ != 0) return {};
  const std::uint64_t there = other_.words().head.load(std::memory_order_acquire) - tail_;
  if (there == 0) return {};
  const std::byte* at = other_.ring() + (tail_ & (other_.size() - 1));
  // Read once: the other end may change it meanwhile.
  const void* field = at + offsetof(format::FrameHeader, length);
  const std::uint32_t stored = *static_cast<const volatile std::uint32_t*>(field);
  const std::size_t length = format::load<format::U32>(std::as_bytes(std::span{&stored, 1}));
  if (there > other_.size() || length < sizeof(format::FrameHeader) ||
      length > format::kLargestFrame || length % 8 != 0 || length > there) {
    broken_ = true;
    return {};
  }
  taking_ = length;
  return {at, length};
}

void SharedEnd::release() noexcept {
  if (taking_ == 0) return;
  tail_ += std::exchange(taking_, 0);
  own_.words().tail.store(tail_, std::memory_order_release);
  has_released_ = true;
}

// The fence stands between what this end says and what it reads, as in other_must_wake(): one of the
// two sees what the other has done.
bool SharedEnd::go_to_sleep() noexcept {
  const std::uint32_t how = Region::kSleeps | (wants_room_ ? Region::kWantsRoom : 0);
  own_.words().state.store(++sleeps_ << 2 | how, std::memory_order_relaxed);
  asleep_ = true;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_next() && !(wants_room_ && has_room()) && !broken_) return true;
  wake();
  return false;
}

void SharedEnd::wake() noexcept {
  if (!std::exchange(asleep_, false)) return;
  own_.words().state.store(++sleeps_ << 2, std::memory_order_relaxed);
}

bool SharedEnd::other_must_wake() noexcept {
  const bool put = std::exchange(has_put_, false), released = std::exchange(has_released_, false);
  if (!put && !released) return false;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint32_t state = other_.words().state.load(std::memory_order_relaxed);
  const bool waits =
      (put && (state & Region::kSleeps) != 0) || (released && (state & Region::kWantsRoom) != 0);
  if (!waits || state == woken_) return false;
  woken_ = state;
  return true;
}

namespace {

union Passing {
  cmsghdr header;
  std::byte bytes[CMSG_SPACE(kMostPassed * sizeof(int))];
};

}  // namespace

std::ptrdiff_t send_passing(int socket, format::Bytes frame, std::span<const int> descriptors,
                            int flags) noexcept {
  Passing passing{};
  iovec part{const_cast<std::byte*>(frame.data()), frame.size()};  // sendmsg does not write it
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &passing;
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  passing.header.cmsg_level = SOL_SOCKET;
  passing.header.cmsg_type = SCM_RIGHTS;
  passing.header.cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(&passing.header), descriptors.data(), descriptors.size_bytes());
  return ::sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

std::ptrdiff_t receive_passed(int socket, std::span<std::byte> frame,
                              std::span<Descriptor, kMostPassed> passed, int flags) noexcept {
  Passing passing{};
  iovec part{frame.data(), frame.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &passing;
  message.msg_controllen = sizeof passing;
  const std::ptrdiff_t size = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  const cmsghdr* first = size < 0 ? nullptr : CMSG_FIRSTHDR(&message);
  if (first == nullptr || first->cmsg_level != SOL_SOCKET || first->cmsg_type != SCM_RIGHTS)
    return size;
  int numbers[kMostPassed] = {};
  const std::size_t count = (first->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  std::memcpy(numbers, CMSG_DATA(first), std::min(count, kMostPassed) * sizeof(int));
  for (std::size_t i = 0; i < std::min(count, kMostPassed); ++i) passed[i] = Descriptor{numbers[i]};
  return size;
}

}  // namespace masqgate::divert
