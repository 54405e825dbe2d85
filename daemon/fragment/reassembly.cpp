#include "daemon/fragment/reassembly.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"

namespace masqgate::fragment {
namespace {

constexpr std::size_t kPlace =
    Reassembly::kMostHeader;  // of the payload's first byte, in the frame
constexpr std::size_t kLargest = 65535;

}  // namespace

const Reassembly::Datagram* Reassembly::find(const DatagramKey& key) const {
  const auto found = std::ranges::find_if(
      datagrams_, [&](const Datagram& one) { return one.used && one.key == key; });
  return found == datagrams_.end() ? nullptr : &*found;
}

// Leaves header and payload of that many bytes at the start of the frame.
void Reassembly::write(Datagram& datagram, std::size_t header, std::size_t payload) {
  Frame& frame = datagram.packet.frame;
  frame.set_ip_size(kPlace + payload);
  std::memmove(frame.ip().data() + header, frame.ip().data() + kPlace, payload);
  std::memcpy(frame.ip().data(), datagram.header.data(), header);
  frame.set_ip_size(header + payload);
}

// With the first fragment as it came: enough to quote.
void Reassembly::lose(Datagram& datagram) {
  Lost lost;
  if (datagram.pieces.has_first() && !datagram.spoilt) {
    write(datagram, datagram.parts.payload, datagram.pieces.first_size());
    lost.first = std::move(datagram.packet);
    if (parse(*lost.first)) lost.first.reset();
  }
  lost_.push_back(std::move(lost));
  datagram = Datagram{};
  --used_;
}

Reassembly::Datagram& Reassembly::begin(const DatagramKey& key, Time now) {
  Datagram* oldest_of_source = nullptr;
  Datagram* oldest = nullptr;
  Datagram* free = nullptr;
  std::size_t of_source = 0;
  for (Datagram& one : datagrams_) {
    if (!one.used) {
      free = &one;
      continue;
    }
    if (oldest == nullptr || one.until < oldest->until) oldest = &one;
    if (one.key.source != key.source) continue;
    ++of_source;
    if (oldest_of_source == nullptr || one.until < oldest_of_source->until) oldest_of_source = &one;
  }
  Datagram* place = of_source >= kMostOfSource ? oldest_of_source : free != nullptr ? free : oldest;
  if (place->used) lose(*place);
  place->used = true;
  ++used_;
  place->key = key;
  place->until = now + kLife;
  return *place;
}

void Reassembly::finish_header(Datagram& datagram) {
  const wire::MutableBytes ip = datagram.packet.frame.ip();
  if (datagram.key.source.is_v4()) {
    wire::MutableIpv4 header = *wire::MutableIpv4::parse_header(ip);
    header.set_total_length(ip.size());
    header.set_dont_fragment(datagram.dont_fragment);
    header.set_fragment(0, false);
    header.compute_checksum();
    return;
  }
  // The fragment header has gone; what it named follows now.
  const wire::Bytes before{datagram.header};
  const auto part = wire::per_fragment_part(*wire::Ipv6::parse_header(before));
  wire::store8(ip, part.named_at, wire::load8(before, datagram.parts.header));
  wire::MutableIpv6::parse_header(ip)->set_payload_length(ip.size() - wire::Ipv6::kHeaderSize);
}

Reassembly::Fate Reassembly::finish(Datagram& datagram, Packet& packet) {
  write(datagram, datagram.parts.header, datagram.pieces.total());
  finish_header(datagram);
  packet.frame = std::move(datagram.packet.frame);
  packet.frame.offload = {};
  const std::uint16_t largest = datagram.largest;
  const std::uint32_t identification = datagram.key.identification;
  datagram = Datagram{};
  --used_;
  if (parse(packet)) return Fate::malformed;
  packet.largest_fragment = largest;
  packet.fragment_id = identification;
  return Fate::whole;
}

Reassembly::Fate Reassembly::pass(Packet& packet, Time now) {
  const FragmentParts parts = parts_of(packet);
  const wire::Bytes content = wire::Bytes{packet.frame.ip()}.subspan(parts.payload);
  const std::size_t end = packet.fragment_offset + content.size();
  if (parts.payload > kMostHeader || parts.header + end > kLargest) return Fate::malformed;
  const DatagramKey key = key_of(packet);
  const Datagram* known = find(key);
  Datagram& datagram = known != nullptr
                           ? datagrams_[static_cast<std::size_t>(known - datagrams_.data())]
                           : begin(key, now);
  if (datagram.spoilt) return Fate::overlaps;
  const Piece piece = datagram.pieces.add(packet.fragment_offset, content.size(),
                                          packet.more_fragments, digest(key_, content));
  if (piece == Piece::too_many) return Fate::limit;
  if (piece == Piece::overlaps) {
    datagram.spoilt = true;
    datagram.packet = Packet{};
    return Fate::overlaps;
  }
  if (piece == Piece::again) return Fate::held;
  datagram.largest =
      std::max(datagram.largest, static_cast<std::uint16_t>(packet.frame.ip().size()));
  datagram.dont_fragment |= packet.is_v4() && packet.dont_fragment;
  if (packet.fragment_offset == 0) {
    datagram.parts = parts;
    std::memcpy(datagram.header.data(), packet.frame.ip().data(), parts.payload);
  }
  if (datagram.packet.frame) {
    Frame& whole = datagram.packet.frame;
    whole.set_ip_size(kPlace + kLargest);
    std::memcpy(whole.ip().data() + kPlace + packet.fragment_offset, content.data(),
                content.size());
  } else {
    const std::size_t size = content.size(), place = kPlace + packet.fragment_offset;
    packet.frame.set_ip_size(kPlace + kLargest);
    std::memmove(packet.frame.ip().data() + place, packet.frame.ip().data() + parts.payload, size);
    datagram.packet = std::move(packet);
    return Fate::held;
  }
  return datagram.pieces.complete() ? finish(datagram, packet) : Fate::held;
}

std::optional<Reassembly::Lost> Reassembly::give_up(Time now) {
  if (lost_.empty())
    for (Datagram& one : datagrams_)
      if (one.used && one.until <= now) {
        lose(one);
        break;
      }
  if (lost_.empty()) return std::nullopt;
  std::optional<Lost> lost{std::move(lost_.back())};
  lost_.pop_back();
  return lost;
}

}  // namespace masqgate::fragment
