// HTTP messages as values: what a client asks and what it is answered (RFC 9110, RFC 9112).

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace masqgate::state {
class EventReader;
}

namespace masqgate::web {

struct Field {
  std::string name;
  std::string value;
};
using Fields = std::vector<Field>;

// ASCII letters compare without case, as field names and codings do.
bool same_word(std::string_view a, std::string_view b);
// The first field of this name, or null.
const std::string* find_field(const Fields& fields, std::string_view name);
std::size_t count_fields(const Fields& fields, std::string_view name);

struct Request {
  std::string method;
  std::string target;  // as written in the request line
  bool http_1_0 = false;
  bool keep_alive = false;        // what the client asked for
  bool expects_continue = false;  // it waits for "100 Continue" before it sends the body
  bool has_body = false;          // a body follows the head, even if it is not read yet
  Fields fields{};                // of the head; trailers are read over
  std::string body{};
};

struct Response {
  unsigned status = 200;
  std::string content_type{};  // empty: no content
  std::string body{};
  Fields fields{};
  // What follows the head is a stream of these, until one side ends the connection.
  std::shared_ptr<state::EventReader> events{};
};

// An error in the format of RFC 9457. The pointer (RFC 6901, or line and column) may be empty.
Response problem(unsigned status, std::string_view detail, std::string_view pointer = {});

// The words that go with a status code; "Unknown" for one that masqgate never sends.
std::string_view reason_phrase(unsigned status);

struct Framing {
  bool head_only = false;  // answer to HEAD: the length is told, the content is not sent
  bool keep_alive = true;
};

// The bytes of a response. date is an HTTP-date (RFC 9110 section 5.6.7).
std::string serialize(const Response& response, Framing framing, std::string_view date);
std::string http_date(std::int64_t seconds_since_1970);

}  // namespace masqgate::web
