// Unit tests of masqctl's reading of event streams: pieces of any size, every truncation, lines for
// people.

#include <doctest/doctest.h>

#include "masqctl/event_commands.hpp"
#include "masqctl/event_parser.hpp"

using namespace masqgate::ctl;

namespace {

std::string parsed(std::string_view bytes, std::size_t piece) {
  EventParser parser;
  std::string text;
  const auto take = [&](const EventParser::Event& event) {
    text += event.id + "/" + event.type + "/" + event.data + ";";
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    REQUIRE(parser.feed(bytes.substr(at, piece), take));
  return text;
}

constexpr std::string_view kStream =
    "retry: 2000\nid: a-1\n\n:\n\nid: a-2\r\nevent: x.y\r\ndata: {\"a\":1}\r\n\r\n"
    ": words\ndata:1\ndata:  2\n\nid\ndata\n\nnothing: x\n\n";

}  // namespace

TEST_CASE("event stream: the same events in pieces of any size") {
  const std::string whole = "a-2/x.y/{\"a\":1};a-2//1\n 2;//;";
  for (std::size_t piece = 1; piece <= kStream.size(); ++piece)
    CHECK(parsed(kStream, piece) == whole);
  for (std::size_t size = 0; size <= kStream.size(); ++size)
    CHECK(whole.starts_with(parsed(kStream.substr(0, size), 7)));
}

TEST_CASE("event stream: what never ends is given up") {
  EventParser parser;
  const auto take = [](const EventParser::Event&) { FAIL("there is no event"); };
  std::size_t fed = 0;
  while (parser.feed("data: xxxxxxxxxxxxxxxx\n", take) && fed <= EventParser::kLongest) fed += 16;
  CHECK(fed <= EventParser::kLongest);
  EventParser line;
  CHECK_FALSE(line.feed(std::string(EventParser::kLongest + 1, 'x'), take));
}

TEST_CASE("event stream: an event is one line, whatever stands in it") {
  CHECK(event_line("a-1", "x.y", R"({"time": "now", "port": 1, "name": "a b\u001b[1m\n"})",
                   false) == "now x.y port=1 name=\"a b\\u001b[1m\\n\"\n");
  CHECK(event_line("a-1", "x.y", R"({"time": "now", "port": 1})", true) ==
        "{\"id\":\"a-1\",\"type\":\"x.y\",\"time\":\"now\",\"port\":1}\n");
  CHECK(event_line("a-1", "x.y", "{", false) == "- x.y\n");
}
