// An Interface without a device: frames are put in and taken out by hand, as tests do.

#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "daemon/port/interface.hpp"

namespace masqgate::port {

class MemoryInterface final : public Interface {
 public:
  struct Stored {
    std::vector<std::byte> bytes;  // link header and IP packet
    wire::VnetHeader offload;      // offsets from the IP packet
  };

  explicit MemoryInterface(std::size_t link_size = Frame::kLinkSize) : link_size_{link_size} {}

  void put(std::vector<std::byte> bytes, wire::VnetHeader offload = {}) {
    arriving_.push_back({std::move(bytes), offload});
  }
  std::vector<Stored> take() { return std::exchange(sent_, {}); }
  void set_full(bool full) { full_ = full; }

  ReadResult read(Frame& frame) noexcept override {
    if (arriving_.empty()) return ReadResult::empty;
    const Stored stored = std::move(arriving_.front());
    arriving_.pop_front();
    if (stored.bytes.size() < link_size_ || stored.bytes.size() - link_size_ > Frame::kMaxIpSize)
      return ReadResult::malformed;
    frame.set_ip_size(stored.bytes.size() - link_size_);
    std::ranges::copy(stored.bytes,
                      frame.device_bytes(link_size_).subspan(wire::VnetHeader::kSize).begin());
    frame.offload = stored.offload;
    return ReadResult::frame;
  }
  bool write(Frame& frame) noexcept override {
    if (full_) return false;
    const auto bytes = frame.device_bytes(link_size_).subspan(wire::VnetHeader::kSize);
    sent_.push_back({{bytes.begin(), bytes.end()}, frame.offload});
    return true;
  }
  int descriptor() const noexcept override { return -1; }
  std::size_t link_size() const noexcept override { return link_size_; }

 private:
  std::size_t link_size_;
  bool full_ = false;
  std::deque<Stored> arriving_;
  std::vector<Stored> sent_;
};

}  // namespace masqgate::port
