// IPv4 headers (RFC 791), with the checks that RFC 1812 5.2.2 asks of a router.

#pragma once

#include <optional>

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"
#include "daemon/wire/checksum.hpp"

namespace masqgate::wire {

template <typename Byte>
class Ipv4View {
 public:
  static constexpr std::size_t kHeaderSize = 20;  // without options

  // Link length, version, header length and total length; bytes behind the total length fall
  // off. The header checksum is asked for apart, because quoted headers are judged
  // otherwise.
  static std::optional<Ipv4View> parse(std::span<Byte> bytes) {
    const auto view = parse_header(bytes);
    if (!view || view->total_length() > bytes.size()) return std::nullopt;
    return Ipv4View{bytes.first(view->total_length())};
  }

  // The same for a header quoted inside an ICMP error, whose payload is cut short.
  static std::optional<Ipv4View> parse_header(std::span<Byte> bytes) {
    if (bytes.size() < kHeaderSize || load8(bytes, kVersion) >> 4 != 4) return std::nullopt;
    const Ipv4View view{bytes};
    if (view.header_length() < kHeaderSize || view.header_length() > bytes.size() ||
        view.total_length() < view.header_length())
      return std::nullopt;
    return view;
  }

  std::size_t header_length() const { return std::size_t{4} * (load8(bytes_, kVersion) & 15u); }
  std::uint8_t tos() const { return load8(bytes_, kTos); }
  std::size_t total_length() const { return load16(bytes_, kTotalLength); }
  std::uint16_t identification() const { return load16(bytes_, kIdentification); }
  bool dont_fragment() const { return (load16(bytes_, kFragment) & kDontFragment) != 0; }
  bool more_fragments() const { return (load16(bytes_, kFragment) & kMoreFragments) != 0; }
  std::size_t fragment_offset() const {
    return std::size_t{8} * (load16(bytes_, kFragment) & 0x1fff);
  }
  bool is_fragment() const { return more_fragments() || fragment_offset() != 0; }
  std::uint8_t ttl() const { return load8(bytes_, kTtl); }
  net::Protocol protocol() const { return static_cast<net::Protocol>(load8(bytes_, kProtocol)); }
  std::uint16_t checksum() const { return load16(bytes_, kChecksum); }
  net::IpAddress source() const { return load_v4(bytes_, kSource); }
  net::IpAddress destination() const { return load_v4(bytes_, kDestination); }
  Bytes options() const {
    return Bytes{bytes_}.subspan(kHeaderSize, header_length() - kHeaderSize);
  }
  std::span<Byte> payload() const { return bytes_.subspan(header_length()); }
  std::span<Byte> bytes() const { return bytes_; }

  bool checksum_is_valid() const { return sum(Bytes{bytes_}.first(header_length())) == 0xffff; }

  // Writers keep the header checksum right.
  void set_source(net::IpAddress address) requires(!std::is_const_v<Byte>) {
    patch_checksum(delta(source(), address));
    store_v4(bytes_, kSource, address);
  }
  void set_destination(net::IpAddress address) requires(!std::is_const_v<Byte>) {
    patch_checksum(delta(destination(), address));
    store_v4(bytes_, kDestination, address);
  }
  void set_tos(std::uint8_t value) requires(!std::is_const_v<Byte>) {
    patch_checksum(delta(load16(bytes_, kVersion),
                         static_cast<std::uint16_t>(load8(bytes_, kVersion) << 8 | value)));
    store8(bytes_, kTos, value);
  }
  void set_ttl(std::uint8_t value) requires(!std::is_const_v<Byte>) {
    patch_checksum(delta(load16(bytes_, kTtl),
                         static_cast<std::uint16_t>(value << 8 | load8(bytes_, kProtocol))));
    store8(bytes_, kTtl, value);
  }
  void set_total_length(std::size_t length) requires(!std::is_const_v<Byte>) {
    patch_checksum(delta(load16(bytes_, kTotalLength), static_cast<std::uint16_t>(length)));
    store16(bytes_, kTotalLength, static_cast<std::uint16_t>(length));
  }
  void set_dont_fragment(bool value) requires(!std::is_const_v<Byte>) {
    const std::uint16_t before = load16(bytes_, kFragment);
    const auto word = static_cast<std::uint16_t>(value ? before | kDontFragment
                                                       : before & ~unsigned{kDontFragment});
    patch_checksum(delta(before, word));
    store16(bytes_, kFragment, word);
  }
  // offset: bytes, a multiple of eight. The don't-fragment bit is kept.
  void set_fragment(std::size_t offset, bool more) requires(!std::is_const_v<Byte>) {
    const auto word =
        static_cast<std::uint16_t>((load16(bytes_, kFragment) & (kReserved | kDontFragment)) |
                                   (more ? kMoreFragments : 0u) | offset / 8);
    patch_checksum(delta(load16(bytes_, kFragment), word));
    store16(bytes_, kFragment, word);
  }
  void set_identification(std::uint16_t value) requires(!std::is_const_v<Byte>) {
    patch_checksum(delta(identification(), value));
    store16(bytes_, kIdentification, value);
  }
  void compute_checksum() requires(!std::is_const_v<Byte>) {
    store16(bytes_, kChecksum, 0);
    store16(bytes_, kChecksum, complement(sum(Bytes{bytes_}.first(header_length()))));
  }

  // What a new header without options starts from; addresses and length are set, the checksum is
  // not.
  struct Fields {
    net::IpAddress source;
    net::IpAddress destination;
    net::Protocol protocol{};
    std::size_t total_length = 0;
    std::uint8_t ttl = 64;
    std::uint8_t tos = 0;
    std::uint16_t identification = 0;
    bool dont_fragment = false;
  };
  // bytes: at least kHeaderSize. Writes a whole header, checksum included.
  static void emit(MutableBytes bytes, const Fields& fields) {
    store16(bytes, kVersion, static_cast<std::uint16_t>(0x4500 | fields.tos));
    store16(bytes, kTotalLength, static_cast<std::uint16_t>(fields.total_length));
    store16(bytes, kIdentification, fields.identification);
    store16(bytes, kFragment, fields.dont_fragment ? kDontFragment : 0);
    store16(bytes, kTtl,
            static_cast<std::uint16_t>(fields.ttl << 8 | net::number(fields.protocol)));
    store16(bytes, kChecksum, 0);
    store_v4(bytes, kSource, fields.source);
    store_v4(bytes, kDestination, fields.destination);
    store16(bytes, kChecksum, complement(sum(bytes.first(kHeaderSize))));
  }

 private:
  enum Offset : std::size_t {
    kVersion = 0,
    kTos = 1,
    kTotalLength = 2,
    kIdentification = 4,
    kFragment = 6,
    kTtl = 8,
    kProtocol = 9,
    kChecksum = 10,
    kSource = 12,
    kDestination = 16,
  };
  static constexpr unsigned kReserved = 0x8000, kDontFragment = 0x4000, kMoreFragments = 0x2000;

  explicit Ipv4View(std::span<Byte> bytes) : bytes_{bytes} {}
  void patch_checksum(std::uint16_t change) {
    store16(bytes_, kChecksum, adjust(checksum(), change));
  }

  std::span<Byte> bytes_;
};

using Ipv4 = Ipv4View<const std::byte>;
using MutableIpv4 = Ipv4View<std::byte>;

// Does an option with this number stand in the options of a header (RFC 791 3.1)? A malformed list
// ends the search.
inline bool has_option(Bytes options, std::uint8_t type) {
  std::size_t at = 0;
  while (at < options.size()) {
    const std::uint8_t here = load8(options, at);
    if (here == type) return true;
    if (here == 0) return false;  // end of list
    if (here == 1) {              // no operation
      ++at;
      continue;
    }
    if (at + 1 >= options.size() || load8(options, at + 1) < 2) return false;
    at += load8(options, at + 1);
  }
  return false;
}
inline constexpr std::uint8_t kLooseSourceRoute = 131, kStrictSourceRoute = 137;

}  // namespace masqgate::wire
