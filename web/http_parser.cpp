#include "web/http_parser.hpp"

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

namespace masqgate::web {
namespace {

namespace http = boost::beast::http;

std::string text(boost::beast::string_view view) {
  return {view.data(), view.size()};
}

Refusal explain(const boost::beast::error_code& error) {
  if (error == http::error::header_limit)
    return {431, "the request line and the header fields are too long"};
  if (error == http::error::body_limit) return {413, "the content is too long"};
  return {400, "this is no HTTP/1.1 request: " + error.message()};
}

// "0\r\n\r\n": whatever is left of a chunked body is at least as long. Beast takes that for granted
// and fails an assertion where an empty body arrives in smaller pieces.
constexpr std::size_t kShortestChunkedEnd = 5;

bool all_digits(std::string_view value) {
  return !value.empty() && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
}

// What the grammar allows but two readers could understand differently (request smuggling), and
// what RFC 9112 asks of a server. An empty detail says that the head is fine.
Refusal check_head(const Request& request) {
  const std::size_t hosts = count_fields(request.fields, "Host");
  if (hosts > 1) return {400, "more than one Host field"};
  if (hosts == 0 && !request.http_1_0) return {400, "the Host field is missing"};
  const std::string* length = find_field(request.fields, "Content-Length");
  const std::string* coding = find_field(request.fields, "Transfer-Encoding");
  if (length != nullptr) {
    if (coding != nullptr) return {400, "both Content-Length and Transfer-Encoding"};
    if (count_fields(request.fields, "Content-Length") > 1 || !all_digits(*length))
      return {400, "Content-Length is not one number"};
  }
  if (coding != nullptr) {
    if (request.http_1_0) return {400, "HTTP/1.0 knows no Transfer-Encoding"};
    if (count_fields(request.fields, "Transfer-Encoding") > 1)
      return {400, "more than one Transfer-Encoding field"};
    if (!same_word(*coding, "chunked"))
      return {501, "the only transfer coding understood is chunked"};
  }
  const std::string* expect = find_field(request.fields, "Expect");
  if (expect != nullptr && !same_word(*expect, "100-continue"))
    return {417, "the only expectation understood is 100-continue"};
  return {200, {}};
}

}  // namespace

struct RequestParser::Machine {
  explicit Machine(ParserLimits given) : limits{given} {
    parser.header_limit(static_cast<std::uint32_t>(limits.head));
    parser.body_limit(limits.body);
  }

  void refuse(Refusal why) {
    refusal = std::move(why);
    state = State::refused;
  }

  // One step of Beast's machine: the head up to its end, a piece of the body, or one chunk line.
  // Returns the bytes used; zero means that more are needed, or that it is over.
  std::size_t step(std::string_view bytes) {
    if (state == State::body && parser.chunked() && bytes.size() < kShortestChunkedEnd) return 0;
    boost::beast::error_code error;
    const std::size_t used = parser.put({bytes.data(), bytes.size()}, error);
    if (state == State::head) head_bytes += used;
    if (error && error != http::error::need_more) {
      refuse(explain(error));
      return used;
    }
    const std::size_t waiting = bytes.size() - used;
    if (state == State::head && head_bytes + (parser.is_header_done() ? 0 : waiting) > limits.head)
      refuse(explain(http::error::header_limit));
    else if (state == State::body && error == http::error::need_more && waiting > limits.head)
      refuse({431, "a chunk extension or the trailer is too long"});
    else if (state == State::head && parser.is_header_done())
      take_head();
    if (state != State::refused && parser.is_done()) take_body();
    return used;
  }

  void take_head() {
    const auto& message = parser.get();
    request.method = text(message.method_string());
    request.target = text(message.target());
    request.http_1_0 = message.version() == 10;
    request.keep_alive = parser.keep_alive();
    request.has_body = !parser.is_done();
    for (const auto& field : message)
      request.fields.push_back({text(field.name_string()), text(field.value())});
    request.expects_continue =
        !request.http_1_0 && find_field(request.fields, "Expect") != nullptr && request.has_body;
    Refusal verdict = check_head(request);
    if (verdict.detail.empty())
      state = State::body;
    else
      refuse(std::move(verdict));
  }

  void take_body() {
    request.body = std::move(parser.get().body());
    state = State::complete;
  }

  ParserLimits limits;
  http::request_parser<http::string_body> parser;
  State state = State::head;
  std::size_t head_bytes = 0;
  Request request;
  Refusal refusal;
};

RequestParser::RequestParser(ParserLimits limits) : machine_{std::make_unique<Machine>(limits)} {}
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes) {
  Machine& machine = *machine_;
  std::size_t used = 0;
  // RFC 9112 section 2.2: an empty line in front of a request line is read over.
  if (machine.state == State::head && machine.head_bytes == 0 && bytes.starts_with("\r\n"))
    machine.head_bytes = used = 2;
  if (machine.head_bytes == 0 && bytes == "\r") return 0;
  while (machine.state == State::head || machine.state == State::body) {
    if (used == bytes.size()) break;
    const State before = machine.state;
    const std::size_t step = machine.step(bytes.substr(used));
    used += step;
    if (step == 0 && machine.state == before) break;
  }
  return used;
}

RequestParser::State RequestParser::state() const {
  return machine_->state;
}

const Refusal& RequestParser::refusal() const {
  return machine_->refusal;
}

const Request& RequestParser::request() const {
  return machine_->request;
}

}  // namespace masqgate::web
