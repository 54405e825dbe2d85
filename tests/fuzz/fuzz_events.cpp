// Fuzzes what strangers say about events: Last-Event-ID, ?types=, and the stream as masqctl reads it.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/state/events.hpp"
#include "masqctl/event_parser.hpp"

using namespace masqgate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  static const auto events = [] {
    auto made = std::make_shared<state::Events>("1a2b");
    made->declare("room.one", "");
    made->declare("other", "");
    for (int i = 0; i < 3; ++i) made->publish("other", {{"n", i}});
    return made;
  }();
  try {
    if (data[0] == 0) {
      state::EventReader reader{events, {}, text};
      int count = 0;
      while (reader.next()) ++count;
      if (count > 4) std::abort();
    }
    if (data[0] == 1 && events->types_of(text).empty()) std::abort();
  } catch (const state::Error&) {
    return 0;
  }
  if (data[0] != 2) return 0;
  ctl::EventParser parser;
  const auto take = [](const ctl::EventParser::Event& event) {
    if (event.data.size() > ctl::EventParser::kLongest) std::abort();
  };
  if (parser.feed(text.substr(0, text.size() / 2), take))
    parser.feed(text.substr(text.size() / 2), take);
  return 0;
}
