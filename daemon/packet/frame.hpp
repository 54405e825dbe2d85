// A Frame: the bytes of one packet with room in front, owned by exactly one holder.
//
//   storage:  | headroom | virtio 10 | link 14 | IP packet … up to 64 KB (GSO) | slack |
//                                              ^ kIpOffset
//
// The IP packet always starts at the same offset, whatever link layer the frame came over, so that
// a frame read from one device is written to another without moving a byte. Frames come from their
// shard's pool, last used first, so that the hot one stays in the cache; none is ever allocated.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "daemon/wire/vnet_header.hpp"

namespace masqgate {

class FramePool;

class Frame {
 public:
  static constexpr std::size_t kLinkSize = 14;
  static constexpr std::size_t kIpOffset = 128;
  static constexpr std::size_t kMaxIpSize = 65536;
  static constexpr std::size_t kCapacity = 17 * 4096;

  Frame() = default;
  Frame(Frame&& other) noexcept { swap(other); }
  Frame& operator=(Frame&& other) noexcept {
    Frame{std::move(other)}.swap(*this);
    return *this;
  }
  ~Frame();

  explicit operator bool() const { return storage_ != nullptr; }

  std::span<std::byte> ip() { return {storage_ + kIpOffset, ip_size_}; }
  std::span<const std::byte> ip() const { return {storage_ + kIpOffset, ip_size_}; }
  std::span<std::byte> link() { return {storage_ + kIpOffset - kLinkSize, kLinkSize}; }
  std::span<const std::byte> link() const { return {storage_ + kIpOffset - kLinkSize, kLinkSize}; }
  // size: bytes of the IP packet; at most kMaxIpSize.
  void set_ip_size(std::size_t size) { ip_size_ = size; }

  // Where a device with a link header of that size reads a frame to and writes it from: the virtio
  // header, the link header, the packet.
  std::span<std::byte> device_room(std::size_t link_size) {
    const std::size_t front = kIpOffset - link_size - wire::VnetHeader::kSize;
    return {storage_ + front, kIpOffset - front + kMaxIpSize};
  }
  std::span<std::byte> device_bytes(std::size_t link_size) {
    return device_room(link_size).first(wire::VnetHeader::kSize + link_size + ip_size_);
  }

  // Work left undone for the device, with checksum_start and header_length counted from the IP
  // packet.
  wire::VnetHeader offload;

 private:
  friend class FramePool;
  void swap(Frame& other) noexcept {
    std::swap(storage_, other.storage_);
    std::swap(pool_, other.pool_);
    std::swap(ip_size_, other.ip_size_);
    std::swap(offload, other.offload);
  }

  std::byte* storage_ = nullptr;
  FramePool* pool_ = nullptr;
  std::size_t ip_size_ = 0;
};

// A shard's frames. Memory is reserved at once and touched only as far as frames were in use
// together.
class FramePool {
 public:
  explicit FramePool(std::size_t frames);  // std::bad_alloc where the address space is gone
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  Frame take();  // an empty Frame if all are in use
  std::size_t in_use() const { return total_ - free_.size(); }
  std::size_t total() const { return total_; }

 private:
  friend class Frame;
  void give_back(std::byte* storage) { free_.push_back(storage); }

  std::size_t total_;
  std::byte* memory_;
  std::vector<std::byte*> free_;
};

inline Frame::~Frame() {
  if (storage_ != nullptr) pool_->give_back(storage_);
}

inline Frame FramePool::take() {
  Frame frame;
  if (free_.empty()) return frame;
  frame.storage_ = free_.back();
  frame.pool_ = this;
  free_.pop_back();
  return frame;
}

}  // namespace masqgate
