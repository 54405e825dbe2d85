#include "daemon/net/prefix.hpp"

#include <charconv>

namespace masqgate::net {

std::optional<InterfaceAddress> InterfaceAddress::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned bits = address->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return InterfaceAddress{*address, bits};
  unsigned length = 0;
  const char* end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data() + slash + 1, end, length);
  if (problem != std::errc{} || stop != end || length > bits) return std::nullopt;
  return InterfaceAddress{*address, length};
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const auto parsed = InterfaceAddress::parse(text);
  if (!parsed || parsed->network().address() != parsed->address) return std::nullopt;
  return parsed->network();
}

std::string Prefix::text() const {
  return address_.text() + "/" + std::to_string(length_);
}

}  // namespace masqgate::net
