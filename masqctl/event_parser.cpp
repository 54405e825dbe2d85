#include "masqctl/event_parser.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::ctl {

bool EventParser::feed(std::string_view bytes, const std::function<void(const Event&)>& take) {
  for (const char c : bytes) {
    if (c == '\n') {
      line(take);
      line_.clear();
    } else if (c != '\r') {
      line_ += c;
    }
    if (line_.size() + event_.data.size() > kLongest) return false;
  }
  return true;
}

// "field: value"; a line without a name is a comment, an empty one ends the event. The id stays for
// the next one.
void EventParser::line(const std::function<void(const Event&)>& take) {
  if (line_.empty()) {
    if (std::exchange(has_data_, false)) take(event_);
    event_.type.clear();
    event_.data.clear();
    return;
  }
  const std::size_t colon = std::min(line_.find(':'), line_.size());
  const std::string_view name = std::string_view{line_}.substr(0, colon);
  std::string_view value = std::string_view{line_}.substr(std::min(colon + 1, line_.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "id") event_.id = value;
  if (name == "event") event_.type = value;
  if (name != "data") return;
  if (std::exchange(has_data_, true)) event_.data += '\n';
  event_.data += value;
}

}  // namespace masqgate::ctl
