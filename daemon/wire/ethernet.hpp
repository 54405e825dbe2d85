// Ethernet II frames (RFC 894). The view covers the header; VLAN tags are an ethertype like any
// other.

#pragma once

#include <optional>

#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

enum class EtherType : std::uint16_t { ipv4 = 0x0800, arp = 0x0806, vlan = 0x8100, ipv6 = 0x86dd };

template <typename Byte>
class EthernetView {
 public:
  static constexpr std::size_t kHeaderSize = 14;

  static std::optional<EthernetView> parse(std::span<Byte> bytes) {
    if (bytes.size() < kHeaderSize) return std::nullopt;
    return EthernetView{bytes};
  }

  net::MacAddress destination() const { return load_mac(bytes_, kDestination); }
  net::MacAddress source() const { return load_mac(bytes_, kSource); }
  EtherType type() const { return static_cast<EtherType>(load16(bytes_, kType)); }
  std::span<Byte> payload() const { return bytes_.subspan(kHeaderSize); }

  void set(const net::MacAddress& destination, const net::MacAddress& source,
           EtherType type) requires(!std::is_const_v<Byte>) {
    store_mac(bytes_, kDestination, destination);
    store_mac(bytes_, kSource, source);
    store16(bytes_, kType, static_cast<std::uint16_t>(type));
  }

 private:
  enum Offset : std::size_t { kDestination = 0, kSource = 6, kType = 12 };
  explicit EthernetView(std::span<Byte> bytes) : bytes_{bytes} {}
  std::span<Byte> bytes_;
};

using Ethernet = EthernetView<const std::byte>;
using MutableEthernet = EthernetView<std::byte>;

}  // namespace masqgate::wire
