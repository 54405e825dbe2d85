#include "daemon/firewall/words.hpp"

#include <charconv>

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

std::uint32_t read_number(const Value& value, std::string_view text, std::uint32_t most) {
  const bool is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = text.substr(is_hexadecimal ? 2 : 0);
  std::uint64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [last, error] = std::from_chars(digits.data(), end, number, is_hexadecimal ? 16 : 10);
  if (digits.empty() || error != std::errc{} || last != end || number > most)
    value.refuse(Value::quoted(text) + " is no number from 0 to " + std::to_string(most) + " (" +
                 hexadecimal(most) + ")");
  return static_cast<std::uint32_t>(number);
}

std::string hexadecimal(std::uint32_t number) {
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, 16).ptr;
  return "0x" + std::string(digits, end);
}

MarkBits read_mark(const Value& value, std::string_view text) {
  constexpr std::uint32_t kMost = 0xffffffff;
  const std::size_t slash = text.find('/');
  MarkBits bits{read_number(value, text.substr(0, slash), kMost), kMost};
  if (slash != std::string_view::npos)
    bits.mask = read_number(value, text.substr(slash + 1), kMost);
  if ((bits.value & ~bits.mask) != 0)
    value.refuse(Value::quoted(text) + " has bits of the mark that are not in its mask");
  return bits;
}

std::string write_mark(MarkBits bits) {
  const std::string value = hexadecimal(bits.value);
  return bits.mask == 0xffffffff ? value : value + "/" + hexadecimal(bits.mask);
}

}  // namespace masqgate::firewall
