#include "daemon/firewall/words.hpp"

#include <charconv>
#include <optional>

namespace masqgate::firewall {

Term number_term(const Value& value, std::uint32_t most) {
  if (!value.json().is_number()) return Term{value};
  return {value, std::to_string(value.number(0, most))};
}

std::string spell(bool negated, std::string_view text) {
  return (negated ? "!" : "") + std::string{text};
}

Json write_terms(bool negated, const std::vector<std::string>& texts) {
  if (texts.size() == 1) return spell(negated, texts.front());
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(spell(negated, text));
  return list;
}

namespace {

// In decimal or, behind "0x", hexadecimal digits.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  const bool is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = text.substr(is_hexadecimal ? 2 : 0);
  std::uint64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [last, error] = std::from_chars(digits.data(), end, number, is_hexadecimal ? 16 : 10);
  if (digits.empty() || error != std::errc{} || last != end) return std::nullopt;
  return number;
}

// Both of "1/3"; the mask is all where there is none.
std::pair<std::uint32_t, std::uint32_t> read_bits(const Value& value, std::string_view text,
                                                  std::uint32_t all) {
  const std::size_t slash = text.find('/');
  const std::uint32_t bits = read_number(value, text.substr(0, slash), all);
  const std::uint32_t mask =
      slash == std::string_view::npos ? all : read_number(value, text.substr(slash + 1), all);
  if ((bits & ~mask) != 0) value.refuse(Value::quoted(text) + " has bits that are not in its mask");
  return {bits, mask};
}

std::string write_bits(std::uint32_t bits, std::uint32_t mask, std::uint32_t all) {
  return hexadecimal(bits) + (mask == all ? "" : "/" + hexadecimal(mask));
}

}  // namespace

std::uint32_t read_number(const Value& value, std::string_view text, std::uint32_t most) {
  const auto number = parse_number(text);
  if (!number || *number > most)
    value.refuse(Value::quoted(text) + " is no number from 0 to " + std::to_string(most) + " (" +
                 hexadecimal(most) + ")");
  return static_cast<std::uint32_t>(*number);
}

std::uint64_t read_big_number(const Value& value, std::string_view text) {
  const auto number = parse_number(text);
  if (!number) value.refuse(Value::quoted(text) + " is no number of 64 bits");
  return *number;
}

std::pair<std::uint8_t, std::uint8_t> read_byte_bits(const Value& value, std::string_view text) {
  const auto [bits, mask] = read_bits(value, text, 0xff);
  return {static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(mask)};
}

std::string write_byte_bits(std::uint8_t value, std::uint8_t mask) {
  return write_bits(value, mask, 0xff);
}

std::string hexadecimal(std::uint32_t number) {
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, 16).ptr;
  return "0x" + std::string(digits, end);
}

MarkBits read_mark(const Value& value, std::string_view text) {
  const auto [bits, mask] = read_bits(value, text, 0xffffffff);
  return {bits, mask};
}

std::string write_mark(MarkBits bits) {
  return write_bits(bits.value, bits.mask, 0xffffffff);
}

}  // namespace masqgate::firewall
