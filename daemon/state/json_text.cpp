#include "daemon/state/json_text.hpp"

#include <algorithm>
#include <set>

namespace masqgate::state {
namespace {

[[noreturn]] void refuse(const std::string& message, std::string pointer) {
  throw Error{Problem::malformed, message, std::move(pointer)};
}

// "line 3, column 7" of the byte at this offset, both counted from one.
std::string place(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is the start of the text
  return "line " + std::to_string(line) + ", column " +
         std::to_string(before.size() - line_start + 1);
}

// "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error …": what stands
// in front of the last sentence names classes of a library, not places of the document.
std::string reason(const std::string& what) {
  const std::size_t colon = what.find(": ");
  return colon == std::string::npos ? what : what.substr(colon + 2);
}

// Walks the document once without building it.
class Inspector : public nlohmann::json_sax<Json> {
 public:
  explicit Inspector(std::string_view text) : text_{text} {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_object(std::size_t) override { return enter(false); }
  bool start_array(std::size_t) override { return enter(true); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.here = pointer_part(name);
    if (!level.names.insert(name).second)
      refuse("the name \"" + name + "\" occurs twice", pointer());
    if (level.names.size() > kMaxMembers) refuse("an object has too many members", pointer());
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    refuse(reason(error.what()), place(text_, position == 0 ? 0 : position - 1));
  }

 private:
  struct Level {
    bool array = false;
    std::size_t index = 0;
    std::string here{};  // the member being read
    std::set<std::string> names{};
  };

  bool enter(bool array) {
    if (levels_.size() == kMaxDepth) refuse("the document is nested too deeply", pointer());
    levels_.push_back(Level{array});
    return true;
  }

  bool leave() {
    levels_.pop_back();
    return value();
  }

  bool value() {
    if (!levels_.empty()) ++levels_.back().index;
    return true;
  }

  std::string pointer() const {
    std::string path;
    for (const Level& level : levels_)
      path += "/" + (level.array ? std::to_string(level.index) : level.here);
    return path;
  }

  std::string_view text_;
  std::vector<Level> levels_;
};

}  // namespace

std::string pointer_part(std::string_view name) {
  std::string part;
  for (const char c : name) {
    if (c == '~')
      part += "~0";
    else if (c == '/')
      part += "~1";
    else
      part += c;
  }
  return part;
}

Json parse_json(std::string_view text) {
  if (text.size() > kMaxDocument) refuse("the document is larger than 1 MiB", {});
  constexpr bool kStrict = true, kIgnoreComments = true, kThrow = true;
  Inspector inspector{text};
  Json::sax_parse(text, &inspector, Json::input_format_t::json, kStrict, kIgnoreComments);
  return Json::parse(text, nullptr, kThrow, kIgnoreComments);
}

}  // namespace masqgate::state
