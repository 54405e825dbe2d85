// Events out of the bytes of a stream (WHATWG HTML, section 9.2.6), in pieces of any size.

#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace masqgate::ctl {

class EventParser {
 public:
  static constexpr std::size_t kLongest = 64 << 10;  // bytes of one event
  struct Event {
    std::string id, type, data;
  };

  // False if an event is longer than any that a router sends; nothing behind it is understood.
  bool feed(std::string_view bytes, const std::function<void(const Event&)>& take);

 private:
  void line(const std::function<void(const Event&)>& take);

  std::string line_;
  Event event_;
  bool has_data_ = false;
};

}  // namespace masqgate::ctl
