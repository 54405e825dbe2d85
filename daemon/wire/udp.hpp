// UDP headers (RFC 768).

#pragma once

#include <optional>

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

template <typename Byte>
class UdpView {
 public:
  static constexpr std::size_t kHeaderSize = 8;
  static constexpr std::size_t kChecksumOffset = 6;

  // Bytes behind the length field fall off.
  static std::optional<UdpView> parse(std::span<Byte> bytes) {
    if (bytes.size() < kHeaderSize) return std::nullopt;
    const std::size_t length = load16(bytes, 4);
    if (length < kHeaderSize || length > bytes.size()) return std::nullopt;
    return UdpView{bytes.first(length)};
  }

  net::Port source() const { return load16(bytes_, 0); }
  net::Port destination() const { return load16(bytes_, 2); }
  std::uint16_t checksum() const { return load16(bytes_, kChecksumOffset); }
  std::span<Byte> payload() const { return bytes_.subspan(kHeaderSize); }

 private:
  explicit UdpView(std::span<Byte> bytes) : bytes_{bytes} {}
  std::span<Byte> bytes_;
};

using Udp = UdpView<const std::byte>;
using MutableUdp = UdpView<std::byte>;

}  // namespace masqgate::wire
