// Reading and changing fields of protocols that are no text: numbers in network order, and addresses as
// the receiver must read them.

#pragma once

#include <string>

#include "daemon/helper/helper.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::helper {

inline std::string big16(std::uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
inline std::string big32(std::uint32_t value) {
  return big16(static_cast<std::uint16_t>(value >> 16)) + big16(static_cast<std::uint16_t>(value));
}

// The IPv4 address at this offset; empty behind the end.
inline std::optional<net::IpAddress> address_at(wire::Bytes bytes, std::size_t offset) {
  if (offset + 4 > bytes.size()) return std::nullopt;
  return net::IpAddress::v4(wire::load32(bytes, offset));
}

// An address that stands in a message, as its receiver knows it: the speaker and the receiver may have
// other ones there. Nobody else's is changed (K-02).
inline net::IpAddress as_received(const Context& context, net::IpAddress written) {
  if (written == context.sent().source_address) return context.received().source_address;
  if (written == context.sent().destination_address) return context.received().destination_address;
  return written;
}
// The same with its port, where it is an end of this very connection.
inline net::Endpoint as_received(const Context& context, net::Endpoint written) {
  if (written == context.sent().source()) return context.received().source();
  if (written == context.sent().destination()) return context.received().destination();
  return {as_received(context, written.address), written.port};
}

// Changes the four bytes of an IPv4 address.
inline void put_address(Context& context, std::size_t offset, net::IpAddress address) {
  if (address.is_v4()) context.replace(offset, 4, big32(address.v4_number()));
}

}  // namespace masqgate::helper
