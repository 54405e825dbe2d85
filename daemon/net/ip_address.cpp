#include "daemon/net/ip_address.hpp"

#include <arpa/inet.h>

#include <array>

namespace masqgate::net {
namespace {

std::uint64_t number(const std::uint8_t* bytes, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

void spell(std::uint64_t value, std::uint8_t* bytes, int count) {
  for (int i = count - 1; i >= 0; --i, value >>= 8) bytes[i] = static_cast<std::uint8_t>(value);
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::string terminated{text};
  if (terminated.size() != terminated.find('\0') && terminated.find('\0') != std::string::npos)
    return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1)
    return v4(static_cast<std::uint32_t>(number(bytes.data(), 4)));
  if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1)
    return v6(number(bytes.data(), 8), number(bytes.data() + 8, 8));
  return std::nullopt;
}

std::string IpAddress::text() const {
  std::array<std::uint8_t, 16> bytes{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (is_v4()) {
    spell(v4_number(), bytes.data(), 4);
    inet_ntop(AF_INET, bytes.data(), out.data(), out.size());
  } else {
    spell(high_, bytes.data(), 8);
    spell(low_, bytes.data() + 8, 8);
    inet_ntop(AF_INET6, bytes.data(), out.data(), out.size());
  }
  return out.data();
}

}  // namespace masqgate::net
