// ARP for IPv4 over Ethernet (RFC 826). masqgate never answers ARP, it hands it over to Linux; the
// view serves traces.

#pragma once

#include <optional>

#include "daemon/wire/bytes.hpp"

namespace masqgate::wire {

class Arp {
 public:
  static constexpr std::size_t kSize = 28;
  enum class Operation : std::uint16_t { request = 1, reply = 2 };

  static std::optional<Arp> parse(Bytes bytes) {
    constexpr std::uint32_t kEthernetAndIpv4 = 0x0001'0800, kLengths = 0x0604;
    if (bytes.size() < kSize || load32(bytes, 0) != kEthernetAndIpv4 ||
        load16(bytes, 4) != kLengths)
      return std::nullopt;
    return Arp{bytes};
  }

  Operation operation() const { return static_cast<Operation>(load16(bytes_, 6)); }
  net::MacAddress sender_mac() const { return load_mac(bytes_, 8); }
  net::IpAddress sender() const { return load_v4(bytes_, 14); }
  net::IpAddress target() const { return load_v4(bytes_, 24); }

 private:
  explicit Arp(Bytes bytes) : bytes_{bytes} {}
  Bytes bytes_;
};

}  // namespace masqgate::wire
