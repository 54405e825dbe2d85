#include "daemon/net/mac_address.hpp"

#include <charconv>

namespace masqgate::net {

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const char* pair = text.data() + 3 * i;
    const auto [stop, problem] = std::from_chars(pair, pair + 2, mac.bytes[i], 16);
    if (problem != std::errc{} || stop != pair + 2 || (i < 5 && pair[2] != ':'))
      return std::nullopt;
  }
  return mac;
}

std::string MacAddress::text() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : bytes) {
    if (!out.empty()) out += ':';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace masqgate::net
