// Unit tests of the room for events: rings, readers, places to go on from, and what strangers send as
// one.

#include <doctest/doctest.h>

#include <string>

#include "daemon/state/events.hpp"

using namespace masqgate::state;

namespace {

struct Room {
  explicit Room(const Events::Limits& limits = {.events = 4, .readers = 2})
      : room{std::make_shared<Events>("1a", limits)} {
    events.declare("room.one", "one");
    events.declare("room.two", "two");
    events.declare("other", "other");
  }
  void publish(const char* type, int number) { events.publish(type, Json{{"n", number}}); }
  std::shared_ptr<Events> room;
  Events& events{*room};
};

// "one 1 | two 2": all that the reader gets now.
std::string all(EventReader& reader) {
  std::string text;
  while (const auto event = reader.next()) {
    const Json data = Json::parse(event->data);
    CHECK(data.at("time").get<std::string>().size() == 24);
    text += (text.empty() ? "" : " | ") + event->type;
    if (data.contains("n")) text += " " + data["n"].dump();
    if (data.contains("events")) text += " of " + data["events"].dump();
  }
  return text;
}

Problem problem_of(auto call) {
  try {
    call();
  } catch (const Error& error) {
    return error.problem();
  }
  return Problem::not_found;
}

}  // namespace

TEST_CASE("events: who reads from now on gets what comes, of the types that he wants") {
  Room room;
  room.publish("room.one", 1);
  EventReader everything{room.room, {}, {}}, one{room.room, {"room.one"}, {}};
  CHECK(all(everything).empty());
  room.publish("room.two", 2);
  room.publish("room.one", 3);
  room.publish("other", 4);
  CHECK(all(everything) == "room.two 2 | room.one 3 | other 4");
  CHECK(all(one) == "room.one 3");
  CHECK(all(one).empty());
  CHECK(one.id() == "1a-4");  // it has had what it does not want, too
}

TEST_CASE("events: who comes back with his last id misses nothing") {
  Room room;
  for (int n = 1; n <= 3; ++n) room.publish("other", n);
  for (int had = 0; had <= 3; ++had) {
    const std::string id = "1a-" + std::to_string(had);
    EventReader reader{room.room, {}, id};
    std::string wanted;
    for (int n = had + 1; n <= 3; ++n)
      wanted += (wanted.empty() ? "other " : " | other ") + std::to_string(n);
    CHECK(all(reader) == wanted);
  }
}

TEST_CASE("events: what is not kept any more is told, and so is another start") {
  Room room;
  for (int n = 1; n <= 7; ++n) room.publish("other", n);
  EventReader late{room.room, {"room.one"}, "1a-1"};
  CHECK(all(late) == "missed of 2");  // whatever types he wants
  EventReader elsewhere{room.room, {}, "2b-100"};
  CHECK(all(elsewhere) == "missed | other 4 | other 5 | other 6 | other 7");
}

TEST_CASE("events: a reader whom the ring passes over has fallen behind") {
  Room room;
  EventReader reader{room.room, {}, {}};
  for (int n = 1; n <= 4; ++n) room.publish("other", n);
  CHECK_FALSE(reader.fell_behind());
  room.publish("other", 5);
  CHECK(reader.fell_behind());
  CHECK(all(reader) == "missed of 1 | other 2 | other 3 | other 4 | other 5");
  CHECK_FALSE(reader.fell_behind());
}

TEST_CASE("events: the ring is bounded in bytes too, and one event is") {
  Room room{{.events = 1000, .bytes = 2000, .largest = 300}};
  EventReader reader{room.room, {}, "1a-0"};
  for (int n = 1; n <= 100; ++n)
    room.events.publish("other", Json{{"n", n}, {"text", std::string(100, 'x')}});
  CHECK(room.events.text().size() < 2000);
  CHECK(reader.fell_behind());
  room.events.publish("other", Json{{"n", 1}, {"text", std::string(400, 'x')}});
  EventReader last{room.room, {}, "1a-100"};
  const auto event = last.next();
  REQUIRE(event);
  CHECK(Json::parse(event->data).at("too_long") == true);
  CHECK_FALSE(Json::parse(event->data).contains("text"));
}

TEST_CASE("events: readers are woken, and there is a limit to them") {
  Room room;
  int woken = 0;
  EventReader first{room.room, {}, {}};
  first.on_news([&] { ++woken; });
  {
    EventReader second{room.room, {}, {}};
    CHECK(problem_of([&] { EventReader third{room.room, {}, {}}; }) == Problem::unavailable);
  }
  CHECK(room.events.readers() == 1);
  room.publish("other", 1);
  CHECK(woken == 1);
}

TEST_CASE("events: a place is one that was given out, or it is refused") {
  Room room;
  room.publish("other", 1);
  for (const char* id : {"", "-", "1a", "1a-", "-1", "1a-2", "1a-x", "1a--1", "1a-1 ", " 1a-1",
                         "1A-1", "1a-18446744073709551616", "1a-1-1", "11112222333344445-1"}) {
    CAPTURE(id);
    CHECK(problem_of([&] { room.events.place_of(id); }) == Problem::malformed);
  }
  CHECK_FALSE(room.events.place_of("1a-0").other_start);
  CHECK(room.events.place_of("b-99").other_start);
  const std::string whole = "1111222233334444-1234";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const bool has_number = size > whole.find('-') + 1;
    CAPTURE(size);
    CHECK((problem_of([&] { room.events.place_of(whole.substr(0, size)); }) ==
           Problem::malformed) != has_number);
  }
}

TEST_CASE("events: types are named one by one or as all of a room") {
  Room room;
  using Types = std::set<std::string, std::less<>>;
  CHECK(room.events.types_of("other") == Types{"other"});
  CHECK(room.events.types_of("room,other") == Types{"other", "room.one", "room.two"});
  CHECK(room.events.types_of("room,room.one") == Types{"room.one", "room.two"});
  for (const char* list : {"", ",", "roo", "room.", "room.one,", "other,,other", "x", "other "}) {
    CAPTURE(list);
    CHECK(problem_of([&] { room.events.types_of(list); }) == Problem::malformed);
  }
}

TEST_CASE("events: whatever a program calls itself, an event is one line of ASCII") {
  Room room;
  room.events.publish("other", Json{{"name", "a\nb\r\x7f\xff\xc3\xa4"}});
  EventReader reader{room.room, {}, "1a-0"};
  const auto event = reader.next();
  REQUIRE(event);
  for (const char c : event->data) CHECK((c >= ' ' && c <= '~'));
  CHECK_THROWS_AS(room.events.publish("nothing", Json::object()), std::logic_error);
  CHECK_THROWS_AS(room.events.declare("other", ""), std::logic_error);
}
