// IPv6 headers and a bounded walk over extension headers (RFC 8200).

#pragma once

#include <optional>

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

template <typename Byte>
class Ipv6View {
 public:
  static constexpr std::size_t kHeaderSize = 40;

  // Bytes behind the payload length fall off. Jumbograms (RFC 2675) do not parse.
  static std::optional<Ipv6View> parse(std::span<Byte> bytes) {
    const auto view = parse_header(bytes);
    if (!view || kHeaderSize + view->payload_length() > bytes.size()) return std::nullopt;
    return Ipv6View{bytes.first(kHeaderSize + view->payload_length())};
  }
  // For a header quoted inside an ICMPv6 error, whose payload is cut short.
  static std::optional<Ipv6View> parse_header(std::span<Byte> bytes) {
    if (bytes.size() < kHeaderSize || load8(bytes, 0) >> 4 != 6) return std::nullopt;
    return Ipv6View{bytes};
  }

  std::uint8_t traffic_class() const { return static_cast<std::uint8_t>(load16(bytes_, 0) >> 4); }
  std::size_t payload_length() const { return load16(bytes_, kPayloadLength); }
  net::Protocol next_header() const {
    return static_cast<net::Protocol>(load8(bytes_, kNextHeader));
  }
  std::uint8_t hop_limit() const { return load8(bytes_, kHopLimit); }
  net::IpAddress source() const { return load_v6(bytes_, kSource); }
  net::IpAddress destination() const { return load_v6(bytes_, kDestination); }
  std::span<Byte> payload() const { return bytes_.subspan(kHeaderSize); }
  std::span<Byte> bytes() const { return bytes_; }

  void set_source(net::IpAddress address) requires(!std::is_const_v<Byte>) {
    store_v6(bytes_, kSource, address);
  }
  void set_destination(net::IpAddress address) requires(!std::is_const_v<Byte>) {
    store_v6(bytes_, kDestination, address);
  }
  void set_payload_length(std::size_t length) requires(!std::is_const_v<Byte>) {
    store16(bytes_, kPayloadLength, static_cast<std::uint16_t>(length));
  }
  void set_traffic_class(std::uint8_t value) requires(!std::is_const_v<Byte>) {
    store32(bytes_, 0, (load32(bytes_, 0) & 0xf00f'ffffu) | std::uint32_t{value} << 20);
  }
  void set_hop_limit(std::uint8_t value) requires(!std::is_const_v<Byte>) {
    store8(bytes_, kHopLimit, value);
  }

  struct Fields {
    net::IpAddress source;
    net::IpAddress destination;
    net::Protocol next_header{};
    std::size_t payload_length = 0;
    std::uint8_t hop_limit = 64;
    std::uint8_t traffic_class = 0;
  };
  static void emit(MutableBytes bytes, const Fields& fields) {
    store32(bytes, 0, 0x6000'0000u | std::uint32_t{fields.traffic_class} << 20);
    store16(bytes, kPayloadLength, static_cast<std::uint16_t>(fields.payload_length));
    store8(bytes, kNextHeader, net::number(fields.next_header));
    store8(bytes, kHopLimit, fields.hop_limit);
    store_v6(bytes, kSource, fields.source);
    store_v6(bytes, kDestination, fields.destination);
  }

 private:
  enum Offset : std::size_t {
    kPayloadLength = 4,
    kNextHeader = 6,
    kHopLimit = 7,
    kSource = 8,
    kDestination = 24,
  };
  explicit Ipv6View(std::span<Byte> bytes) : bytes_{bytes} {}
  std::span<Byte> bytes_;
};

using Ipv6 = Ipv6View<const std::byte>;
using MutableIpv6 = Ipv6View<std::byte>;

// Where the extension headers end, and what they said on the way.
struct ExtensionWalk {
  net::Protocol protocol{};  // of the header at offset
  std::size_t offset = 0;    // from the start of the IPv6 header
  bool is_fragment = false;  // a fragment header with more to come or an offset; not atomic ones
  std::size_t fragment_offset = 0;  // bytes
  bool more_fragments = false;
  std::uint32_t identification = 0;
  bool source_routed = false;  // routing header type 0 (RFC 5095)
};

// Walks at most kMaxExtensions headers; empty if one is cut off, there are more, or two of them are
// fragment headers. The walk stops behind the header of a later fragment, whose rest is payload.
inline constexpr int kMaxExtensions = 8;
std::optional<ExtensionWalk> walk_extensions(const Ipv6& header);

// The part of a packet that stands in each of its fragments (RFC 8200 4.5): all up to its fragment
// header, or up to where one belongs. Only for what walk_extensions() took.
struct PerFragmentPart {
  std::size_t size = 0;      // bytes from the start of the IPv6 header
  std::size_t named_at = 0;  // where the protocol of the header behind it stands
};
PerFragmentPart per_fragment_part(const Ipv6& header);

}  // namespace masqgate::wire
