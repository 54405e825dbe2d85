// The words of matches that look into headers.

#pragma once

#include <array>

#include "daemon/firewall/match.hpp"
#include "daemon/firewall/words_of_matches.hpp"

namespace masqgate::firewall {

inline constexpr std::array<std::pair<std::string_view, std::uint8_t>, 6> kTcpFlags{
    {{"fin", 0x01}, {"syn", 0x02}, {"rst", 0x04}, {"psh", 0x08}, {"ack", 0x10}, {"urg", 0x20}}};

// "syn,ack", "all" or "none".
inline std::uint8_t read_flags(const Value& value, std::string_view text) {
  if (text == "none") return 0;
  if (text == "all") return 0x3f;
  std::uint8_t bits = 0;
  for (;;) {
    const std::size_t comma = text.find(',');
    bits = static_cast<std::uint8_t>(bits | value.word(text.substr(0, comma), words(kTcpFlags)));
    if (comma == std::string_view::npos) return bits;
    text.remove_prefix(comma + 1);
  }
}

inline std::string write_flags(std::uint8_t bits) {
  if (bits == 0) return "none";
  if (bits == 0x3f) return "all";
  std::string text;
  for (const auto& [name, bit] : kTcpFlags)
    if ((bits & bit) != 0) text += (text.empty() ? "" : ",") + std::string{name};
  return text;
}

// "syn/syn,ack,rst": of these three it has this one; without a mask of all.
template <>
struct Words<TcpFlagsMatch> {
  static constexpr std::string_view kMember = "tcp_flags";
  static TcpFlagsMatch read(const Value& value, PortNames) {
    const Term term{value};
    const std::string_view text = term.text;
    const std::size_t slash = text.find('/');
    TcpFlagsMatch match{read_flags(value, text.substr(0, slash)), 0x3f, term.negated};
    if (slash != std::string_view::npos) match.mask = read_flags(value, text.substr(slash + 1));
    if ((match.value & ~match.mask) != 0)
      value.refuse(Value::quoted(text) + " has flags that are not in its mask");
    return match;
  }
  static Json write(const TcpFlagsMatch& match, PortNames) {
    const std::string value = write_flags(match.value);
    return spell(match.negated, match.mask == 0x3f ? value : value + "/" + write_flags(match.mask));
  }
};

// "8", "3/4", or a list of them.
template <>
struct Words<IcmpTypeMatch> {
  static constexpr std::string_view kMember = "icmp_type";
  static IcmpTypeMatch::Kind read_kind(const Value& value, std::string_view text) {
    const std::size_t slash = text.find('/');
    IcmpTypeMatch::Kind kind;
    kind.type = static_cast<std::uint8_t>(read_number(value, text.substr(0, slash), 255));
    if (slash != std::string_view::npos)
      kind.least_code = kind.most_code =
          static_cast<std::uint8_t>(read_number(value, text.substr(slash + 1), 255));
    return kind;
  }
  static IcmpTypeMatch read(const Value& value, PortNames) {
    IcmpTypeMatch match;
    for (const Term& term :
         read_terms(value, [](const Value& one) { return number_term(one, 255); })) {
      match.kinds.push_back(read_kind(term.value, term.text));
      match.negated = term.negated;
    }
    return match;
  }
  static Json write(const IcmpTypeMatch& match, PortNames) {
    std::vector<std::string> texts;
    for (const IcmpTypeMatch::Kind& kind : match.kinds)
      texts.push_back(std::to_string(kind.type) + (kind.most_code == kind.least_code
                                                       ? "/" + std::to_string(kind.most_code)
                                                       : ""));
    return write_terms(match.negated, texts);
  }
};

template <>
struct Words<FragmentMatch> {
  static constexpr std::string_view kMember = "fragment";
  static FragmentMatch read(const Value& value, PortNames) { return {!value.boolean()}; }
  static Json write(const FragmentMatch& match, PortNames) { return !match.negated; }
};

template <>
struct Words<UncleanMatch> {
  static constexpr std::string_view kMember = "unclean";
  static UncleanMatch read(const Value& value, PortNames) { return {!value.boolean()}; }
  static Json write(const UncleanMatch& match, PortNames) { return !match.negated; }
};

template <>
struct Words<MacMatch> {
  static constexpr std::string_view kMember = "source_mac";
  static MacMatch read(const Value& value, PortNames) {
    const Term term{value};
    const auto mac = net::MacAddress::parse(term.text);
    if (!mac) value.refuse(Value::quoted(term.text) + " is no address such as 02:00:00:00:00:01");
    return {*mac, term.negated};
  }
  static Json write(const MacMatch& match, PortNames) {
    return spell(match.negated, match.address.text());
  }
};

// "0x10" or "0x10/0x1e".
template <>
struct Words<TosMatch> {
  static constexpr std::string_view kMember = "tos";
  static TosMatch read(const Value& value, PortNames) {
    const Term term = number_term(value, 255);
    const auto [bits, mask] = read_byte_bits(value, term.text);
    return {bits, mask, term.negated};
  }
  static Json write(const TosMatch& match, PortNames) {
    return spell(match.negated, write_byte_bits(match.value, match.mask));
  }
};

template <>
struct Words<DscpMatch> {
  static constexpr std::string_view kMember = "dscp";
  static DscpMatch read(const Value& value, PortNames) {
    const Term term = number_term(value, 63);
    return {static_cast<std::uint8_t>(read_number(value, term.text, 63)), term.negated};
  }
  static Json write(const DscpMatch& match, PortNames) {
    return spell(match.negated, std::to_string(match.value));
  }
};

// "64-1500", or one number.
template <typename M, std::uint16_t kMost>
struct RangeWords {
  static M read(const Value& value, PortNames) {
    const Term term = number_term(value, kMost);
    const std::string_view text = term.text;
    const std::size_t dash = text.find('-');
    Range range;
    range.least = static_cast<std::uint16_t>(read_number(value, text.substr(0, dash), kMost));
    range.most = dash == std::string_view::npos
                     ? range.least
                     : static_cast<std::uint16_t>(read_number(value, text.substr(dash + 1), kMost));
    if (range.most < range.least)
      value.refuse(Value::quoted(text) + " ends before it begins; exchange the numbers");
    return {range, term.negated};
  }
  static Json write(const M& match, PortNames) {
    const std::string least = std::to_string(match.range.least);
    return spell(match.negated, match.range.most == match.range.least
                                    ? least
                                    : least + "-" + std::to_string(match.range.most));
  }
};

template <>
struct Words<LengthMatch> : RangeWords<LengthMatch, 65535> {
  static constexpr std::string_view kMember = "length";
};
template <>
struct Words<TtlMatch> : RangeWords<TtlMatch, 255> {
  static constexpr std::string_view kMember = "ttl";
};
template <>
struct Words<TcpMssMatch> : RangeWords<TcpMssMatch, 65535> {
  static constexpr std::string_view kMember = "tcp_mss";
};

}  // namespace masqgate::firewall
