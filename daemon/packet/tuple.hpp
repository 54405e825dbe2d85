// A Tuple names one direction of a conversation: addresses, ports, protocol.
//
// For ICMP queries the identifier plays the source port and (type << 8 | code) of the *request* the
// destination port (history 2.4); a reply is the same swapped. So inverted() is a plain swap for
// every protocol. For enhanced GRE (RFC 2637) the call id, which is the receiver's, plays the
// destination port: each direction is a conversation of its own, that nobody answers. So it is with
// the security parameters index of ESP (RFC 4303), whose higher half is the key. Of ISAKMP the key
// is a hash of the initiator's cookie, because all speak from port 500 (history 5.19). Protocols
// without ports have both zero.

#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "daemon/base/siphash.hpp"
#include "daemon/net/endpoint.hpp"

namespace masqgate {

struct Tuple {
  net::IpAddress source_address;
  net::IpAddress destination_address;
  net::Port source_port = 0;
  net::Port destination_port = 0;
  net::Protocol protocol{};
  // ICMP only: which side has the identifier. Keeps a reply apart from a request whose identifier
  // happens to equal a type.
  std::uint8_t is_icmp_reply = 0;
  std::uint16_t key = 0;  // keeps conversations apart whose ports do not; of both directions

  // ESP: the index, which one of the ports holds the lower half of; 0: none is looked at.
  constexpr std::uint32_t spi() const {
    return std::uint32_t{key} << 16 | std::uint32_t(source_port | destination_port);
  }
  constexpr void set_spi(std::uint32_t spi) {
    key = static_cast<std::uint16_t>(spi >> 16);
    destination_port = static_cast<net::Port>(spi);
  }
  constexpr bool is_icmp() const {
    return protocol == net::Protocol::icmp || protocol == net::Protocol::icmpv6;
  }
  constexpr bool has_ports() const {
    return protocol == net::Protocol::tcp || protocol == net::Protocol::udp;
  }
  constexpr net::Endpoint source() const { return {source_address, source_port}; }
  constexpr net::Endpoint destination() const { return {destination_address, destination_port}; }
  constexpr Tuple inverted() const {
    return {destination_address,
            source_address,
            destination_port,
            source_port,
            protocol,
            static_cast<std::uint8_t>(is_icmp() && is_icmp_reply == 0),
            key};
  }

  constexpr std::uint32_t hash(HashKey secret) const {
    return static_cast<std::uint32_t>(hash64(secret));
  }
  constexpr std::uint64_t hash64(HashKey secret) const {
    SipHash hash{secret};
    if (source_address.is_v4() && destination_address.is_v4()) {
      hash.add(std::uint64_t{source_address.v4_number()} << 32 | destination_address.v4_number());
    } else {
      hash.add(source_address.high()).add(source_address.low());
      hash.add(destination_address.high()).add(destination_address.low());
    }
    hash.add(std::uint64_t{key} << 48 | std::uint64_t{source_port} << 32 |
             std::uint64_t{destination_port} << 16 | std::uint64_t{net::number(protocol)} << 8 |
             (is_icmp_reply != 0 ? 1u : 0u));
    return hash.finish();
  }

  constexpr auto operator<=>(const Tuple&) const = default;
  std::string text() const;  // "tcp 192.0.2.1:1025 > 198.51.100.1:80"
};

}  // namespace masqgate
