#include "daemon/net/endpoint.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace masqgate::net {
namespace {

constexpr std::array<std::pair<std::string_view, Protocol>, 9> kNames{{
    {"icmp", Protocol::icmp},
    {"igmp", Protocol::igmp},
    {"tcp", Protocol::tcp},
    {"udp", Protocol::udp},
    {"gre", Protocol::gre},
    {"esp", Protocol::esp},
    {"ah", Protocol::ah},
    {"icmpv6", Protocol::icmpv6},
    {"sctp", Protocol::sctp},
}};

template <typename Number>
std::optional<Number> whole_number(std::string_view text) {
  Number value = 0;
  const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string text(Protocol protocol) {
  for (const auto& [name, value] : kNames)
    if (value == protocol) return std::string{name};
  return std::to_string(number(protocol));
}

std::optional<Protocol> parse_protocol(std::string_view text) {
  for (const auto& [name, value] : kNames)
    if (name == text) return value;
  if (const auto value = whole_number<std::uint8_t>(text)) return static_cast<Protocol>(*value);
  return std::nullopt;
}

std::string Endpoint::text() const {
  const std::string host = address.is_v4() ? address.text() : "[" + address.text() + "]";
  return host + ":" + std::to_string(port);
}

std::optional<PortRange> PortRange::parse(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = whole_number<Port>(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : whole_number<Port>(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

std::string PortRange::text() const {
  return first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last);
}

}  // namespace masqgate::net
