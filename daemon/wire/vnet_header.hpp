// The virtio-net header in front of every frame of a TAP with IFF_VNET_HDR (virtio 1.1, 5.1.6).
//
// It tells of work left undone: a transport checksum to complete, a big packet to cut into
// segments. TAP keeps the legacy layout in the machine's own byte order. <linux/virtio_net.h> is
// not valid C++.

#pragma once

#include <optional>

#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

struct VnetHeader {
  static constexpr std::size_t kSize = 10;
  static constexpr std::uint8_t kNeedsChecksum = 1, kDataValid = 2;
  enum class Gso : std::uint8_t { none = 0, tcp4 = 1, udp = 3, tcp6 = 4, udp_l4 = 5 };
  static constexpr std::uint8_t kEcn = 0x80;

  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;          // a Gso, perhaps with kEcn
  std::uint16_t header_length = 0;    // bytes to copy in front of every segment; a hint
  std::uint16_t gso_size = 0;         // payload bytes of every segment but the last
  std::uint16_t checksum_start = 0;   // from the start of the frame
  std::uint16_t checksum_offset = 0;  // from checksum_start

  Gso gso() const { return static_cast<Gso>(gso_type & ~kEcn); }
  bool needs_checksum() const { return (flags & kNeedsChecksum) != 0; }

  static std::optional<VnetHeader> parse(Bytes bytes) {
    if (bytes.size() < kSize) return std::nullopt;
    return VnetHeader{load8(bytes, 0),    load8(bytes, 1),    native16(bytes, 2),
                      native16(bytes, 4), native16(bytes, 6), native16(bytes, 8)};
  }
  // bytes: at least kSize.
  void emit(MutableBytes bytes) const {
    store8(bytes, 0, flags);
    store8(bytes, 1, gso_type);
    std::size_t at = 2;
    for (const std::uint16_t word : {header_length, gso_size, checksum_start, checksum_offset}) {
      std::memcpy(bytes.data() + at, &word, sizeof word);
      at += sizeof word;
    }
  }

 private:
  static std::uint16_t native16(Bytes bytes, std::size_t at) {
    std::uint16_t value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  }
};

}  // namespace masqgate::wire
