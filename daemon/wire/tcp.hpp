// TCP headers (RFC 9293 3.1).

#pragma once

#include <optional>

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"
#include "daemon/wire/checksum.hpp"

namespace masqgate::wire {

struct TcpFlags {
  static constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10;
  std::uint8_t bits = 0;
  bool fin() const { return (bits & kFin) != 0; }
  bool syn() const { return (bits & kSyn) != 0; }
  bool rst() const { return (bits & kRst) != 0; }
  bool psh() const { return (bits & kPsh) != 0; }
  bool ack() const { return (bits & kAck) != 0; }
};

template <typename Byte>
class TcpView {
 public:
  static constexpr std::size_t kHeaderSize = 20;
  static constexpr std::size_t kChecksumOffset = 16;

  static std::optional<TcpView> parse(std::span<Byte> bytes) {
    if (bytes.size() < kHeaderSize) return std::nullopt;
    const TcpView view{bytes};
    if (view.header_length() < kHeaderSize || view.header_length() > bytes.size())
      return std::nullopt;
    return view;
  }

  net::Port source() const { return load16(bytes_, 0); }
  net::Port destination() const { return load16(bytes_, 2); }
  std::uint32_t sequence() const { return load32(bytes_, 4); }
  std::uint32_t acknowledgement() const { return load32(bytes_, 8); }
  std::size_t header_length() const { return std::size_t{4} * (load8(bytes_, 12) >> 4); }
  TcpFlags flags() const { return {static_cast<std::uint8_t>(load8(bytes_, 13) & 0x3f)}; }
  std::uint16_t window() const { return load16(bytes_, 14); }
  std::uint16_t checksum() const { return load16(bytes_, kChecksumOffset); }
  std::span<Byte> options() const {
    return bytes_.subspan(kHeaderSize, header_length() - kHeaderSize);
  }
  std::span<Byte> payload() const { return bytes_.subspan(header_length()); }

  // A header without options.
  struct Fields {
    net::Port source = 0;
    net::Port destination = 0;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgement = 0;
    TcpFlags flags{};
    std::uint16_t window = 0;
  };
  // bytes: header and payload, the payload written already.
  static void emit(MutableBytes bytes, const Fields& fields, std::uint16_t pseudo_sum) {
    store16(bytes, 0, fields.source);
    store16(bytes, 2, fields.destination);
    store32(bytes, 4, fields.sequence);
    store32(bytes, 8, fields.acknowledgement);
    store8(bytes, 12, kHeaderSize / 4 << 4);
    store8(bytes, 13, fields.flags.bits);
    store16(bytes, 14, fields.window);
    store32(bytes, kChecksumOffset, 0);  // and the urgent pointer
    store16(bytes, kChecksumOffset, complement(add(sum(bytes), pseudo_sum)));
  }

 private:
  explicit TcpView(std::span<Byte> bytes) : bytes_{bytes} {}
  std::span<Byte> bytes_;
};

using Tcp = TcpView<const std::byte>;
using MutableTcp = TcpView<std::byte>;

// The first option of this kind and size (RFC 9293 3.1); empty if there is none, or if the list is
// broken before it.
inline Bytes find_tcp_option(Bytes options, std::uint8_t kind, std::size_t size) {
  std::size_t at = 0;
  while (at < options.size() && load8(options, at) != 0) {  // end of list
    if (load8(options, at) == 1) {                          // no operation
      ++at;
      continue;
    }
    const std::size_t length = at + 1 < options.size() ? load8(options, at + 1) : 0;
    if (length < 2 || length > options.size() - at) return {};
    if (load8(options, at) == kind && length == size) return options.subspan(at, length);
    at += length;
  }
  return {};
}

// RFC 7323: the shift that a SYN asks for, and whether a segment has a timestamp.
inline std::optional<std::uint8_t> window_scale(Bytes options) {
  const Bytes option = find_tcp_option(options, 3, 3);
  return option.empty() ? std::nullopt : std::optional{load8(option, 2)};
}
inline bool has_timestamp(Bytes options) {
  return !find_tcp_option(options, 8, 10).empty();
}

}  // namespace masqgate::wire
