#include "daemon/firewall/rate_json.hpp"

#include <array>

namespace masqgate::firewall {
namespace {

constexpr std::array<std::pair<std::string_view, Rate::Period>, 4> kPeriods{
    {{"second", Rate::Period::second},
     {"minute", Rate::Period::minute},
     {"hour", Rate::Period::hour},
     {"day", Rate::Period::day}}};

}  // namespace

Rate read_rate(const Value& value, std::string_view text) {
  constexpr std::uint32_t kFastest = 10000;  // a second: one unit of credit
  Rate rate;
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    value.refuse(Value::quoted(text) + " is no rate such as \"3/hour\" or \"10/second\"");
  rate.period = value.word(text.substr(slash + 1), words(kPeriods));
  const std::uint64_t most = std::uint64_t{kFastest} * static_cast<std::uint32_t>(rate.period);
  rate.matches = read_number(value, text.substr(0, slash), static_cast<std::uint32_t>(most));
  if (rate.matches == 0) value.refuse("a rate of 0 never matches; remove the rule");
  return rate;
}

std::string write_rate(const Rate& rate) {
  return std::to_string(rate.matches) + "/" +
         std::string{json::word_of(words(kPeriods), rate.period)};
}

void read_burst(const Value& object, Rate& rate) {
  if (const auto burst = object.find("burst"))
    rate.burst = static_cast<std::uint32_t>(burst->number(1, 10000));
}

}  // namespace masqgate::firewall
