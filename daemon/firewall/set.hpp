// Named sets: addresses and networks, ports, or link-layer addresses, of which rules ask by name.
//
// Immutable. A new one takes the old one's place together with the ruleset that refers to it, and
// the rules that do stay the same rules, with what they have counted: they name it, no more.
//
// An element may have a time-out. It has an end then, a moment of the clock, and whoever asks says
// what time it is: from its end on the element is not there, for packets and in documents alike. A
// set that takes the place of another one goes on with the time of elements that it has in common
// with it.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/json/reader.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/net/ip_address.hpp"
#include "daemon/net/mac_address.hpp"

namespace masqgate::firewall {

enum class SetKind : std::uint8_t { addresses, ports, macs };

class NamedSet {
 public:
  static constexpr std::size_t kMost = 1u << 20;                    // elements
  static constexpr std::chrono::seconds kLongest{365 * 24 * 3600};  // of a time-out
  static constexpr Time kNever = Time::max();

  // {"addresses": ["10.0.0.0/8", "192.0.2.1-192.0.2.9"]}, {"ports": [80, "8000-8080"]} or
  // {"macs": ["02:00:00:00:00:05"]}; "timeout": seconds, of all elements that say nothing else;
  // {"element": 80, "timeout": 60, "expires": 37} says it, and what is left of it. before: the set
  // whose place this one takes. Throws json::Error.
  static NamedSet from_json(const json::Value& value, Time now = {},
                            const NamedSet* before = nullptr);
  // What is there at this time: as from_json() reads it; and with what is left of each time-out.
  json::Json to_json(Time now = {}) const { return written(now, false); }
  json::Json shown(Time now) const { return written(now, true); }

  SetKind kind() const { return kind_; }
  std::size_t size() const { return elements_.size(); }  // as they were written

  bool contains(net::IpAddress address, Time now) const noexcept;
  bool contains(net::Port port, Time now) const noexcept {
    return (ports_[port / 64] >> port % 64 & 1) != 0 ||
           (!port_ends_.empty() && now < port_ends_[port]);
  }
  bool contains(net::MacAddress mac, Time now) const noexcept;

  // The first end of an element after now; kNever if there is none.
  Time next_end(Time now) const noexcept;

 private:
  struct Element {
    std::string text;
    std::chrono::seconds timeout{};  // 0: none
    Time end = kNever;
  };
  struct Span {
    net::IpAddress first, last;
    Time end = kNever;
  };
  struct Mac {
    net::MacAddress address;
    Time end = kNever;
  };
  class Reader;

  json::Json written(Time now, bool with_rest) const;

  SetKind kind_ = SetKind::addresses;
  std::chrono::seconds timeout_{};  // of elements that say nothing else; 0: none
  std::vector<Element> elements_;
  std::vector<Span> spans_;           // in order, none touching another
  std::vector<std::uint64_t> ports_;  // a bit for each that is there for ever
  std::vector<Time> port_ends_;       // of the others; empty if there are none
  std::vector<Mac> macs_;             // in order
  std::vector<Time> ends_;            // in order
};

using Sets = std::map<std::string, std::shared_ptr<const NamedSet>, std::less<>>;

}  // namespace masqgate::firewall
