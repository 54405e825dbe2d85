// The REST door: URL to node, method to operation, state::Error to problem+json.
//
//   GET, HEAD  /v1/<path>           the node's document, or its text (text-only, or by Accept);
//                                   or a stream of events, where the node has them
//   PUT        /v1/<path>           replaces the whole; If-Match where the node has a version
//   POST       /v1/<path>           the node adds a child; If-Match as for PUT
//   DELETE     /v1/<path>           the node removes itself; If-Match as for PUT
//   DELETE     /v1/<path>/<child>   the node at <path> removes its child
//   GET, HEAD  /v1/<folder>         the names in it
//   GET, HEAD  /healthz, /openapi.json, /v1/openapi.json
//
// What stands behind a node, this room does not know: see daemon/state/tree.hpp. Errors follow
// RFC 9457, preconditions RFC 9110 section 13 and RFC 6585 section 3.

#pragma once

#include <asio/awaitable.hpp>
#include <set>
#include <string>

#include "daemon/state/tree.hpp"
#include "web/message.hpp"
#include "web/target.hpp"

namespace masqgate::web {

class Rest {
 public:
  // The tree has to outlive every answer.
  explicit Rest(const state::Tree& tree) : tree_{tree} {}

  // Never throws: what a node throws becomes a problem document. The request has to stand until
  // the answer is there.
  asio::awaitable<Response> answer(const Request& request);

 private:
  asio::awaitable<Response> dispatch(const Request& request, Target target);
  asio::awaitable<Response> operate(const state::Node& node, const Request& request, Target target);
  asio::awaitable<Response> read(const state::Node& node, const Request& request, Target target);
  asio::awaitable<Response> write(const state::Node& node, const Request& request, Target target);
  asio::awaitable<Response> create(const state::Node& node, const Request& request, Target target);
  asio::awaitable<Response> erase(const state::Node& node, const Request& request, Target target);
  asio::awaitable<void> write_as_text(const state::Node& node, state::Json document);

  const state::Tree& tree_;
  std::set<std::string>
      being_written_;  // paths; a second writer is refused until the first is done
};

}  // namespace masqgate::web
