#include "daemon/fragment/datagram.hpp"

#include "daemon/wire/ipv6.hpp"

namespace masqgate::fragment {

DatagramKey key_of(const Packet& fragment) {
  return {fragment.tuple.source_address, fragment.tuple.destination_address, fragment.fragment_id,
          fragment.is_v4() ? fragment.tuple.protocol : net::Protocol{}};
}

std::uint32_t hash(const HashKey& secret, const DatagramKey& key) {
  SipHash hash{secret};
  hash.add(key.source.high()).add(key.source.low());
  hash.add(key.destination.high()).add(key.destination.low());
  hash.add(std::uint64_t{key.identification} << 8 | net::number(key.protocol));
  return static_cast<std::uint32_t>(hash.finish());
}

FragmentParts parts_of(const Packet& fragment) {
  constexpr std::size_t kFragmentHeader = 8;
  if (fragment.is_v4()) return {fragment.transport_offset, fragment.transport_offset};
  const wire::Bytes bytes{fragment.frame.ip()};
  const std::size_t size = wire::per_fragment_part(*wire::Ipv6::parse_header(bytes)).size;
  return {size, size + kFragmentHeader};
}

std::uint32_t digest(const HashKey& secret, wire::Bytes content) {
  SipHash hash{secret};
  std::size_t at = 0;
  for (; at + 8 <= content.size(); at += 8)
    hash.add(std::uint64_t{wire::load32(content, at)} << 32 | wire::load32(content, at + 4));
  std::uint64_t rest = content.size();
  for (; at < content.size(); ++at) rest = rest << 8 | wire::load8(content, at);
  return static_cast<std::uint32_t>(hash.add(rest).finish());
}

Piece Pieces::add(std::size_t offset, std::size_t size, bool more, std::uint32_t content) {
  const std::size_t end = offset + size;
  for (std::size_t i = 0; i < count_; ++i) {
    const Range& known = ranges_[i];
    const std::size_t known_offset = std::size_t{8} * known.offset;
    if (end <= known_offset || known_offset + known.size <= offset) continue;
    const bool same = known_offset == offset && known.size == size && known.digest == content &&
                      (more || (ended_ && end == total_));
    return same ? Piece::again : Piece::overlaps;
  }
  if (ended_ && (end > total_ || !more)) return Piece::overlaps;
  if (count_ == kMost) return Piece::too_many;
  if (!more) {
    for (std::size_t i = 0; i < count_; ++i)
      if (std::size_t{8} * ranges_[i].offset + ranges_[i].size > end) return Piece::overlaps;
    ended_ = true;
    total_ = static_cast<std::uint32_t>(end);
  }
  ranges_[count_++] = {static_cast<std::uint16_t>(offset / 8), static_cast<std::uint16_t>(size),
                       content};
  seen_ += static_cast<std::uint32_t>(size);
  if (offset == 0) {
    has_first_ = true;
    first_size_ = static_cast<std::uint16_t>(size);
  }
  return Piece::fresh;
}

}  // namespace masqgate::fragment
