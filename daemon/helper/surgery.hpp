// Changes of a TCP segment or UDP datagram behind its addresses: numbers, SACK blocks, payload.
//
// Checksums are adjusted by what has changed (RFC 1624), so that wrong ones stay wrong; partial ones
// know the length only.

#pragma once

#include "daemon/packet/packet.hpp"

namespace masqgate::helper {

// Whether the checksum of this TCP or UDP packet is right, or left to the device.
bool checksum_is_right(const Packet& packet);

// TCP, with its whole header. An offset of a 32-bit number in the header, an even one.
void set_number(Packet& packet, std::size_t offset, std::uint32_t value);
inline constexpr std::size_t kSequence = 4, kAcknowledgement = 8;

// The edges of SACK blocks (RFC 2018), each given to translate(number, is_left). A block that has
// become empty takes the whole option with it.
template <typename Translate>
void translate_sack(Packet& packet, Translate&& translate);

// Whether the packet has a payload of this size as one segment, headers included.
bool payload_fits(const Packet& packet, std::size_t size);

// TCP or UDP: the payload becomes this one, lengths and offload orders with it. Segments become no
// larger than they were: a payload that has outgrown its own goes as several. text: payload_fits().
void set_payload(Packet& packet, wire::Bytes text);

void clear_fin(Packet& packet);

namespace detail {
// The SACK option's blocks, from the start of the transport header; empty if there is none.
wire::MutableBytes sack_blocks(Packet& packet, std::size_t& offset);
void remove_sack(Packet& packet, std::size_t offset, std::size_t size);
}  // namespace detail

template <typename Translate>
void translate_sack(Packet& packet, Translate&& translate) {
  constexpr std::size_t kBlock = 8;
  std::size_t offset = 0;
  const wire::MutableBytes blocks = detail::sack_blocks(packet, offset);
  for (std::size_t at = 0; at + kBlock <= blocks.size(); at += kBlock) {
    const std::uint32_t left = translate(wire::load32(blocks, at), true);
    const std::uint32_t right = translate(wire::load32(blocks, at + 4), false);
    if (static_cast<std::int32_t>(right - left) <= 0)
      return detail::remove_sack(packet, offset, blocks.size());
    set_number(packet, offset + at, left);
    set_number(packet, offset + at + 4, right);
  }
}

}  // namespace masqgate::helper
