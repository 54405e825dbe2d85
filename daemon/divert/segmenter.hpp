// Cuts a packet that stands for many (TSO, USO) into those many, as the device would have.

#pragma once

#include <cstddef>

#include "daemon/packet/packet.hpp"

namespace masqgate::divert {

class Segmenter {
 public:
  // The packet must outlive the segmenter.
  explicit Segmenter(const Packet& packet);

  // Writes the next segment, link header included and checksums complete; false if there are no
  // more.
  bool next(Frame& frame);

 private:
  const Packet& packet_;
  std::size_t headers_;  // IP and transport
  std::size_t size_;     // of payload in each
  std::size_t offset_ = 0;
  std::size_t count_ = 0;
};

}  // namespace masqgate::divert
