#include "web/target.hpp"

#include <algorithm>

namespace masqgate::web {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw state::Error{state::Problem::malformed, why};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  refuse("a percent sign needs two hexadecimal digits");
}

std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    if (text.size() - at < 3) refuse("a percent sign needs two hexadecimal digits");
    out += static_cast<char>(hex_digit(text[at + 1]) * 16 + hex_digit(text[at + 2]));
    at += 2;
  }
  if (out.find('\0') != std::string::npos) refuse("the target contains a NUL");
  return out;
}

// Whole segments are decoded, so that "a%2Fb" cannot become two of them.
std::string decode_path(std::string_view path) {
  std::string decoded = decode(path);
  std::size_t written = 0, read = 0;
  for (const char c : path) written += c == '/' ? 1 : 0;
  for (const char c : decoded) read += c == '/' ? 1 : 0;
  if (written != read) refuse("the path contains an encoded slash");
  return decoded;
}

// As HTML forms write it: a plus is a space.
std::string decode_parameter(std::string_view text) {
  std::string spaced{text};
  for (char& c : spaced)
    if (c == '+') c = ' ';
  return decode(spaced);
}

state::Query parse_query(std::string_view text) {
  state::Query query;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::string name = decode_parameter(pair.substr(0, equals));
    std::string value =
        equals == std::string_view::npos ? "" : decode_parameter(pair.substr(equals + 1));
    if (!query.emplace(name, std::move(value)).second)
      refuse("the parameter \"" + name + "\" occurs twice");
  }
  return query;
}

// "http://host/path?query" is "/path?query".
std::string_view origin_form(std::string_view target) {
  if (target.starts_with('/')) return target;
  const std::size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) refuse("the request target is not a path");
  const std::size_t slash = target.find('/', scheme + 3);
  return slash == std::string_view::npos ? "/" : target.substr(slash);
}

}  // namespace

Target parse_target(std::string_view target) {
  target = origin_form(target);
  const std::size_t question = target.find('?');
  Target parts{.path = decode_path(target.substr(0, question))};
  if (question != std::string_view::npos) parts.query = parse_query(target.substr(question + 1));
  return parts;
}

}  // namespace masqgate::web
