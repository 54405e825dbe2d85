#include "daemon/packet/frame.hpp"

#include <sys/mman.h>

#include <cassert>
#include <new>

namespace masqgate {

FramePool::FramePool(std::size_t frames) : total_{frames} {
  void* memory = mmap(nullptr, frames * Frame::kCapacity, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};  // at start only
  memory_ = static_cast<std::byte*>(memory);
  free_.reserve(frames);
  // Headers of frames that are in use together would all fall into the same few lines of the cache.
  constexpr std::size_t kLine = 64, kColours = 31;
  static_assert(kColours * 2 * kLine <= Frame::kCapacity - Frame::kIpOffset - Frame::kMaxIpSize);
  for (std::size_t i = frames; i-- > 0;)
    free_.push_back(memory_ + i * Frame::kCapacity + i % kColours * 2 * kLine);
}

FramePool::~FramePool() {
  assert(free_.size() == total_);
  munmap(memory_, total_ * Frame::kCapacity);
}

}  // namespace masqgate
