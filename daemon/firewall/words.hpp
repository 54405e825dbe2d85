// The grammar that matches and actions of documents share: negated terms, lists of them, marks.

#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/firewall/action.hpp"
#include "daemon/json/reader.hpp"

namespace masqgate::firewall {

using json::Json;
using json::Value;

template <typename Meaning, std::size_t n>
json::Words<Meaning> words(const std::array<std::pair<std::string_view, Meaning>, n>& all) {
  return all;
}

// One text, which a "!" in front negates.
struct Term {
  Value value;
  std::string text;
  bool negated;
  explicit Term(const Value& from) : Term{from, from.text()} {}
  Term(const Value& from, std::string read)
      : value{from}, text{std::move(read)}, negated{text.starts_with('!')} {
    if (negated) text.erase(0, 1);
  }
};

// A number may be written as text, too: 80 or "80".
Term number_term(const Value& value, std::uint32_t most);

std::string spell(bool negated, std::string_view text);

// One term or a list of them, negated all or none: ["!new", "!related"] is neither.
template <typename Read>
std::vector<Term> read_terms(const Value& value, Read read) {
  if (!value.json().is_array()) return {read(value)};
  std::vector<Term> terms;
  for (const Value& one : value.elements()) {
    terms.push_back(read(one));
    if (terms.back().negated != terms.front().negated)
      one.refuse("some of the list are negated with \"!\" and some are not; write two rules");
  }
  if (terms.empty()) value.refuse("the list is empty, so that nothing matches; leave it out");
  return terms;
}

Json write_terms(bool negated, const std::vector<std::string>& texts);

// A number in decimal or, behind "0x", hexadecimal digits, at most so large.
std::uint32_t read_number(const Value& value, std::string_view text, std::uint32_t most);
std::string hexadecimal(std::uint32_t number);

// The same without a limit but that of 64 bits.
std::uint64_t read_big_number(const Value& value, std::string_view text);

// Bits of a byte, as "0x10" or "0x10/0x1e"; the value must lie in the mask.
std::pair<std::uint8_t, std::uint8_t> read_byte_bits(const Value& value, std::string_view text);
std::string write_byte_bits(std::uint8_t value, std::uint8_t mask);

// "0x1", "1" or "0x10/0xf0"; the value must lie in the mask.
MarkBits read_mark(const Value& value, std::string_view text);
std::string write_mark(MarkBits bits);

}  // namespace masqgate::firewall
