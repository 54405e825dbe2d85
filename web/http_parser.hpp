// Requests out of untrusted bytes: HTTP/1.1 and 1.0, RFC 9112.
//
//   head ──▶ body ──▶ complete        one parser reads one request; the bytes behind it belong
//     └────────┴────▶ refused         to the next one (pipelining)
//
// Boost.Beast's request_parser does the grammar, without its I/O; this file's .cpp is the only one
// that includes it. What Beast leaves to its user stands there too: one Host, no ambiguous
// framing (RFC 9112 section 6.3: Content-Length beside Transfer-Encoding, repeated lengths,
// codings other than "chunked"), and limits on whatever a stranger can make grow.

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "web/message.hpp"

namespace masqgate::web {

struct ParserLimits {
  std::size_t head = 16 << 10;  // bytes of request line and fields; also of one chunk line
  std::size_t body = 1 << 20;   // bytes of content: the largest configuration accepted
};

// Why a request is refused, and with which status. Nothing behind it can be read.
struct Refusal {
  unsigned status = 400;
  std::string detail{};
};

class RequestParser {
 public:
  enum class State { head, body, complete, refused };

  explicit RequestParser(ParserLimits limits = {});
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;
  ~RequestParser();

  // Takes what it can use from the front and returns how many bytes that were. What is left has
  // to be offered again with more bytes behind it; after complete it is the next request's.
  std::size_t feed(std::string_view bytes);

  State state() const;
  const Refusal& refusal() const;  // in state refused
  const Request& request() const;  // from state body on; its body is there in state complete

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace masqgate::web
