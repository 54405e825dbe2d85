#include "web/negotiation.hpp"

#include <algorithm>

#include "web/message.hpp"

namespace masqgate::web {
namespace {

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the part up to the next separator off the front.
std::string_view next(std::string_view& rest, char separator) {
  const std::string_view part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return trim(part);
}

// "q=0.25" in thousandths; no weight is 1000, a broken one 0.
int weight(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view value = next(parameters, ';');
    const std::string_view name = next(value, '=');
    if (!same_word(name, "q")) continue;
    int thousandths = 0, digit = 1000;
    for (const char c : value.substr(0, 5)) {
      if (c == '.') continue;
      if (c < '0' || c > '9') return 0;
      thousandths += (c - '0') * digit;
      digit /= 10;
    }
    return std::min(thousandths, 1000);
  }
  return 1000;
}

// How much an Accept list wants type/subtype: its most specific range decides.
int quality(std::string_view accept, std::string_view type, std::string_view subtype) {
  int best_match = 0, best_weight = 0;
  while (!accept.empty()) {
    std::string_view parameters = next(accept, ',');
    std::string_view range = next(parameters, ';');
    const std::string_view range_type = next(range, '/');
    int match = 0;
    if (same_word(range_type, type))
      match = same_word(range, subtype) ? 3 : (range == "*" ? 2 : 0);
    else if (range_type == "*" && range == "*")
      match = 1;
    if (match > best_match) {
      best_match = match;
      best_weight = weight(parameters);
    }
  }
  return best_weight;
}

}  // namespace

bool prefers_text(const std::string* accept) {
  return accept != nullptr &&
         quality(*accept, "text", "plain") > quality(*accept, "application", "json");
}

bool names_tag(std::string_view list, std::string_view tag) {
  if (trim(list) == "*") return true;
  while (!list.empty())
    if (next(list, ',') == tag && !tag.empty()) return true;
  return false;
}

}  // namespace masqgate::web
