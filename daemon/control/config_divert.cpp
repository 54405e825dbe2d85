// Reads and writes "divert": how much may be diverted at once, who may listen, and what programs
// cannot shut.

#include "daemon/control/config_words.hpp"

namespace masqgate::control {
namespace {

using json::Value;
using state::Json;
namespace format = divert::format;

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 8> kPermissions{
    {{"listen", format::kMayListen},
     {"tee", format::kMayTee},
     {"inject", format::kMayInject},
     {"inject_spoofed", format::kMayInjectSpoofed},
     {"set_mark", format::kMaySetMark},
     {"steer", format::kMaySteer},
     {"see_link", format::kMaySeeLink},
     {"see_user", format::kMaySeeUser}}};

constexpr std::array<std::pair<std::string_view, bool>, 2> kAtStop{
    {{"drop", false}, {"pass", true}}};

net::PortRange read_ports_of(const Value& ports) {
  const std::string text =
      ports.json().is_number() ? std::to_string(ports.number(1, 65535)) : ports.text();
  const auto range = net::PortRange::parse(text);
  if (!range || range->first == 0)
    ports.refuse(Value::quoted(text) +
                 " is no port or range of ports such as 2222 or \"2000-2999\"");
  return *range;
}

Json write_ports_of(const net::PortRange& ports) {
  return ports.first == ports.last ? Json(ports.first) : Json(ports.text());
}

divert::AccessRule read_access(const Value& value) {
  value.allow({"ports", "user", "group", "may"});
  divert::AccessRule rule;
  const net::PortRange range = read_ports_of(value.at("ports"));
  rule.first = range.first;
  rule.last = range.last;
  constexpr std::uint64_t kMostId = 0xfffffffe;
  if (const auto user = value.find("user"))
    rule.user = static_cast<std::uint32_t>(user->number(0, kMostId));
  if (const auto group = value.find("group"))
    rule.group = static_cast<std::uint32_t>(group->number(0, kMostId));
  if (const auto may = value.find("may")) {
    rule.permissions = 0;
    for (const Value& one : may->elements())
      rule.permissions |= one.word(json::Words<std::uint32_t>{kPermissions});
  }
  return rule;
}

Json write_access(const divert::AccessRule& rule) {
  Json out = Json::object();
  out["ports"] = write_ports_of({rule.first, rule.last});
  if (rule.user) out["user"] = *rule.user;
  if (rule.group) out["group"] = *rule.group;
  Json& may = out["may"] = Json::array();
  for (const auto& [word, bit] : kPermissions)
    if ((rule.permissions & bit) != 0) may.push_back(word);
  return out;
}

}  // namespace

DivertConfig read_divert(const Value& value) {
  value.allow({"packets", "bytes", "hops", "access", "management", "at_stop"});
  DivertConfig config;
  if (const auto packets = value.find("packets"))
    config.packets = static_cast<std::uint32_t>(packets->number(1, 262144));
  if (const auto bytes = value.find("bytes"))
    config.bytes = static_cast<std::uint32_t>(bytes->number(65536, 0xffffffff));
  if (const auto hops = value.find("hops"))
    config.hops = static_cast<std::uint8_t>(hops->number(1, 254));  // one more has to fit in 8 bits
  if (const auto access = value.find("access"))
    for (const Value& one : access->elements()) config.access.push_back(read_access(one));
  if (const auto management = value.find("management")) {
    config.management.clear();
    for (const Value& one : management->elements()) config.management.push_back(read_ports_of(one));
  }
  if (const auto at_stop = value.find("at_stop"))
    config.pass_at_stop = at_stop->word(json::Words<bool>{kAtStop});
  return config;
}

Json write_divert(const DivertConfig& config) {
  Json out{{"packets", config.packets}, {"bytes", config.bytes}, {"hops", config.hops}};
  Json& access = out["access"] = Json::array();
  for (const divert::AccessRule& rule : config.access) access.push_back(write_access(rule));
  Json& management = out["management"] = Json::array();
  for (const net::PortRange& ports : config.management) management.push_back(write_ports_of(ports));
  out["at_stop"] = json::word_of(json::Words<bool>{kAtStop}, config.pass_at_stop);
  return out;
}

}  // namespace masqgate::control
