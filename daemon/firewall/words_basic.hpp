// The words of matches that ask where a packet comes from and goes to.

#pragma once

#include <array>

#include "daemon/firewall/match.hpp"
#include "daemon/firewall/words_of_matches.hpp"

namespace masqgate::firewall {

inline constexpr std::array<std::pair<std::string_view, ConnState>, 5> kStates{
    {{"new", ConnState::new_},
     {"established", ConnState::established},
     {"related", ConnState::related},
     {"invalid", ConnState::invalid},
     {"untracked", ConnState::untracked}}};

// "80", "1024-65535", 80, or a list of these.
template <typename PortMatch>
PortMatch read_ports(const Value& value) {
  PortMatch match;
  for (const Term& term :
       read_terms(value, [](const Value& one) { return number_term(one, 65535); })) {
    const auto range = net::PortRange::parse(term.text);
    if (!range)
      term.value.refuse(Value::quoted(term.text) +
                        " is no port or range of ports such as \"80\" or \"1024-65535\"");
    match.ranges.push_back(*range);
    match.negated = term.negated;
  }
  return match;
}

template <typename PortMatch>
Json write_ports(const PortMatch& match) {
  std::vector<std::string> texts;
  for (const net::PortRange& range : match.ranges) texts.push_back(range.text());
  return write_terms(match.negated, texts);
}

template <>
struct Words<StateMatch> {
  static constexpr std::string_view kMember = "state";
  static StateMatch read(const Value& value, PortNames) {
    StateMatch match;
    for (const Term& term : read_terms(value, [](const Value& one) { return Term{one}; })) {
      match.states.add(term.value.word(term.text, words(kStates)));
      match.negated = term.negated;
    }
    return match;
  }
  static Json write(const StateMatch& match, PortNames) {
    std::vector<std::string> texts;
    for (const auto& [name, state] : kStates)
      if (match.states.contains(state)) texts.emplace_back(name);
    return write_terms(match.negated, texts);
  }
};

// One port, or with a "+" at its end all whose name begins so, as interfaces were named in 2.2.
inline PortSet read_port_set(const Value& value, const std::string& pattern, PortNames ports) {
  PortSet set{pattern, 0};
  if (!pattern.ends_with('+')) {
    set.bits = std::uint64_t{1} << read_port(value, pattern, ports);
    return set;
  }
  const std::string_view begin = std::string_view{pattern}.substr(0, pattern.size() - 1);
  for (std::size_t i = 0; i < ports.size(); ++i)
    if (ports[i].starts_with(begin)) set.bits |= std::uint64_t{1} << i;
  if (set.bits == 0)
    value.refuse("no port in \"ports\" has a name that begins with " + Value::quoted(begin));
  return set;
}

template <typename M>
struct PortSetWords {
  static M read(const Value& value, PortNames ports) {
    const Term term{value};
    return {read_port_set(value, term.text, ports), term.negated};
  }
  static Json write(const M& match, PortNames) { return spell(match.negated, match.ports.pattern); }
};

template <>
struct Words<IngressMatch> : PortSetWords<IngressMatch> {
  static constexpr std::string_view kMember = "in";
};

template <>
struct Words<EgressMatch> : PortSetWords<EgressMatch> {
  static constexpr std::string_view kMember = "out";
};

template <>
struct Words<ProtocolMatch> {
  static constexpr std::string_view kMember = "protocol";
  static ProtocolMatch read(const Value& value, PortNames) {
    const Term term{value};
    const auto protocol = net::parse_protocol(term.text);
    if (!protocol)
      value.refuse(Value::quoted(term.text) +
                   " is no protocol; write tcp, udp, icmp, icmpv6 … or a number from 0 to 255");
    return {*protocol, term.negated};
  }
  static Json write(const ProtocolMatch& match, PortNames) {
    return spell(match.negated, net::text(match.protocol));
  }
};

template <>
struct Words<DemasqueradedMatch> {
  static constexpr std::string_view kMember = "demasqueraded";
  static DemasqueradedMatch read(const Value& value, PortNames) { return {!value.boolean()}; }
  static Json write(const DemasqueradedMatch& match, PortNames) { return !match.negated; }
};

// "ftp", or a list of helpers.
template <>
struct Words<HelperMatch> {
  static constexpr std::string_view kMember = "helper";
  static HelperMatch read(const Value& value, PortNames) {
    HelperMatch match;
    for (const Term& term : read_terms(value, [](const Value& one) { return Term{one}; })) {
      const auto number = conntrack::helper_number(term.text);
      if (!number)
        term.value.refuse(Value::quoted(term.text) +
                          " is no helper; their names are those of \"helpers\"");
      match.helpers |= std::uint32_t{1} << *number;
      match.negated = term.negated;
    }
    return match;
  }
  static Json write(const HelperMatch& match, PortNames) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < conntrack::kHelperNames.size(); ++i)
      if ((match.helpers >> i & 1) != 0) texts.emplace_back(conntrack::kHelperNames[i]);
    return write_terms(match.negated, texts);
  }
};

template <typename M>
M read_mark_match(const Value& value) {
  const Term term = number_term(value, 0xffffffff);
  return {read_mark(value, term.text), term.negated};
}

template <>
struct Words<MarkMatch> {
  static constexpr std::string_view kMember = "mark";
  static MarkMatch read(const Value& value, PortNames) { return read_mark_match<MarkMatch>(value); }
  static Json write(const MarkMatch& match, PortNames) {
    return spell(match.negated, write_mark(match.bits));
  }
};

template <>
struct Words<ConnMarkMatch> {
  static constexpr std::string_view kMember = "connmark";
  static ConnMarkMatch read(const Value& value, PortNames) {
    return read_mark_match<ConnMarkMatch>(value);
  }
  static Json write(const ConnMarkMatch& match, PortNames) {
    return spell(match.negated, write_mark(match.bits));
  }
};

template <>
struct Words<SourceMatch> {
  static constexpr std::string_view kMember = "source";
  static SourceMatch read(const Value& value, PortNames) {
    const Term term{value};
    return {read_prefix(value, term.text), term.negated};
  }
  static Json write(const SourceMatch& match, PortNames) {
    return spell(match.negated, match.prefix.text());
  }
};

template <>
struct Words<DestinationMatch> {
  static constexpr std::string_view kMember = "destination";
  static DestinationMatch read(const Value& value, PortNames) {
    const Term term{value};
    return {read_prefix(value, term.text), term.negated};
  }
  static Json write(const DestinationMatch& match, PortNames) {
    return spell(match.negated, match.prefix.text());
  }
};

template <>
struct Words<SourcePortMatch> {
  static constexpr std::string_view kMember = "source_port";
  static SourcePortMatch read(const Value& value, PortNames) {
    return read_ports<SourcePortMatch>(value);
  }
  static Json write(const SourcePortMatch& match, PortNames) { return write_ports(match); }
};

template <>
struct Words<DestinationPortMatch> {
  static constexpr std::string_view kMember = "destination_port";
  static DestinationPortMatch read(const Value& value, PortNames) {
    return read_ports<DestinationPortMatch>(value);
  }
  static Json write(const DestinationPortMatch& match, PortNames) { return write_ports(match); }
};

template <>
struct Words<AnyPortMatch> {
  static constexpr std::string_view kMember = "port";
  static AnyPortMatch read(const Value& value, PortNames) {
    return read_ports<AnyPortMatch>(value);
  }
  static Json write(const AnyPortMatch& match, PortNames) { return write_ports(match); }
};

}  // namespace masqgate::firewall
