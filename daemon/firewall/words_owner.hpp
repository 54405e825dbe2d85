// The words of the match that asks whose packet it is.

#pragma once

#include <charconv>

#include "daemon/firewall/match.hpp"
#include "daemon/firewall/words_of_matches.hpp"

namespace masqgate::firewall {

// 1000, "1000-1999", "!0", or a list of these.
template <>
struct Words<OwnerMatch> {
  static constexpr std::string_view kMember = "owner";

  static std::optional<UidRange> parse(std::string_view text) {
    const auto number = [](std::string_view digits) -> std::optional<std::uint32_t> {
      std::uint32_t value = 0;
      const char* const end = digits.data() + digits.size();
      const auto [stopped, problem] = std::from_chars(digits.data(), end, value);
      if (problem != std::errc{} || stopped != end) return std::nullopt;
      return value;
    };
    const std::size_t dash = text.find('-');
    const auto first = number(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(text.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    return UidRange{*first, *last};
  }

  static OwnerMatch read(const Value& value, PortNames) {
    OwnerMatch match;
    for (const Term& term :
         read_terms(value, [](const Value& one) { return number_term(one, 0xffffffff); })) {
      const auto range = parse(term.text);
      if (!range)
        term.value.refuse(Value::quoted(term.text) +
                          " is no user's number or range of numbers such as \"1000\" or "
                          "\"1000-1999\"; `id -u NAME` tells a name's");
      match.uids.push_back(*range);
      match.negated = term.negated;
    }
    return match;
  }

  static Json write(const OwnerMatch& match, PortNames) {
    std::vector<std::string> texts;
    for (const UidRange& range : match.uids)
      texts.push_back(range.first == range.last
                          ? std::to_string(range.first)
                          : std::to_string(range.first) + "-" + std::to_string(range.last));
    return write_terms(match.negated, texts);
  }
};

}  // namespace masqgate::firewall
