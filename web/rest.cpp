#include "web/rest.hpp"

#include <algorithm>
#include <optional>

#include "daemon/base/log.hpp"
#include "daemon/state/events.hpp"
#include "daemon/state/json_text.hpp"
#include "web/contract.hpp"
#include "web/negotiation.hpp"

namespace masqgate::web {
namespace {

using state::Error;
using state::Json;
using state::Node;
using state::Problem;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kText = "text/plain; charset=utf-8";

unsigned status_of(Problem problem) {
  switch (problem) {
    case Problem::not_found:
      return 404;
    case Problem::not_offered:
      return 405;
    case Problem::invalid:
      return 422;
    case Problem::malformed:
      return 400;
    case Problem::conflict:
      return 409;
    case Problem::stale:
      return 412;
    case Problem::unavailable:
      return 503;
  }
  return 500;
}

bool can_be_read(const Node& node) {
  return node.read || node.read_text || node.events != nullptr;
}

bool reads(const Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

Response content(std::string_view type, std::string body) {
  return {.status = 200, .content_type = std::string{type}, .body = std::move(body)};
}

Response document(const Json& json) {
  // Names of interfaces and the like come from outside: what is no UTF-8 is replaced.
  return content(kJson, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Response not_offered(const std::string& allowed) {
  Response response = problem(405, "this resource offers " + allowed + " only");
  response.fields.push_back({"Allow", allowed});
  return response;
}

std::string methods_of(const Node& node) {
  std::string allowed;
  const auto add = [&](bool offered, const char* methods) {
    if (offered) allowed += (allowed.empty() ? "" : ", ") + std::string{methods};
  };
  add(can_be_read(node), "GET, HEAD");
  add(node.write || node.write_text, "PUT");
  add(static_cast<bool>(node.create), "POST");
  add(static_cast<bool>(node.erase), "DELETE");
  return allowed;
}

void check_parameters(const Node& node, const state::Query& query) {
  for (const auto& [name, value] : query)
    if (std::ranges::find(node.parameters, name, &state::Parameter::name) == node.parameters.end())
      throw Error{Problem::malformed, "unknown query parameter \"" + name + "\""};
}

void check_no_parameters(const state::Query& query) {
  if (!query.empty())
    throw Error{Problem::malformed, "unknown query parameter \"" + query.begin()->first + "\""};
}

std::string entity_tag(const Node& node) {
  const std::string version = node.version ? node.version() : "";
  return version.empty() ? "" : '"' + version + '"';
}

void add_entity_tag(const Node& node, Response& response) {
  const std::string tag = entity_tag(node);
  if (!tag.empty()) response.fields.push_back({"ETag", tag});
}

// The refusal of a write whose preconditions do not hold, or nothing.
std::optional<Response> refuse_precondition(const Node& node, const Request& request) {
  const std::string* if_match = find_field(request.fields, "If-Match");
  const std::string* if_none_match = find_field(request.fields, "If-None-Match");
  const std::string current = entity_tag(node);
  if (if_none_match != nullptr && !current.empty() && names_tag(*if_none_match, current))
    return problem(412, "what If-None-Match names is there already");
  if (if_match == nullptr) {
    if (current.empty()) return std::nullopt;
    return problem(428, "If-Match must name the version that is replaced; GET tells it as ETag");
  }
  const bool is_missing = node.version && current.empty();
  if (!is_missing && names_tag(*if_match, current)) return std::nullopt;
  return problem(412, "the document was changed since the version in If-Match");
}

// The stream that was asked for: WHATWG HTML, section 9.2. HEAD asks for its head only.
Response follow(const std::shared_ptr<state::Events>& events, const Request& request,
                const state::Query& query) {
  if (count_fields(request.fields, "Last-Event-ID") > 1)
    throw Error{Problem::malformed, "more than one Last-Event-ID field"};
  const std::string* last = find_field(request.fields, "Last-Event-ID");
  const auto types = query.find("types");
  std::set<std::string, std::less<>> wanted;
  if (types != query.end()) wanted = events->types_of(types->second);
  std::optional<std::string_view> last_id;
  if (last != nullptr) last_id = *last;
  Response response{.content_type = "text/event-stream"};
  response.events = std::make_shared<state::EventReader>(events, std::move(wanted), last_id);
  return response;
}

Response list(const state::Tree& tree, std::string_view folder) {
  return document(Json{{"names", tree.list(folder)}});
}

// A path is in this set while somebody writes it: checking a version and writing are one act.
class WriterMark {
 public:
  WriterMark(std::set<std::string>& all, std::string path) : all_{all}, path_{std::move(path)} {
    if (!all_.insert(path_).second)
      throw Error{Problem::conflict, "another change of this document is under way"};
  }
  WriterMark(const WriterMark&) = delete;
  WriterMark& operator=(const WriterMark&) = delete;
  ~WriterMark() { all_.erase(path_); }

 private:
  std::set<std::string>& all_;
  std::string path_;
};

// What is served beside the tree, or nothing.
std::optional<Response> fixed_page(const Target& target) {
  std::optional<Response> page;
  if (target.path == "/healthz") page = content(kText, "ok\n");
  if (target.path == "/openapi.json" || target.path == "/v1/openapi.json")
    page = content(kJson, std::string{openapi_text()});
  return page;
}

}  // namespace

asio::awaitable<Response> Rest::answer(const Request& request) {
  try {
    Target target = parse_target(request.target);
    auto answering = dispatch(request, std::move(target));
    Response response = co_await std::move(answering);
    co_return response;
  } catch (const Error& error) {
    co_return problem(status_of(error.problem()), error.what(), error.pointer());
  } catch (const std::exception& error) {
    log::error("a request failed inside", {{"TARGET", request.target}, {"ERROR", error.what()}});
    co_return problem(500, "the router failed to answer; its log says why");
  }
}

asio::awaitable<Response> Rest::dispatch(const Request& request, Target target) {
  if (std::optional<Response> page = fixed_page(target)) {
    check_no_parameters(target.query);
    co_return reads(request) ? *page : not_offered("GET, HEAD");
  }
  constexpr std::string_view kPrefix = "/v1/";
  if (target.path == "/v1") target.path = kPrefix;
  if (!target.path.starts_with(kPrefix)) throw Error{Problem::not_found, "there is only /v1/"};
  target.path.erase(0, kPrefix.size());

  if (const Node* node = tree_.find(target.path)) {
    auto operating = operate(*node, request, std::move(target));
    co_return co_await std::move(operating);
  }
  const std::optional<Node> grown = tree_.grow(target.path);
  if (grown) {
    auto operating = operate(*grown, request, std::move(target));
    co_return co_await std::move(operating);
  }
  if (target.path.ends_with('/')) target.path.pop_back();
  if (tree_.is_folder(target.path)) {
    check_no_parameters(target.query);
    co_return reads(request) ? list(tree_, target.path) : not_offered("GET, HEAD");
  }
  const std::size_t slash = target.path.rfind('/');
  const Node* parent =
      slash == std::string::npos ? nullptr : tree_.find(target.path.substr(0, slash));
  if (parent == nullptr || !parent->remove)
    throw Error{Problem::not_found, "there is nothing at /v1/" + target.path};
  if (request.method != "DELETE") co_return not_offered("DELETE");
  check_no_parameters(target.query);
  auto removing = parent->remove(target.path.substr(slash + 1));
  co_await std::move(removing);
  co_return Response{.status = 204};
}

asio::awaitable<Response> Rest::operate(const Node& node, const Request& request, Target target) {
  if (reads(request) && can_be_read(node)) {
    auto reading = read(node, request, std::move(target));
    co_return co_await std::move(reading);
  }
  if (request.method == "PUT" && (node.write || node.write_text)) {
    auto writing = write(node, request, std::move(target));
    co_return co_await std::move(writing);
  }
  if (request.method == "POST" && node.create) {
    auto creating = create(node, request, std::move(target));
    co_return co_await std::move(creating);
  }
  if (request.method == "DELETE" && node.erase) {
    auto erasing = erase(node, request, std::move(target));
    co_return co_await std::move(erasing);
  }
  co_return not_offered(methods_of(node));
}

asio::awaitable<Response> Rest::read(const Node& node, const Request& request, Target target) {
  check_parameters(node, target.query);
  const std::string* accept = find_field(request.fields, "Accept");
  const bool is_only_text = !node.read && node.events == nullptr;
  const bool as_text = node.read_text && (is_only_text || prefers_text(accept));
  Response response;
  if (as_text) {
    check_no_parameters(target.query);  // they are the document's
    auto reading = node.read_text();
    std::string text = co_await std::move(reading);
    response = content(kText, std::move(text));
  } else if (node.events != nullptr) {
    response = follow(node.events, request, target.query);
  } else {
    // Taken before the document: a tag that is too old costs a refused write, never a lost one.
    const std::string tag = entity_tag(node);
    const std::string* if_none_match = find_field(request.fields, "If-None-Match");
    const bool known = if_none_match != nullptr && !tag.empty() && names_tag(*if_none_match, tag);
    if (known) {
      response.status = 304;
    } else {
      auto reading = node.read(std::move(target.query));
      const Json json = co_await std::move(reading);
      response = document(json);
    }
    if (!tag.empty()) response.fields.push_back({"ETag", tag});
  }
  if (!is_only_text && node.read_text) response.fields.push_back({"Vary", "Accept"});
  co_return response;
}

asio::awaitable<Response> Rest::write(const Node& node, const Request& request, Target target) {
  check_parameters(node, target.query);
  Json sent = state::parse_json(request.body);
  const WriterMark mark{being_written_, target.path};
  if (std::optional<Response> refusal = refuse_precondition(node, request)) co_return *refusal;
  Response response{.status = 204};
  if (node.write) {
    const bool is_new = node.version && entity_tag(node).empty();
    auto writing = node.write(std::move(sent), std::move(target.query));
    const Json shown = co_await std::move(writing);
    if (!shown.is_null()) response = document(shown);
    if (is_new && !entity_tag(node).empty()) response.status = 201;
  } else {
    auto writing = write_as_text(node, std::move(sent));
    co_await std::move(writing);
  }
  add_entity_tag(node, response);
  co_return response;
}

asio::awaitable<Response> Rest::create(const Node& node, const Request& request, Target target) {
  check_parameters(node, target.query);
  Json sent = state::parse_json(request.body);
  const WriterMark mark{being_written_, target.path};
  if (std::optional<Response> refusal = refuse_precondition(node, request)) co_return *refusal;
  auto creating = node.create(std::move(sent), std::move(target.query));
  const state::Created created = co_await std::move(creating);
  Response response = created.shown.is_null() ? Response{.status = 204} : document(created.shown);
  if (!created.name.empty()) {
    response.status = 201;
    response.fields.push_back({"Location", "/v1/" + target.path + "/" + created.name});
  }
  add_entity_tag(node, response);
  co_return response;
}

asio::awaitable<Response> Rest::erase(const Node& node, const Request& request, Target target) {
  check_parameters(node, target.query);
  const WriterMark mark{being_written_, target.path};
  if (std::optional<Response> refusal = refuse_precondition(node, request)) co_return *refusal;
  auto erasing = node.erase(std::move(target.query));
  const Json shown = co_await std::move(erasing);
  co_return shown.is_null() ? Response{.status = 204} : document(shown);
}

// A node without a document is written with the JSON string that holds its text.
asio::awaitable<void> Rest::write_as_text(const Node& node, Json document) {
  if (!document.is_string())
    throw Error{Problem::invalid, "this resource is a text: send it as one JSON string"};
  auto writing = node.write_text(document.get<std::string>());
  co_await std::move(writing);
}

}  // namespace masqgate::web
