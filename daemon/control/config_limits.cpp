// The section "limits" of the configuration document: reading, checking, writing, compiling.

#include "daemon/control/config_words.hpp"
#include "daemon/firewall/firewall_json.hpp"

namespace masqgate::control {
namespace {

using json::Value;
using Answer = path::Limits::Answer;

constexpr std::array<std::pair<std::string_view, Answer>, 3> kAnswers{
    {{"host", Answer::host}, {"prohibited", Answer::prohibited}, {"silent", Answer::silent}}};

constexpr std::uint32_t kUsualReserve = 1024, kUsualInAll = 16384;

// Members that are numbers, with the most that they may be.
struct Number {
  std::string_view name;
  std::uint32_t& (*find)(path::Limits&);
  std::uint32_t most;
};
constexpr std::uint32_t kMany = 16'777'216;  // as conntrack.max
constexpr std::array<Number, 6> kNumbers{
    {{"sessions_per_host", [](path::Limits& l) -> std::uint32_t& { return l.hosts.sessions; },
      kMany},
     {"ports_per_host", [](path::Limits& l) -> std::uint32_t& { return l.hosts.ports; }, kMany},
     {"new_per_second_per_host",
      [](path::Limits& l) -> std::uint32_t& { return l.hosts.per_second; }, 1'000'000},
     {"half_open_per_destination",
      [](path::Limits& l) -> std::uint32_t& { return l.half_open.each; },
      conntrack::HalfOpen::kMostEach},
     {"half_open", [](path::Limits& l) -> std::uint32_t& { return l.half_open.in_all; },
      conntrack::HalfOpen::kMostInAll},
     {"reserve", [](path::Limits& l) -> std::uint32_t& { return l.reserve; }, kMany}}};

}  // namespace

path::Limits usual_limits(std::uint32_t max) {
  path::Limits limits;
  limits.hosts.sessions = max / 4;
  limits.hosts.ports = 16384;
  limits.half_open = {1024, std::min(kUsualInAll, max / 4)};
  limits.reserve = std::min(kUsualReserve, max / 64);
  return limits;
}

path::Limits read_limits(const Value& value, std::uint32_t max) {
  value.allow({"sessions_per_host", "ports_per_host", "new_per_second_per_host",
               "half_open_per_destination", "half_open", "reserve", "ipv6_host_prefix", "except",
               "refusal"});
  path::Limits limits = usual_limits(max);
  for (const Number& number : kNumbers)
    if (const auto found = value.find(number.name))
      number.find(limits) = static_cast<std::uint32_t>(found->number(0, number.most));
  if (limits.reserve >= max)
    value.at("reserve").refuse("leaves nothing for others: conntrack.max is " +
                               std::to_string(max));
  if (const auto prefix = value.find("ipv6_host_prefix"))
    limits.hosts.prefix_v6 = static_cast<unsigned>(prefix->number(32, 128));
  if (const auto except = value.find("except"))
    for (const Value& one : except->elements())
      limits.hosts.except.push_back(firewall::read_prefix(one, one.text()));
  if (const auto refusal = value.find("refusal")) limits.answer = refusal->word(words(kAnswers));
  return limits;
}

state::Json write_limits(path::Limits limits) {
  state::Json out = state::Json::object();
  for (const Number& number : kNumbers) out[std::string{number.name}] = number.find(limits);
  out["ipv6_host_prefix"] = limits.hosts.prefix_v6;
  state::Json& except = out["except"] = state::Json::array();
  for (const net::Prefix& one : limits.hosts.except) except.push_back(one.text());
  out["refusal"] = json::word_of(words(kAnswers), limits.answer);
  return out;
}

}  // namespace masqgate::control
