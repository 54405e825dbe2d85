// Cuts an IPv4 packet into fragments that fit a link (RFC 791 3.2, RFC 1812 4.2.2.7, R-08).
//
// Only packets that allow it come here: don't-fragment clear, no segmentation left to the device,
// the transport checksum complete. IPv6 routers never fragment.

#pragma once

#include <cstddef>
#include <optional>

#include "daemon/packet/packet.hpp"

namespace masqgate::fragment {

class Fragmenter {
 public:
  // mtu: bytes of IP packet that the link takes, at least 68. The packet must outlive the
  // fragmenter.
  Fragmenter(const Packet& packet, std::size_t mtu);

  // Writes the next fragment, link header included, into the frame; false if there are no more.
  bool next(Frame& frame);

 private:
  const Packet& packet_;
  std::size_t header_size_;
  std::size_t mtu_;
  std::size_t offset_ = 0;  // of the next fragment, in the payload
};

}  // namespace masqgate::fragment
