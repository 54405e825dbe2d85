#include "daemon/state/events.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace masqgate::state {
namespace {

constexpr std::string_view kMissed = "missed";

// RFC 3339, in UTC, to the millisecond.
std::string time_text() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto all = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = all / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text.data() + size, text.size() - size, ".%03dZ", static_cast<int>(all % 1000));
  return text.data();
}

// Names of programs come from outside: nothing but ASCII leaves, so that no reader has to think
// about characters and no line is broken.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

[[noreturn]] void refuse_id() {
  throw Error{Problem::malformed, "Last-Event-ID names no event that this router has sent"};
}

bool is_start(std::string_view text) {
  return !text.empty() && text.size() <= 16 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace

Events::Events(std::string start) : Events{std::move(start), Limits{}} {}

Events::Events(std::string start, const Limits& limits)
    : start_{std::move(start)}, limits_{limits} {
  if (!is_start(start_)) throw std::logic_error("events: a start is hexadecimal");
  declare(std::string{kMissed}, "Events before this one were not told to this reader.");
}

void Events::declare(std::string type, std::string summary) {
  if (!types_.emplace(type, std::move(summary)).second)
    throw std::logic_error("events: " + type + " is declared");
}

void Events::publish(std::string_view type, const Json& data) {
  if (!types_.contains(type)) throw std::logic_error("events: undeclared " + std::string{type});
  Json whole{{"time", time_text()}};
  Json only_time = whole;
  whole.update(data);
  Kept kept{std::string{type}, line_of(whole)};
  if (kept.data.size() > limits_.largest) {
    only_time["too_long"] = true;
    kept.data = line_of(only_time);
  }
  kept_ += size_of(kept);
  ring_.push_back(std::move(kept));
  ++last_;
  while (ring_.size() > limits_.events || kept_ > limits_.bytes) {
    kept_ -= size_of(ring_.front());
    ring_.pop_front();
  }
  for (EventReader* reader : readers_)
    if (reader->on_news_) reader->on_news_();
}

std::string Events::id_of(std::uint64_t number) const {
  return start_ + "-" + std::to_string(number);
}

Events::Place Events::place_of(std::string_view id) const {
  const std::size_t dash = id.find('-');
  if (dash == std::string_view::npos || !is_start(id.substr(0, dash))) refuse_id();
  Place place;
  const std::string_view digits = id.substr(dash + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), place.number);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) refuse_id();
  place.other_start = id.substr(0, dash) != start_;
  if (!place.other_start && place.number > last_) refuse_id();
  return place;
}

std::set<std::string, std::less<>> Events::types_of(std::string_view list) const {
  std::set<std::string, std::less<>> wanted;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string_view word = list.substr(at, end - at);
    at = end + 1;
    const std::size_t before = wanted.size();
    for (const auto& [type, summary] : types_)
      if (type == word || (type.starts_with(word) && type.substr(word.size()).starts_with('.')))
        wanted.insert(type);
    if (wanted.size() != before || wanted.contains(word)) continue;
    std::string known;
    for (const auto& [type, summary] : types_) known += (known.empty() ? "" : ", ") + type;
    throw Error{Problem::malformed, "types: \"" + std::string{word} + "\" is none of " + known};
  }
  return wanted;
}

std::string Events::text() const {
  std::string text;
  for (std::uint64_t number = first(); number <= last_; ++number)
    text += id_of(number) + " " + at(number).type + " " + at(number).data + "\n";
  return text;
}

EventReader::EventReader(std::shared_ptr<Events> events, std::set<std::string, std::less<>> types,
                         std::optional<std::string_view> last_id)
    : events_{std::move(events)}, types_{std::move(types)}, had_{events_->last_} {
  if (events_->readers_.size() >= events_->limits_.readers)
    throw Error{Problem::unavailable, "too many follow the events already"};
  if (last_id) {
    const Events::Place place = events_->place_of(*last_id);
    const std::uint64_t before = events_->first() - 1;  // the newest that is not kept
    if (place.other_start)
      missed_ = Json{{"why", "the router was started anew"}};
    else if (place.number < before)
      missed_ = Json{{"why", "they are not kept any more"}, {"events", before - place.number}};
    had_ = missed_ ? before : place.number;
  }
  events_->readers_.push_back(this);
}

EventReader::~EventReader() {
  std::erase(events_->readers_, this);
}

std::optional<Events::Event> EventReader::next() {
  if (fell_behind())
    missed_ = Json{{"why", "they came faster than they were read"},
                   {"events", events_->first() - 1 - had_}};
  if (missed_) {
    Json data{{"time", time_text()}};
    data.update(*missed_);
    missed_.reset();
    had_ = std::max(had_, events_->first() - 1);
    return Events::Event{id(), std::string{kMissed}, line_of(data)};
  }
  while (had_ < events_->last_) {
    const Events::Kept& kept = events_->at(++had_);
    if (wants(kept.type)) return Events::Event{id(), kept.type, kept.data};
  }
  return std::nullopt;
}

}  // namespace masqgate::state
