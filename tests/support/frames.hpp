// Frames and parsed packets out of builders, for tests of the rooms above daemon/packet.

#pragma once

#include <stdexcept>
#include <string>

#include "daemon/packet/packet.hpp"
#include "tests/support/packet_builder.hpp"

namespace masqgate::test {

inline Frame frame_of(FramePool& pool, const PacketBuilder& builder) {
  Frame frame = pool.take();
  if (!frame) throw std::logic_error{"the test's frames are used up"};
  builder.fill(frame);
  return frame;
}

// The packet as a port would give it to the corridor; throws std::logic_error where it is dropped.
inline Packet packet_of(FramePool& pool, const PacketBuilder& builder) {
  Packet packet;
  packet.frame = frame_of(pool, builder);
  if (const auto problem = parse(packet))
    throw std::logic_error{"does not parse: " + std::string{name(*problem)}};
  return packet;
}

}  // namespace masqgate::test
