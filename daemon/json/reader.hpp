// Reads JSON documents strictly: every value knows the way to itself (RFC 6901), so that whatever
// is wrong is refused with a pointer and a sentence that says what to do.
//
// Nothing is guessed: unknown members, wrong types and numbers out of range are errors. Runs on the
// control thread only. Text becomes a document in daemon/state/json_text.hpp.

#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace masqgate::json {

using Json = nlohmann::ordered_json;

class Error : public std::runtime_error {
 public:
  Error(std::string pointer, const std::string& sentence)
      : std::runtime_error{sentence}, pointer_{std::move(pointer)} {}
  const std::string& pointer() const { return pointer_; }  // "" is the document

 private:
  std::string pointer_;
};

// The words of a closed set, as they stand in documents.
template <typename Value>
using Words = std::span<const std::pair<std::string_view, Value>>;

template <typename Value>
constexpr std::string_view word_of(Words<Value> words, Value value) {
  for (const auto& [word, meaning] : words)
    if (meaning == value) return word;
  return {};
}

// A value and the way to it. Borrows the document. All reading functions throw Error.
class Value {
 public:
  explicit Value(const Json& json, std::string pointer = {})
      : json_{&json}, pointer_{std::move(pointer)} {}

  const Json& json() const { return *json_; }
  const std::string& pointer() const { return pointer_; }
  [[noreturn]] void refuse(const std::string& sentence) const;

  bool boolean() const;
  std::uint64_t number(std::uint32_t least, std::uint32_t most) const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  const std::string& text() const;
  std::vector<Value> elements() const;                         // of an array
  std::vector<std::pair<std::string, Value>> members() const;  // of an object, in their order

  // Refuses what is no object, and members that are not among these.
  const Value& allow(std::span<const std::string_view> known) const;
  const Value& allow(std::initializer_list<std::string_view> known) const {
    return allow(std::span{known.begin(), known.size()});
  }
  std::optional<Value> find(std::string_view member) const;
  Value at(std::string_view member) const;  // refuses the object where it is missing

  // text() as one of these words.
  template <typename Meaning>
  Meaning word(Words<Meaning> words) const {
    return word(text(), words);
  }
  // The same for a part of text().
  template <typename Meaning>
  Meaning word(std::string_view part, Words<Meaning> words) const {
    std::string known;
    for (const auto& [name, meaning] : words) {
      if (name == part) return meaning;
      known += (known.empty() ? "" : ", ") + std::string{name};
    }
    refuse(quoted(part) + " is none of: " + known);
  }

  static std::string quoted(std::string_view text);  // as JSON, cut off where it is very long

 private:
  std::string way_to(const std::string& member) const;

  const Json* json_;
  std::string pointer_;
};

}  // namespace masqgate::json
