// What happens, told to whoever follows it: a ring of past events, and readers that stand in it.
//
//   publish() ──▶ | 41 | 42 | 43 | 44 |      nothing is copied for a reader before he asks for it;
//                        ▲         ▲         whom the ring has passed over has fallen behind
//                     reader    reader
//
// Rooms publish without knowing who reads; doors read without knowing what a type means. An event's
// id is "START-NUMBER": START is another one each time the router starts, so that nobody takes a
// number of an earlier life for one of this. Who comes with the last id that he has seen goes on
// behind it; where that cannot be, he is told in an event `missed`.
//
// Limits: events and bytes that are kept, and readers. All on the control thread.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/state/tree.hpp"

namespace masqgate::state {

class EventReader;

class Events {
 public:
  struct Limits {
    std::size_t events = 1024;      // that are kept …
    std::size_t bytes = 512 << 10;  // … and their bytes
    std::size_t readers = 16;       // each holds a connection
    std::size_t largest = 4096;  // bytes of one event's data; of a longer one only the time stays
  };
  struct Event {
    std::string id;
    std::string type;
    std::string data;  // one JSON object in one line of ASCII
  };

  // start: one to sixteen hexadecimal digits that no other start has.
  explicit Events(std::string start);
  Events(std::string start, const Limits& limits);
  Events(const Events&) = delete;

  // What may be published: "room.what". Declaring twice is a mistake in the program.
  void declare(std::string type, std::string summary);
  const std::map<std::string, std::string, std::less<>>& types() const { return types_; }
  // An object; the time is added to it. A type that was not declared is a mistake in the program.
  void publish(std::string_view type, const Json& data);

  // The event that a `Last-Event-ID` names: malformed if it is none that was ever given out.
  struct Place {
    bool other_start = false;
    std::uint64_t number = 0;
  };
  Place place_of(std::string_view id) const;
  // Types of a list "a,b"; "room" stands for all of the room's. Throws malformed with the known
  // ones.
  std::set<std::string, std::less<>> types_of(std::string_view list) const;

  // The ones that are kept, a line each: time, type, the rest.
  std::string text() const;
  std::size_t readers() const { return readers_.size(); }

 private:
  friend class EventReader;
  struct Kept {
    std::string type, data;
  };
  static std::size_t size_of(const Kept& kept) { return kept.type.size() + kept.data.size() + 64; }
  std::uint64_t first() const { return last_ - ring_.size() + 1; }  // number of the oldest kept
  const Kept& at(std::uint64_t number) const { return ring_[number - first()]; }
  std::string id_of(std::uint64_t number) const;

  std::string start_;
  Limits limits_;
  std::map<std::string, std::string, std::less<>> types_;
  std::deque<Kept> ring_;
  std::size_t kept_ = 0;    // bytes
  std::uint64_t last_ = 0;  // number of the newest; 0: none yet
  std::vector<EventReader*> readers_;
};

// Somebody who follows.
class EventReader {
 public:
  // From now on; or behind the event with this id. types: empty for all. Throws Error: malformed,
  // or unavailable if there are too many.
  EventReader(std::shared_ptr<Events> events, std::set<std::string, std::less<>> types,
              std::optional<std::string_view> last_id);
  EventReader(const EventReader&) = delete;
  ~EventReader();

  // The next one that it wants; empty if it has had all.
  std::optional<Events::Event> next();
  // Where it stands: who comes back with this id misses nothing.
  std::string id() const { return events_->id_of(had_); }
  // What it has not had yet is not kept any more; next() would say so.
  bool fell_behind() const { return had_ + 1 < events_->first(); }
  // Called when there is news. Must not destroy readers.
  void on_news(std::function<void()> call) { on_news_ = std::move(call); }

 private:
  friend class Events;
  bool wants(std::string_view type) const { return types_.empty() || types_.contains(type); }

  std::shared_ptr<Events> events_;
  std::set<std::string, std::less<>> types_;
  std::uint64_t had_ = 0;       // number of the last one that it has had, wanted or not
  std::optional<Json> missed_;  // to be said first
  std::function<void()> on_news_;
};

}  // namespace masqgate::state
