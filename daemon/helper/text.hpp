// Reading the words of text protocols: a cursor over bytes that never reads behind their end.

#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/helper/helper.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::helper {

constexpr char kLineFeed = '\n', kReturn = '\r';

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

// Bytes as characters; they need not be text.
inline std::string_view characters(wire::Bytes bytes) {
  return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

// The next message is the line up to its line feed; what cannot be a line of this protocol is one as
// it is, so that it is looked at.
template <typename Plausible>
Measure measure_line(wire::Bytes bytes, Plausible&& plausible) {
  const std::string_view text = characters(bytes);
  const std::size_t end = text.find(kLineFeed);
  if (end != std::string_view::npos) return {Measure::Kind::whole, end + 1};
  if (plausible(text)) return {Measure::Kind::hold, 0};
  return {Measure::Kind::whole, text.size()};
}

// A line without its end, "\r\n" or "\n".
inline std::string_view without_end(std::string_view line) {
  if (line.ends_with(kLineFeed)) line.remove_suffix(1);
  if (line.ends_with(kReturn)) line.remove_suffix(1);
  return line;
}

// Whether the text begins with this word of upper-case letters, written in either case.
constexpr bool begins(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i)
    if (upper(text[i]) != word[i]) return false;
  return true;
}
// Whether the text begins with this word, or may do so when more of it has come.
constexpr bool may_begin(std::string_view text, std::string_view word) {
  return begins(text, word.substr(0, text.size()));
}

class Cursor {
 public:
  explicit Cursor(std::string_view text, std::size_t at = 0) : text_{text}, at_{at} {}

  std::size_t at() const { return at_; }
  std::string_view rest() const { return text_.substr(at_); }
  bool at_end() const { return at_ >= text_.size(); }

  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!rest().starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  std::size_t skip_blanks() {
    const std::size_t from = at_;
    while (!at_end() && text_[at_] == ' ') ++at_;
    return at_ - from;
  }
  // Up to this character, which stays.
  bool skip_to(char c) {
    const std::size_t found = text_.find(c, at_);
    if (found == std::string_view::npos) return false;
    at_ = found;
    return true;
  }
  // What stands before the next blank; empty if there is nothing.
  std::string_view word() {
    const std::string_view found = rest().substr(0, rest().find(' '));
    at_ += found.size();
    return found;
  }
  // A decimal number of at most this value, and of at most ten digits.
  std::optional<std::uint32_t> number(std::uint32_t most) {
    constexpr std::size_t kMostDigits = 10;
    std::uint32_t value = 0;
    const std::string_view digits = rest().substr(0, kMostDigits);
    const auto [stop, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (problem != std::errc{} || value > most) return std::nullopt;
    at_ += static_cast<std::size_t>(stop - digits.data());
    if (!at_end() && is_digit(text_[at_])) return std::nullopt;
    return value;
  }

 private:
  std::string_view text_;
  std::size_t at_;
};

}  // namespace masqgate::helper
