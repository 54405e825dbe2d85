#include "daemon/json/reader.hpp"

#include <algorithm>

namespace masqgate::json {
namespace {

// "a number" and so on, for sentences.
std::string kind_of(const Json& json) {
  switch (json.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a text";
    case Json::value_t::boolean:
      return json.get<bool>() ? "true" : "false";
    case Json::value_t::null:
      return "null";
    default:
      return "the number " + json.dump();
  }
}

}  // namespace

std::string Value::way_to(const std::string& member) const {
  return pointer_ + (Json::json_pointer{} / member).to_string();
}

void Value::refuse(const std::string& sentence) const {
  throw Error{pointer_, sentence};
}

std::string Value::quoted(std::string_view text) {
  constexpr std::size_t kMost = 64;
  return Json(std::string{text.substr(0, kMost)})
             .dump(-1, ' ', false, Json::error_handler_t::replace) +
         (text.size() > kMost ? "…" : "");
}

bool Value::boolean() const {
  if (!json_->is_boolean()) refuse("must be true or false, and is " + kind_of(*json_));
  return json_->get<bool>();
}

std::int64_t Value::integer(std::int64_t least, std::int64_t most) const {
  const bool fits = json_->is_number_integer() &&
                    !(json_->is_number_unsigned() && json_->get<std::int64_t>() < 0);
  const std::int64_t value = fits ? json_->get<std::int64_t>() : 0;
  if (!fits || value < least || value > most)
    refuse("must be a whole number from " + std::to_string(least) + " to " + std::to_string(most) +
           ", and is " + kind_of(*json_));
  return value;
}

std::uint64_t Value::number(std::uint32_t least, std::uint32_t most) const {
  return static_cast<std::uint64_t>(integer(least, most));
}

const std::string& Value::text() const {
  if (!json_->is_string()) refuse("must be a text in quotes, and is " + kind_of(*json_));
  return json_->get_ref<const std::string&>();
}

std::vector<Value> Value::elements() const {
  if (!json_->is_array()) refuse("must be a list in [ ], and is " + kind_of(*json_));
  std::vector<Value> out;
  for (std::size_t i = 0; i < json_->size(); ++i)
    out.emplace_back((*json_)[i], way_to(std::to_string(i)));
  return out;
}

std::vector<std::pair<std::string, Value>> Value::members() const {
  if (!json_->is_object()) refuse("must be an object in { }, and is " + kind_of(*json_));
  std::vector<std::pair<std::string, Value>> out;
  for (const auto& [name, json] : json_->items()) out.emplace_back(name, Value{json, way_to(name)});
  return out;
}

const Value& Value::allow(std::span<const std::string_view> known) const {
  for (const auto& [name, value] : members()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    std::string names;
    for (const std::string_view one : known)
      names += (names.empty() ? "" : ", ") + std::string{one};
    value.refuse("unknown member " + quoted(name) + "; known here: " + names);
  }
  return *this;
}

std::optional<Value> Value::find(std::string_view member) const {
  const std::string name{member};
  const auto found = json_->find(name);
  if (found == json_->end()) return std::nullopt;
  return Value{*found, way_to(name)};
}

Value Value::at(std::string_view member) const {
  auto found = find(member);
  if (!found) refuse("the member " + quoted(member) + " is missing");
  return *std::move(found);
}

}  // namespace masqgate::json
