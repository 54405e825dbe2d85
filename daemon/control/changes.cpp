#include "daemon/control/changes.hpp"

namespace masqgate::control {
namespace {

using state::Error;
using state::Query;

bool is_set(const Query& query, std::string_view name) {
  const auto found = query.find(name);
  return found != query.end() && found->second != "0";
}

// Who sent one rule knows no other way than the one inside it.
[[noreturn]] void tell(const Error& error, const std::string& sent) {
  const std::string& pointer = error.pointer();
  const bool is_inside =
      pointer.starts_with(sent) && (pointer.size() == sent.size() || pointer[sent.size()] == '/');
  if (is_inside) throw Error(error.problem(), error.what(), pointer.substr(sent.size()));
  const std::string place = pointer.empty() ? "" : pointer + " of the configuration: ";
  throw Error(error.problem(), place + error.what());
}

Config read(const Router& router, const Json& document, const std::string& sent) {
  try {
    Config next = router.read(document);
    router.check(next);
    return next;
  } catch (const Error& error) {
    if (sent.empty()) throw;
    tell(error, sent);
  }
}

}  // namespace

std::vector<state::Parameter> change_parameters() {
  return {{"dry_run", "1: check the document and show what it would change"}};
}

bool is_dry(const Query& query) {
  return is_set(query, "dry_run");
}

asio::awaitable<Json> change(Router& router, Json document, Query query, std::string sent) {
  Config next = read(router, document, sent);
  if (is_dry(query))
    co_return Json{{"changes", Json::diff(to_json(router.config()), to_json(next))}};
  router.apply(std::move(next));
  co_await in_force(router.shard());
  co_return Json{};
}

}  // namespace masqgate::control
