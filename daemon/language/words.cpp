#include "daemon/language/words.hpp"

#include <algorithm>
#include <bit>
#include <charconv>

namespace masqgate::language {
namespace {

[[noreturn]] void wrong(const std::string& sentence) {
  throw Mistake{2, sentence};
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct NamedType {
  std::string_view name;
  IcmpType type;
};

constexpr std::uint8_t kAny = 255;
// The list of ipchains and iptables; of two names for one thing the first is printed.
constexpr auto kIcmpNames = std::to_array<NamedType>({
    {"echo-reply", {0, 0, kAny}},
    {"pong", {0, 0, kAny}},
    {"destination-unreachable", {3, 0, kAny}},
    {"network-unreachable", {3, 0, 0}},
    {"host-unreachable", {3, 1, 1}},
    {"protocol-unreachable", {3, 2, 2}},
    {"port-unreachable", {3, 3, 3}},
    {"fragmentation-needed", {3, 4, 4}},
    {"source-route-failed", {3, 5, 5}},
    {"network-unknown", {3, 6, 6}},
    {"host-unknown", {3, 7, 7}},
    {"network-prohibited", {3, 9, 9}},
    {"host-prohibited", {3, 10, 10}},
    {"TOS-network-unreachable", {3, 11, 11}},
    {"TOS-host-unreachable", {3, 12, 12}},
    {"communication-prohibited", {3, 13, 13}},
    {"host-precedence-violation", {3, 14, 14}},
    {"precedence-cutoff", {3, 15, 15}},
    {"source-quench", {4, 0, kAny}},
    {"redirect", {5, 0, kAny}},
    {"network-redirect", {5, 0, 0}},
    {"host-redirect", {5, 1, 1}},
    {"TOS-network-redirect", {5, 2, 2}},
    {"TOS-host-redirect", {5, 3, 3}},
    {"echo-request", {8, 0, kAny}},
    {"ping", {8, 0, kAny}},
    {"router-advertisement", {9, 0, kAny}},
    {"router-solicitation", {10, 0, kAny}},
    {"time-exceeded", {11, 0, kAny}},
    {"ttl-exceeded", {11, 0, kAny}},
    {"ttl-zero-during-transit", {11, 0, 0}},
    {"ttl-zero-during-reassembly", {11, 1, 1}},
    {"parameter-problem", {12, 0, kAny}},
    {"ip-header-bad", {12, 0, 0}},
    {"required-option-missing", {12, 1, 1}},
    {"timestamp-request", {13, 0, kAny}},
    {"timestamp-reply", {14, 0, kAny}},
    {"address-mask-request", {17, 0, kAny}},
    {"address-mask-reply", {18, 0, kAny}},
});

std::optional<std::uint8_t> byte_number(std::string_view word) {
  const auto value = number(word);
  return value && *value <= 255 ? std::optional{static_cast<std::uint8_t>(*value)} : std::nullopt;
}

// "24" or "255.255.255.0".
unsigned mask_length(std::string_view word) {
  if (const auto bits = number(word); bits && word.find('.') == word.npos && *bits <= 32)
    return *bits;
  const auto mask = net::IpAddress::parse(word);
  if (!mask || !mask->is_v4()) wrong("invalid mask `" + std::string{word} + "' specified");
  const std::uint32_t bits = mask->v4_number();
  const auto length = static_cast<unsigned>(std::countl_one(bits));
  if (length < 32 && bits << length != 0)
    wrong("the mask `" + std::string{word} + "' has holes: write a rule for each network");
  return length;
}

// The old tools took "0" and "10" for addresses whose other bytes are zero.
std::optional<net::IpAddress> dotted(std::string_view word) {
  std::uint32_t value = 0;
  int parts = 0;
  while (!word.empty()) {
    const std::size_t end = std::min(word.find('.'), word.size());
    std::uint32_t part = 0;
    const auto [stop, problem] = std::from_chars(word.data(), word.data() + end, part);
    if (problem != std::errc{} || stop != word.data() + end || end == 0 || part > 255 ||
        ++parts > 4)
      return std::nullopt;
    value = value << 8 | part;
    word.remove_prefix(std::min(end + 1, word.size()));
  }
  return parts == 0 ? std::nullopt : std::optional{net::IpAddress::v4(value << (8 * (4 - parts)))};
}

}  // namespace

std::vector<std::string> split(std::string_view line) {
  if (line.size() > kMostLineBytes) wrong("the line is too long");
  std::vector<std::string> words;
  bool open = false;  // a word has begun
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && is_blank(c)) {
      open = false;
      continue;
    }
    if (!open) words.emplace_back();
    open = true;
    if (c == quote)
      quote = 0;
    else if (quote == 0 && (c == '"' || c == '\''))
      quote = c;
    else if (c == '\\' && quote != '\'' && i + 1 < line.size())
      words.back() += line[++i];
    else
      words.back() += c;
  }
  if (quote != 0) wrong(std::string{"the quote "} + quote + " is not closed");
  return words;
}

std::string quoted(std::string_view word) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"-_./:,+!=@%"}.find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string{word};
  std::string text = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"";
}

const std::string& Reader::next(std::string_view what) {
  if (done()) wrong(std::string{what} + " is missing");
  return words_[at_++];
}

bool Reader::take(std::string_view word) {
  if (done() || words_[at_] != word) return false;
  ++at_;
  return true;
}

bool Reader::argument_follows() const {
  return !done() && (words_[at_].size() < 2 || words_[at_].front() != '-');
}

std::optional<std::uint32_t> number(std::string_view word) {
  int base = 10;
  if (word.starts_with("0x") || word.starts_with("0X")) {
    base = 16;
    word.remove_prefix(2);
  } else if (word.size() > 1 && word.front() == '0') {
    base = 8;
  }
  std::uint32_t value = 0;
  const auto [stop, problem] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (word.empty() || problem != std::errc{} || stop != word.data() + word.size())
    return std::nullopt;
  return value;
}

namespace {

net::IpAddress host_address(std::string_view word, const Names& names) {
  if (const auto address = dotted(word)) return *address;
  if (const auto address = names.address(word)) {
    if (address->is_v4()) return *address;
  }
  wrong("host/network `" + std::string{word} + "' not found");
}

}  // namespace

net::Prefix network(std::string_view word, const Names& names) {
  const std::size_t slash = word.find('/');
  return {host_address(word.substr(0, slash), names),
          slash == word.npos ? 32 : mask_length(word.substr(slash + 1))};
}

net::PortRange ports(std::string_view word, net::Protocol protocol, const Names& names,
                     char separator) {
  const auto port = [&](std::string_view part, net::Port missing) -> net::Port {
    if (part.empty()) return missing;
    if (const auto value = number(part)) {
      if (*value > 65535) wrong("invalid port/service `" + std::string{part} + "' specified");
      return static_cast<net::Port>(*value);
    }
    const auto named = names.service(part, protocol);
    if (!named) wrong("invalid port/service `" + std::string{part} + "' specified");
    return *named;
  };
  const std::size_t colon = word.find(separator);
  if (word.empty()) wrong("a port is missing");
  if (colon == word.npos) {
    const net::Port only = port(word, 0);
    return {only, only};
  }
  const net::PortRange range{port(word.substr(0, colon), 0), port(word.substr(colon + 1), 65535)};
  if (range.first > range.last) wrong("invalid portrange (min > max): `" + std::string{word} + "'");
  return range;
}

std::optional<net::Protocol> protocol(std::string_view word) {
  if (word == "all" || word == "0") return std::nullopt;
  std::string lower{word};
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  const auto parsed = net::parse_protocol(lower);
  if (!parsed) wrong("unknown protocol `" + std::string{word} + "' specified");
  return *parsed;
}

IcmpType icmp_type(std::string_view word) {
  for (const NamedType& known : kIcmpNames)
    if (known.name == word) return known.type;
  const std::size_t slash = word.find('/');
  const auto type = byte_number(word.substr(0, slash));
  if (!type) wrong("invalid ICMP type `" + std::string{word} + "' specified");
  if (slash == word.npos) return {*type, 0, kAny};
  const auto code = byte_number(word.substr(slash + 1));
  if (!code) wrong("invalid ICMP code `" + std::string{word} + "' specified");
  return {*type, *code, *code};
}

std::string icmp_name(const IcmpType& type) {
  for (const NamedType& known : kIcmpNames)
    if (known.type == type) return std::string{known.name};
  const std::string number = std::to_string(type.type);
  return type.last_code == kAny && type.first_code == 0
             ? number
             : number + "/" + std::to_string(type.first_code);
}

std::string short_count(std::uint64_t count, bool exact) {
  if (exact || count <= 99999) return std::to_string(count);
  for (const char unit : {'K', 'M', 'G'}) {
    count = (count + 500) / 1000;
    if (count <= 9999 || unit == 'G') return std::to_string(count) + unit;
  }
  return {};
}

std::string mask_text(unsigned length) {
  return net::IpAddress::v4(length == 0 ? 0 : ~0u << (32 - length)).text();
}

}  // namespace masqgate::language
