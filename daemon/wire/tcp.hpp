// TCP headers (RFC 9293 3.1).

#pragma once

#include <optional>

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

struct TcpFlags {
  std::uint8_t bits = 0;
  bool fin() const { return (bits & 0x01) != 0; }
  bool syn() const { return (bits & 0x02) != 0; }
  bool rst() const { return (bits & 0x04) != 0; }
  bool psh() const { return (bits & 0x08) != 0; }
  bool ack() const { return (bits & 0x10) != 0; }
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
  std::span<Byte> payload() const { return bytes_.subspan(header_length()); }

 private:
  explicit TcpView(std::span<Byte> bytes) : bytes_{bytes} {}
  std::span<Byte> bytes_;
};

using Tcp = TcpView<const std::byte>;
using MutableTcp = TcpView<std::byte>;

}  // namespace masqgate::wire
