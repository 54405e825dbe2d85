// A datagram in fragments: its name, and which bytes of it have been seen.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "daemon/base/siphash.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::fragment {

struct DatagramKey {
  net::IpAddress source;
  net::IpAddress destination;
  std::uint32_t identification = 0;
  net::Protocol protocol{};  // not of IPv6, whose fragments may name different ones (RFC 8200 4.5)
  bool operator==(const DatagramKey&) const = default;
};

DatagramKey key_of(const Packet& fragment);
std::uint32_t hash(const HashKey& secret, const DatagramKey& key);

// What a fragment is to those that came before it.
enum class Piece : std::uint8_t {
  fresh,
  again,     // an exact copy, in place and content (F-07)
  overlaps,  // the datagram is not to be trusted any more (RFC 5722, F-03)
  too_many,  // of one datagram (F-08)
};

// The pieces of one datagram by their places. Content is remembered as a keyed digest.
class Pieces {
 public:
  static constexpr std::size_t kMost = 64;  // 64 KB over links of 1,280 bytes

  // offset and size: bytes of the fragmentable part.
  Piece add(std::size_t offset, std::size_t size, bool more, std::uint32_t digest);
  bool complete() const { return ended_ && seen_ == total_; }
  std::size_t total() const { return total_; }  // of a complete one
  bool has_first() const { return has_first_; }
  std::size_t first_size() const { return first_size_; }

 private:
  struct Range {
    std::uint16_t offset = 0;  // in units of eight bytes
    std::uint16_t size = 0;    // bytes
    std::uint32_t digest = 0;
  };
  std::array<Range, kMost> ranges_;
  std::uint8_t count_ = 0;
  bool ended_ = false;  // the last one has come
  bool has_first_ = false;
  std::uint16_t first_size_ = 0;
  std::uint32_t seen_ = 0;
  std::uint32_t total_ = 0;
};

// Bytes of header in front of a fragment that stand in the whole packet too, and its payload.
struct FragmentParts {
  std::size_t header = 0;
  std::size_t payload = 0;  // where it starts
};
FragmentParts parts_of(const Packet& fragment);

// Names the content of a piece.
std::uint32_t digest(const HashKey& secret, wire::Bytes content);

}  // namespace masqgate::fragment
