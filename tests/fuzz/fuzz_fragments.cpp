// Fuzz target: fragments of any kind, noted one by one and put together. What comes out is a packet
// that parses, and no frame is lost.
//
// The input is a row of packets: two bytes of length each, then the packet.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "daemon/fragment/flows.hpp"
#include "daemon/fragment/fragmenter.hpp"
#include "daemon/fragment/reassembly.hpp"

using namespace masqgate;

namespace {

constexpr Time kStart{std::chrono::seconds{1000}};

void check(bool holds) {
  if (!holds) std::abort();
}

bool read_packet(FramePool& frames, std::span<const std::uint8_t> bytes, Packet& packet) {
  packet.frame = frames.take();
  check(static_cast<bool>(packet.frame));
  packet.frame.set_ip_size(bytes.size());
  std::ranges::transform(bytes, packet.frame.ip().begin(),
                         [](std::uint8_t byte) { return std::byte{byte}; });
  return !parse(packet) && packet.is_fragment;
}

void cut_again(FramePool& frames, const Packet& packet) {
  fragment::Fragmenter fragmenter{packet, 1280, 7};
  Frame piece = frames.take();
  check(static_cast<bool>(piece));
  while (fragmenter.next(piece)) check(piece.ip().size() <= 1280);
}

void run(std::span<const std::uint8_t> data) {
  FramePool frames{256};
  fragment::Flows flows{{1, 2}};
  fragment::Reassembly reassembly{{1, 2}};
  Time now = kStart;
  while (data.size() > 2) {
    const std::size_t size = std::min<std::size_t>(data[0] << 8 | data[1], data.size() - 2);
    const auto bytes = data.subspan(2, size);
    data = data.subspan(2 + size);
    now += std::chrono::milliseconds{100};
    Packet one, other;
    if (!read_packet(frames, bytes, one) || !read_packet(frames, bytes, other)) continue;
    flows.pass(one, now);
    while (flows.unpark()) continue;
    while (flows.give_up(now)) continue;
    if (reassembly.pass(other, now) == fragment::Reassembly::Fate::whole) {
      Packet again;
      again.frame = std::move(other.frame);
      check(!parse(again) && !again.is_fragment);
      cut_again(frames, again);
    }
    while (reassembly.give_up(now)) continue;
  }
  check(flows.waiting() <= fragment::Flows::kMostWaiting);
  while (reassembly.give_up(now + std::chrono::seconds{60})) continue;
  while (flows.give_up(now + std::chrono::seconds{60})) continue;
  check(frames.in_use() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run({data, size});
  return 0;
}
