// The bounded walk over netlink attributes: type, length, value, padded to four bytes.

#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

#include "daemon/net/ip_address.hpp"
#include "netlink/messages.hpp"

namespace masqgate::netlink {

// A fixed struct at the start of the bytes; empty where they are too few.
template <typename Struct>
std::optional<Struct> read(Bytes bytes) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  Struct value;
  if (bytes.size() < sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

inline Bytes after(Bytes bytes, std::size_t count) {
  return bytes.subspan(std::min(bytes.size(), count));
}

struct Attribute {
  std::uint16_t type = 0;
  Bytes value;

  // Values of a wrong length read as zero: the kernel never sends them.
  template <typename Number>
  Number number() const {
    return read<Number>(value).value_or(Number{});
  }
  // Without what stands behind a terminating zero.
  std::string text() const {
    return {value.begin(), std::find(value.begin(), value.end(), std::uint8_t{0})};
  }
};

// Calls visit(Attribute) for each; false where a length leaves the bytes.
template <typename Visit>
bool walk(Bytes bytes, Visit visit) {
  while (bytes.size() >= sizeof(nlattr)) {
    const auto header = *read<nlattr>(bytes);
    if (header.nla_len < sizeof(nlattr) || header.nla_len > bytes.size()) return false;
    visit(Attribute{static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
                    bytes.subspan(sizeof header, header.nla_len - sizeof header)});
    bytes = after(bytes, NLA_ALIGN(header.nla_len));
  }
  return true;
}

// Four bytes are IPv4, sixteen IPv6; empty for anything else and for IPv4 in the clothes of IPv6.
inline std::optional<net::IpAddress> read_address(Bytes bytes) {
  std::uint64_t words[2] = {};
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  for (std::size_t i = 0; i < bytes.size(); ++i) words[i / 8] = words[i / 8] << 8 | bytes[i];
  if (bytes.size() == 4) return net::IpAddress::v4(static_cast<std::uint32_t>(words[0]));
  const auto address = net::IpAddress::v6(words[0], words[1]);
  return address.is_v4() ? std::nullopt : std::optional{address};
}

}  // namespace masqgate::netlink
