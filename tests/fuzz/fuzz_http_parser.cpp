// Fuzz target: requests from untrusted bytes mean the same however the network cuts them.
//
// The first byte chooses the size of the pieces; what follows is read as a row of requests, once
// whole and once in pieces.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "web/http_parser.hpp"

using masqgate::web::Request;
using masqgate::web::RequestParser;

namespace {

using State = RequestParser::State;

struct Reading {
  std::vector<std::string> requests;  // in an order of fields that shows every difference
  bool refused = false;
};

std::string describe(const Request& request) {
  std::string text = request.method + "\n" + request.target + "\n" + request.body + "\n";
  text += request.keep_alive ? 'k' : '-';
  text += request.expects_continue ? 'e' : '-';
  for (const auto& field : request.fields) text += field.name + ":" + field.value + "\n";
  return text;
}

Reading read(std::string_view bytes, std::size_t piece) {
  Reading reading;
  std::string pending;
  RequestParser parser;
  for (std::size_t at = 0; at < bytes.size() && !reading.refused; at += piece) {
    pending += bytes.substr(at, piece);
    for (;;) {
      const std::size_t used = parser.feed(pending);
      if (used > pending.size()) std::abort();
      pending.erase(0, used);
      if (parser.state() != State::complete) break;
      reading.requests.push_back(describe(parser.request()));
      parser = RequestParser{};
      if (pending.empty()) break;
    }
    reading.refused = parser.state() == State::refused;
    // What a session holds while it waits for more is bounded by one head and one read.
    if (!reading.refused && pending.size() > (16 << 10) + piece) std::abort();
  }
  return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text{data + 1, data + size};
  const Reading whole = read(text, text.size() + 1);
  const Reading cut = read(text, 1 + data[0] % 64);
  // When a broken request is found to be broken may differ, what is accepted may not.
  if (whole.requests != cut.requests) std::abort();
  return 0;
}
