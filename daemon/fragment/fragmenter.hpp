// Cuts a packet into fragments that fit a link (RFC 791 3.2, RFC 1812 4.2.2.7, R-08; RFC 8200 4.5).
//
// Only packets that allow it come here: no segmentation left to the device, the transport checksum
// complete; of IPv4 those whose don't-fragment bit is clear, of both families those that were put
// together here. IPv6 routers cut nothing else.

#pragma once

#include <cstddef>
#include <cstdint>

#include "daemon/packet/packet.hpp"

namespace masqgate::fragment {

class Fragmenter {
 public:
  // mtu: bytes of IP packet that the link takes, at least 68, of IPv6 1280. identification: of all
  // pieces. The packet must outlive the fragmenter.
  Fragmenter(const Packet& packet, std::size_t mtu, std::uint32_t identification);

  // Writes the next fragment, link header included, into the frame; false if there are no more.
  bool next(Frame& frame);

 private:
  void write_v4(Frame& frame, std::size_t size, bool last) const;
  void write_v6(Frame& frame, std::size_t size, bool last) const;

  const Packet& packet_;
  std::uint32_t identification_;
  std::size_t header_size_;  // of the header that stands in each, without a fragment header
  std::size_t added_;        // bytes of fragment header
  std::size_t mtu_;
  std::size_t offset_ = 0;  // of the next fragment, in the payload
};

}  // namespace masqgate::fragment
