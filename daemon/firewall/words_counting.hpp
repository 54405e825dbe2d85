// The words of matches that count, and of the time of day.

#pragma once

#include <array>

#include "daemon/firewall/match.hpp"
#include "daemon/firewall/rate_json.hpp"
#include "daemon/firewall/words_of_matches.hpp"

namespace masqgate::firewall {

// "3/hour" with a burst of 5, or an object that says more.
template <>
struct Words<LimitMatch> {
  static constexpr std::string_view kMember = "limit";
  static LimitMatch read(const Value& value, PortNames) {
    const bool is_plain = value.json().is_string();
    if (!is_plain) value.allow({"rate", "burst"});
    const Term term{is_plain ? value : value.at("rate")};
    LimitMatch match{read_rate(term.value, term.text), term.negated};
    if (!is_plain) read_burst(value, match.rate);
    return match;
  }
  static Json write(const LimitMatch& match, PortNames) {
    return {{"rate", spell(match.negated, write_rate(match.rate))}, {"burst", match.rate.burst}};
  }
};

inline SourceLength read_length(const Value& object) {
  SourceLength length;
  if (const auto v4 = object.find("length"))
    length.v4 = static_cast<std::uint8_t>(v4->number(0, 32));
  if (const auto v6 = object.find("length6"))
    length.v6 = static_cast<std::uint8_t>(v6->number(0, 128));
  return length;
}

template <>
struct Words<SourceLimitMatch> {
  static constexpr std::string_view kMember = "source_limit";
  static SourceLimitMatch read(const Value& value, PortNames) {
    value.allow({"rate", "burst", "length", "length6"});
    const Term term{value.at("rate")};
    SourceLimitMatch match{read_rate(term.value, term.text), read_length(value), term.negated};
    read_burst(value, match.rate);
    return match;
  }
  static Json write(const SourceLimitMatch& match, PortNames) {
    return {{"rate", spell(match.negated, write_rate(match.rate))},
            {"burst", match.rate.burst},
            {"length", match.length.v4},
            {"length6", match.length.v6}};
  }
};

// Bytes; more than a number of JSON's 32 bits are a text.
template <>
struct Words<QuotaMatch> {
  static constexpr std::string_view kMember = "quota";
  static QuotaMatch read(const Value& value, PortNames) {
    const Term term = number_term(value, 0xffffffff);
    return {read_big_number(value, term.text), term.negated};
  }
  static Json write(const QuotaMatch& match, PortNames) {
    return spell(match.negated, std::to_string(match.bytes));
  }
};

template <>
struct Words<PortScanMatch> {
  static constexpr std::string_view kMember = "port_scan";
  static PortScanMatch read(const Value& value, PortNames) {
    PortScanMatch match;
    if (value.json().is_boolean()) {
      match.negated = !value.boolean();
      return match;
    }
    value.allow({"weight", "delay_ms", "low_port", "high_port", "negated"});
    const auto take = [&](std::string_view member, std::uint32_t& into, std::uint32_t least) {
      if (const auto number = value.find(member))
        into = static_cast<std::uint32_t>(number->number(least, 1000000));
    };
    take("weight", match.weight, 1);
    take("delay_ms", match.delay_ms, 1);
    take("low_port", match.low_port, 0);
    take("high_port", match.high_port, 0);
    if (const auto negated = value.find("negated")) match.negated = negated->boolean();
    if (std::uint64_t{match.weight} > Scan::kPorts * std::max(match.low_port, match.high_port))
      value.refuse("only " + std::to_string(Scan::kPorts) +
                   " ports of a source are told apart, which never weigh so much");
    return match;
  }
  static Json write(const PortScanMatch& match, PortNames) {
    return {{"weight", match.weight},
            {"delay_ms", match.delay_ms},
            {"low_port", match.low_port},
            {"high_port", match.high_port},
            {"negated", match.negated}};
  }
};

template <>
struct Words<ConnectionsMatch> {
  static constexpr std::string_view kMember = "connections";
  static ConnectionsMatch read(const Value& value, PortNames) {
    value.allow({"above", "up_to", "length", "length6"});
    ConnectionsMatch match;
    const bool negated = value.find("up_to").has_value();
    if (negated == value.find("above").has_value())
      value.refuse("must have one of \"above\" and \"up_to\"");
    match.negated = negated;
    match.above = static_cast<std::uint32_t>(
        value.at(negated ? "up_to" : "above").number(0, SourceConnections::kMost - 1));
    match.length = read_length(value);
    return match;
  }
  static Json write(const ConnectionsMatch& match, PortNames) {
    return {{match.negated ? "up_to" : "above", match.above},
            {"length", match.length.v4},
            {"length6", match.length.v6}};
  }
};

inline constexpr std::array<std::string_view, 7> kDays{"mon", "tue", "wed", "thu",
                                                       "fri", "sat", "sun"};

template <>
struct Words<TimeMatch> {
  static constexpr std::string_view kMember = "time";
  // "07:30"; 24:00 is the end of a day.
  static std::uint16_t read_minute(const Value& value) {
    const std::string& text = value.text();
    if (text.size() == 5 && text[2] == ':') {
      const auto hour = read_number(value, text.substr(0, 2), 24);
      const auto minute = read_number(value, text.substr(3), 59);
      if (hour < 24 || minute == 0) return static_cast<std::uint16_t>(hour * 60 + minute);
    }
    value.refuse(Value::quoted(text) + " is no time of day from \"00:00\" to \"24:00\", UTC");
  }
  static std::string write_minute(std::uint16_t minute) {
    const auto two = [](int n) { return (n < 10 ? "0" : "") + std::to_string(n); };
    return two(minute / 60) + ":" + two(minute % 60);
  }
  static std::uint8_t read_days(const Value& value) {
    std::uint8_t days = 0;
    for (const Value& one : value.elements()) {
      const auto day = std::ranges::find(kDays, one.text());
      if (day == kDays.end()) one.refuse("is none of: mon, tue, wed, thu, fri, sat, sun");
      days = static_cast<std::uint8_t>(days | 1 << (day - kDays.begin()));
    }
    if (days == 0) value.refuse("the list is empty, so that nothing matches; leave it out");
    return days;
  }
  static TimeMatch read(const Value& value, PortNames) {
    value.allow({"from", "to", "days", "negated"});
    TimeMatch match;
    if (const auto from = value.find("from")) match.from = read_minute(*from);
    if (const auto to = value.find("to")) match.to = read_minute(*to);
    if (match.from == match.to) value.refuse("ends when it begins, so that nothing matches");
    if (match.from == TimeMatch::kDay) value.at("from").refuse("write 00:00 for midnight");
    if (const auto days = value.find("days")) match.days = read_days(*days);
    if (const auto negated = value.find("negated")) match.negated = negated->boolean();
    return match;
  }
  static Json write(const TimeMatch& match, PortNames) {
    Json days = Json::array();
    for (std::size_t i = 0; i < kDays.size(); ++i)
      if ((match.days >> i & 1) != 0) days.push_back(kDays[i]);
    return {{"from", write_minute(match.from)},
            {"to", write_minute(match.to)},
            {"days", std::move(days)},
            {"negated", match.negated}};
  }
};

}  // namespace masqgate::firewall
