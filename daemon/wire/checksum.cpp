#include "daemon/wire/checksum.hpp"

namespace masqgate::wire {

std::uint16_t sum(Bytes bytes) {
  // Native words in a wide accumulator: the one's complement sum does not care about byte order
  // until the end (RFC 1071, 2). Carries out of 64 bits are counted back in.
  std::uint64_t total = 0;
  std::uint64_t carries = 0;
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    total += word;
    carries += total < word ? 1 : 0;
  }
  std::uint64_t tail = 0;
  if (at < bytes.size()) std::memcpy(&tail, bytes.data() + at, bytes.size() - at);
  total += tail;
  carries += total < tail ? 1 : 0;
  const std::uint16_t native = add(fold(total), fold(carries));
  return detail::to_big_endian(native);
}

}  // namespace masqgate::wire
