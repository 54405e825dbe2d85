// Cuts a UDP packet of many segments (GSO) into its datagrams, where a device may not do it: because
// each datagram is too big for the link and has to be cut further.

#pragma once

#include <cstddef>

#include "daemon/packet/packet.hpp"

namespace masqgate::fragment {

class Segmenter {
 public:
  // An IPv4 packet with the order udp_l4. It must outlive the segmenter.
  explicit Segmenter(const Packet& packet)
      : packet_{packet}, header_size_{packet.transport_offset + kUdpHeader} {}

  // Writes the next datagram, link header and checksums included; false if there are no more.
  bool next(Frame& frame);

 private:
  static constexpr std::size_t kUdpHeader = 8;
  const Packet& packet_;
  std::size_t header_size_;
  std::size_t offset_ = 0;
  std::uint16_t count_ = 0;
};

}  // namespace masqgate::fragment
