// The words of the matches that ask what programs have had to do with a packet.

#pragma once

#include "daemon/firewall/match.hpp"
#include "daemon/firewall/words_basic.hpp"
#include "daemon/firewall/words_header.hpp"

namespace masqgate::firewall {

template <>
struct Words<DivertedMatch> {
  static constexpr std::string_view kMember = "diverted";
  static DivertedMatch read(const Value& value, PortNames) { return {!value.boolean()}; }
  static Json write(const DivertedMatch& match, PortNames) { return !match.negated; }
};

template <>
struct Words<HopsMatch> : RangeWords<HopsMatch, 255> {
  static constexpr std::string_view kMember = "hops";
};

// true, false, or ports of programs.
template <>
struct Words<InjectedMatch> {
  static constexpr std::string_view kMember = "injected";
  static InjectedMatch read(const Value& value, PortNames) {
    if (value.json().is_boolean()) return {{}, !value.boolean()};
    return read_ports<InjectedMatch>(value);
  }
  static Json write(const InjectedMatch& match, PortNames) {
    return match.ranges.empty() ? Json(!match.negated) : write_ports(match);
  }
};

}  // namespace masqgate::firewall
