// Shared memory of a program that writes there what it likes: masqgate's end reads nothing outside of
// it, gives no frame that cannot be one, and takes no room that is not its own.

#include <cstdlib>
#include <cstring>

#include "divert/shared.hpp"

using namespace masqgate::divert;

namespace {

struct Both {
  Descriptor to = Region::create(Region::kLeast), from = Region::create(Region::kLeast);
  Region hostile = *Region::map(from, true);
  SharedEnd end{*Region::map(to, true), *Region::map(from, false)};
};

std::uint64_t number(std::span<const std::uint8_t>& input) {
  std::uint64_t value = 0;
  const std::size_t count = std::min(input.size(), sizeof value);
  std::memcpy(&value, input.data(), count);
  input = input.subspan(count);
  return value;
}

}  // namespace

// Steps of positions, state and a frame's first bytes; the end reads and writes after each.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::span<const std::uint8_t> input{data, size};
  Both both;
  std::uint64_t taken = 0, sum = 0;
  while (!input.empty()) {
    auto& words = both.hostile.words();
    words.head = number(input);
    words.tail = number(input);
    words.state = static_cast<std::uint32_t>(number(input));
    const std::uint64_t start = number(input);
    std::memcpy(both.hostile.ring() + (taken & (Region::kLeast - 1)) + 8, &start, sizeof start);
    if (const format::Bytes frame = both.end.next(); !frame.empty()) {
      if (frame.size() > format::kLargestFrame || frame.size() % 8 != 0 || both.end.broken())
        std::abort();
      for (const std::byte b : frame) sum += static_cast<std::uint64_t>(b);
      taken += frame.size();
      both.end.release();
    }
    if (std::byte* room = both.end.room()) {
      const format::FrameHeader header;
      std::memset(room, static_cast<int>(sum & 0xff), format::kLargestFrame);
      std::memcpy(room, &header, sizeof header);
      both.end.put({room, 16 + (sum & 0xff) * 8});
    }
    if (both.end.go_to_sleep()) both.end.other_must_wake();
    both.end.wake();
  }
  return 0;
}
