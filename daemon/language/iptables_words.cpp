#include "daemon/language/iptables_words.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "daemon/net/mac_address.hpp"

namespace masqgate::language {
namespace {

using Argument = IptablesArgument;
using Kind = IptablesOptionKind;

[[noreturn]] void bad(const std::string& sentence) {
  throw Mistake{2, sentence};
}

// Matches.
constexpr Kind kTcp[] = {{"--sport", "--source-port", Argument::ports, true},
                         {"--dport", "--destination-port", Argument::ports, true},
                         {"--tcp-flags", "", Argument::flags, true},
                         {"--syn", "", Argument::none, true}};
constexpr Kind kUdp[] = {{"--sport", "--source-port", Argument::ports, true},
                         {"--dport", "--destination-port", Argument::ports, true}};
constexpr Kind kIcmp[] = {{"--icmp-type", "", Argument::icmp_type, true}};
constexpr Kind kMultiport[] = {{"--sports", "--source-ports", Argument::port_list, false},
                               {"--dports", "--destination-ports", Argument::port_list, false},
                               {"--ports", "", Argument::port_list, false}};
constexpr Kind kState[] = {{"--state", "", Argument::states, true}};
constexpr Kind kConntrack[] = {{"--ctstate", "", Argument::states, true}};
constexpr Kind kLimit[] = {{"--limit", "", Argument::rate, false},
                           {"--limit-burst", "", Argument::number, false}};
constexpr Kind kMac[] = {{"--mac-source", "", Argument::mac, true}};
constexpr Kind kOwner[] = {{"--uid-owner", "", Argument::user, true}};
constexpr Kind kMarkMatch[] = {{"--mark", "", Argument::masked_number, true}};
constexpr Kind kHelper[] = {{"--helper", "", Argument::text, true}};
constexpr Kind kTosMatch[] = {{"--tos", "", Argument::tos, true}};
constexpr Kind kLength[] = {{"--length", "", Argument::number_range, true}};
constexpr Kind kTtl[] = {{"--ttl-eq", "--ttl", Argument::number, true},
                         {"--ttl-gt", "", Argument::number, false},
                         {"--ttl-lt", "", Argument::number, false}};
constexpr Kind kTcpmss[] = {{"--mss", "", Argument::number_range, true}};
constexpr Kind kPsd[] = {{"--psd-weight-threshold", "", Argument::number, false},
                         {"--psd-delay-threshold", "", Argument::number, false},
                         {"--psd-lo-ports-weight", "", Argument::number, false},
                         {"--psd-hi-ports-weight", "", Argument::number, false}};
constexpr Kind kQuota[] = {{"--quota", "", Argument::number, false}};
constexpr Kind kComment[] = {{"--comment", "", Argument::text, false}};

constexpr IptablesModuleKind kMatches[] = {
    {.name = "tcp", .options = kTcp, .protocol = net::Protocol::tcp},
    {.name = "udp", .options = kUdp, .protocol = net::Protocol::udp},
    {.name = "icmp", .options = kIcmp, .protocol = net::Protocol::icmp},
    {.name = "multiport", .options = kMultiport},
    {.name = "state", .options = kState},
    {.name = "conntrack", .options = kConntrack},
    {.name = "limit", .options = kLimit},
    {.name = "mac", .options = kMac},
    {.name = "owner", .options = kOwner},
    {.name = "mark", .options = kMarkMatch},
    {.name = "helper", .options = kHelper},
    {.name = "tos", .options = kTosMatch},
    {.name = "length", .options = kLength},
    {.name = "ttl", .options = kTtl},
    {.name = "tcpmss", .options = kTcpmss, .protocol = net::Protocol::tcp},
    {.name = "unclean", .options = {}},
    {.name = "psd", .options = kPsd},
    {.name = "quota", .options = kQuota},
    {.name = "comment", .options = kComment},
};

// Targets.
constexpr Kind kReject[] = {{"--reject-with", "", Argument::reject, false}};
constexpr Kind kLog[] = {{"--log-level", "", Argument::level, false},
                         {"--log-prefix", "", Argument::text, false},
                         {"--log-tcp-sequence", "", Argument::none, false},
                         {"--log-tcp-options", "", Argument::none, false},
                         {"--log-ip-options", "", Argument::none, false}};
constexpr Kind kMark[] = {{"--set-mark", "", Argument::masked_number, false}};
constexpr Kind kTos[] = {{"--set-tos", "", Argument::tos, false}};
constexpr Kind kTcpmssTarget[] = {{"--set-mss", "", Argument::number, false},
                                  {"--clamp-mss-to-pmtu", "", Argument::none, false}};
constexpr Kind kSnat[] = {{"--to-source", "--to", Argument::endpoints, false}};
constexpr Kind kDnat[] = {{"--to-destination", "--to", Argument::endpoints, false}};
constexpr Kind kToPorts[] = {{"--to-ports", "", Argument::port_span, false}};
constexpr Kind kNetmap[] = {{"--to", "", Argument::network, false}};

constexpr IptablesModuleKind kTargets[] = {
    {.name = "ACCEPT", .options = {}},
    {.name = "DROP", .options = {}},
    {.name = "RETURN", .options = {}},
    {.name = "REJECT", .options = kReject, .table = "filter"},
    {.name = "MIRROR", .options = {}, .table = "filter", .chains = "INPUT FORWARD"},
    {.name = "LOG", .options = kLog},
    {.name = "MARK", .options = kMark, .table = "mangle"},
    {.name = "TOS", .options = kTos, .table = "mangle"},
    {.name = "TCPMSS", .options = kTcpmssTarget},
    {.name = "SNAT", .options = kSnat, .table = "nat", .chains = "POSTROUTING"},
    {.name = "MASQUERADE", .options = kToPorts, .table = "nat", .chains = "POSTROUTING"},
    {.name = "DNAT", .options = kDnat, .table = "nat", .chains = "PREROUTING OUTPUT"},
    {.name = "REDIRECT", .options = kToPorts, .table = "nat", .chains = "PREROUTING OUTPUT"},
    {.name = "NETMAP", .options = kNetmap, .table = "nat"},
};

const IptablesModuleKind* find(std::span<const IptablesModuleKind> list, std::string_view name) {
  const auto found = std::ranges::find(list, name, &IptablesModuleKind::name);
  return found == list.end() ? nullptr : &*found;
}

std::vector<std::string_view> parts(std::string_view text, char separator) {
  std::vector<std::string_view> found;
  for (;;) {
    const std::size_t end = text.find(separator);
    found.push_back(text.substr(0, end));
    if (end == text.npos) return found;
    text.remove_prefix(end + 1);
  }
}

std::string range_text(const net::PortRange& range, char separator) {
  if (range.first == range.last) return std::to_string(range.first);
  return std::to_string(range.first) + separator + std::to_string(range.last);
}

std::string port_list(std::string_view word, net::Protocol protocol, const Names& names) {
  std::string text;
  const auto all = parts(word, ',');
  if (all.size() > 15) bad("too many ports specified: at most 15");
  for (const std::string_view one : all)
    text += (text.empty() ? "" : ",") + range_text(ports(one, protocol, names), ':');
  return text;
}

std::string flags(std::string_view word) {
  constexpr std::array<std::string_view, 6> kFlags{"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
  if (word == "NONE") return "NONE";
  if (word == "ALL") word = "FIN,SYN,RST,PSH,ACK,URG";
  const auto all = parts(word, ',');
  for (const std::string_view one : all)
    if (std::ranges::find(kFlags, one) == kFlags.end())
      bad("unknown TCP flag `" + std::string{one} + "'");
  std::string text;
  for (const std::string_view known : kFlags)
    if (std::ranges::find(all, known) != all.end())
      text += (text.empty() ? "" : ",") + std::string{known};
  return text;
}

std::uint32_t number_below(std::string_view word, std::uint32_t most) {
  const auto value = number(word);
  if (!value || *value > most)
    bad("`" + std::string{word} + "' is no number up to " + std::to_string(most));
  return *value;
}

std::string number_range(std::string_view word) {
  const auto ends = parts(word, ':');
  if (ends.size() > 2) bad("invalid range `" + std::string{word} + "' specified");
  const std::uint32_t first = ends[0].empty() ? 0 : number_below(ends[0], 65535);
  const std::uint32_t last = ends.size() == 1  ? first
                             : ends[1].empty() ? 65535
                                               : number_below(ends[1], 65535);
  if (first > last) bad("invalid range `" + std::string{word} + "': min > max");
  return range_text({static_cast<net::Port>(first), static_cast<net::Port>(last)}, ':');
}

std::string hexadecimal(std::uint32_t value) {
  std::array<char, 16> text;
  const int size = std::snprintf(text.data(), text.size(), "0x%x", value);
  return {text.data(), static_cast<std::size_t>(size)};
}

std::string masked_number(std::string_view word) {
  const auto both = parts(word, '/');
  if (both.size() > 2) bad("invalid mark `" + std::string{word} + "' specified");
  std::string text = hexadecimal(number_below(both[0], 0xffffffff));
  if (both.size() == 2 && number_below(both[1], 0xffffffff) != 0xffffffff)
    text += "/" + hexadecimal(number_below(both[1], 0xffffffff));
  return text;
}

std::string states(std::string_view word) {
  constexpr std::array<std::string_view, 5> kStates{"INVALID", "NEW", "RELATED", "ESTABLISHED",
                                                    "UNTRACKED"};
  const auto all = parts(word, ',');
  for (const std::string_view one : all)
    if (std::ranges::find(kStates, one) == kStates.end())
      bad("bad state `" + std::string{one} + "'");
  std::string text;
  for (const std::string_view known : kStates)
    if (std::ranges::find(all, known) != all.end())
      text += (text.empty() ? "" : ",") + std::string{known};
  return text;
}

std::string rate(std::string_view word) {
  constexpr std::array<std::pair<std::string_view, std::uint32_t>, 4> kUnits{
      {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}}};
  const auto both = parts(word, '/');
  const std::string_view unit = both.size() == 2 ? both[1] : "second";
  const auto known = std::ranges::find_if(
      kUnits, [&](const auto& one) { return !unit.empty() && one.first.starts_with(unit); });
  const auto count = number(both[0]);
  if (both.size() > 2 || known == kUnits.end() || !count || *count == 0 ||
      *count > 10000 * known->second)
    bad("bad rate `" + std::string{word} + "'");
  // The tool printed "minute" and "second" shortened; iptables-save wrote them whole.
  return std::to_string(*count) + "/" + std::string{known->first};
}

struct NamedTos {
  std::string_view name;
  std::uint32_t value;
};
constexpr std::array<NamedTos, 5> kTosNames{{{"Minimize-Delay", 16},
                                             {"Maximize-Throughput", 8},
                                             {"Maximize-Reliability", 4},
                                             {"Minimize-Cost", 2},
                                             {"Normal-Service", 0}}};

std::string tos(std::string_view word) {
  std::uint32_t value = 256;
  for (const NamedTos& known : kTosNames)
    if (known.name == word) value = known.value;
  if (value == 256) value = number_below(word, 255);
  const bool is_known =
      std::ranges::any_of(kTosNames, [&](const NamedTos& known) { return known.value == value; });
  if (!is_known) bad("bad TOS value `" + std::string{word} + "'");
  std::array<char, 16> text;
  return {text.data(),
          static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "0x%02x", value))};
}

std::string level(std::string_view word) {
  constexpr std::array<std::string_view, 8> kLevels{"emerg",   "alert",  "crit", "error",
                                                    "warning", "notice", "info", "debug"};
  for (std::size_t i = 0; i < kLevels.size(); ++i)
    if (kLevels[i] == word || (i == 3 && word == "err") || (i == 4 && word == "warn") ||
        (i == 0 && word == "panic"))
      return std::to_string(i);
  return std::to_string(number_below(word, 7));
}

std::string reject(std::string_view word) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNames{
      {{"icmp-net-unreachable", "net-unreach"},
       {"icmp-host-unreachable", "host-unreach"},
       {"icmp-proto-unreachable", "proto-unreach"},
       {"icmp-port-unreachable", "port-unreach"},
       {"icmp-net-prohibited", "net-prohib"},
       {"icmp-host-prohibited", "host-prohib"},
       {"icmp-admin-prohibited", "admin-prohib"},
       {"tcp-reset", "tcp-rst"}}};
  for (const auto& [name, other] : kNames)
    if (word == name || word == other) return std::string{name};
  bad("unknown reject type `" + std::string{word} + "'");
}

net::IpAddress address(std::string_view word) {
  const auto parsed = net::IpAddress::parse(word);
  if (!parsed || !parsed->is_v4()) bad("bad IP address `" + std::string{word} + "'");
  return *parsed;
}

std::string port_span(std::string_view word) {
  const auto range = ports(word, net::Protocol::tcp, {}, '-');
  if (range.first == 0) bad("port `" + std::string{word} + "' is none to translate to");
  return range_text(range, '-');
}

// "a", "a-b", "a:p", "a-b:p-q", ":p".
std::string endpoints(std::string_view word) {
  const std::size_t colon = word.find(':');
  std::string text;
  if (const std::string_view span = word.substr(0, colon); !span.empty()) {
    const auto ends = parts(span, '-');
    if (ends.size() > 2 || (ends.size() == 2 && address(ends[1]) < address(ends[0])))
      bad("bad IP range `" + std::string{span} + "'");
    text = address(ends[0]).text();
    if (ends.size() == 2 && ends[0] != ends[1]) text += "-" + address(ends[1]).text();
  }
  if (colon != word.npos) text += ":" + port_span(word.substr(colon + 1));
  if (text.empty()) bad("an address is missing");
  return text;
}

std::string mac(std::string_view word) {
  const auto parsed = net::MacAddress::parse(word);
  if (!parsed) bad("bad mac address `" + std::string{word} + "'");
  std::string text = parsed->text();
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c;
  });
  return text;
}

std::string user(const std::string& word, const Names& names) {
  if (const auto known = names.user(word)) return std::to_string(*known);
  if (const auto value = number(word)) return std::to_string(*value);
  bad("bad OWNER UID value `" + word + "'");
}

std::string one_spelling(Argument kind, const std::string& word, net::Protocol protocol,
                         const Names& names) {
  switch (kind) {
    case Argument::ports:
      return range_text(ports(word, protocol, names), ':');
    case Argument::port_list:
      return port_list(word, protocol, names);
    case Argument::number:
      return std::to_string(number_below(word, 0xffffffff));
    case Argument::number_range:
      return number_range(word);
    case Argument::masked_number:
      return masked_number(word);
    case Argument::icmp_type: {
      const IcmpType type = icmp_type(word);
      const std::string code = type.last_code == 255 ? "" : "/" + std::to_string(type.first_code);
      return std::to_string(type.type) + code;
    }
    case Argument::states:
      return states(word);
    case Argument::rate:
      return rate(word);
    case Argument::mac:
      return mac(word);
    case Argument::user:
      return user(word, names);
    case Argument::tos:
      return tos(word);
    case Argument::level:
      return level(word);
    case Argument::reject:
      return reject(word);
    case Argument::endpoints:
      return endpoints(word);
    case Argument::port_span:
      return port_span(word);
    case Argument::network: {
      const net::Prefix prefix = network(word, names);
      return prefix.address().text() + "/" + std::to_string(prefix.length());
    }
    default:
      return word;
  }
}

}  // namespace

std::vector<std::string_view> match_names() {
  std::vector<std::string_view> names;
  for (const IptablesModuleKind& kind : kMatches) names.push_back(kind.name);
  return names;
}

std::vector<std::string_view> target_names() {
  std::vector<std::string_view> names;
  for (const IptablesModuleKind& kind : kTargets) names.push_back(kind.name);
  return names;
}

const IptablesModuleKind* match_kind(std::string_view name) {
  return find(kMatches, name);
}

const IptablesModuleKind* target_kind(std::string_view name) {
  return find(kTargets, name);
}

const IptablesOptionKind* option_kind(const IptablesModuleKind& module, std::string_view word) {
  for (const Kind& kind : module.options)
    if (kind.name == word || (!kind.other.empty() && kind.other == word)) return &kind;
  return nullptr;
}

std::vector<std::string> read_argument(Argument kind, Reader& reader,
                                       std::optional<net::Protocol> protocol, const Names& names) {
  if (kind == Argument::none) return {};
  if (kind == Argument::flags) {
    const std::string mask = flags(reader.next("a list of flags"));
    return {mask, flags(reader.next("a second list of flags"))};
  }
  const std::string& word = reader.next("an argument");
  if (kind == Argument::text && word.size() > (256))
    bad("the text `" + word.substr(0, 20) + "…' is too long");
  return {one_spelling(kind, word, protocol.value_or(net::Protocol::tcp), names)};
}

}  // namespace masqgate::language
