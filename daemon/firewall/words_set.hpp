// The words of matches that ask a named set.

#pragma once

#include "daemon/firewall/match.hpp"
#include "daemon/firewall/words_of_matches.hpp"

namespace masqgate::firewall {

template <typename M>
struct SetWords {
  static M read(const Value& value, PortNames) {
    const Term term{value};
    return {{term.text, term.negated}};
  }
  static Json write(const M& match, PortNames) { return spell(match.negated, match.name); }
};

template <>
struct Words<SourceSetMatch> : SetWords<SourceSetMatch> {
  static constexpr std::string_view kMember = "source_set";
};
template <>
struct Words<DestinationSetMatch> : SetWords<DestinationSetMatch> {
  static constexpr std::string_view kMember = "destination_set";
};
template <>
struct Words<SourcePortSetMatch> : SetWords<SourcePortSetMatch> {
  static constexpr std::string_view kMember = "source_port_set";
};
template <>
struct Words<DestinationPortSetMatch> : SetWords<DestinationPortSetMatch> {
  static constexpr std::string_view kMember = "destination_port_set";
};
template <>
struct Words<MacSetMatch> : SetWords<MacSetMatch> {
  static constexpr std::string_view kMember = "mac_set";
};

}  // namespace masqgate::firewall
