#include "daemon/control/changes.hpp"

#include "daemon/base/log.hpp"
#include "daemon/control/documents.hpp"
#include "daemon/path/rejudge.hpp"

namespace masqgate::control {
namespace {

using state::Error;
using state::Problem;
using state::Query;

// Connections that a report tells one by one; more are counted only.
constexpr std::size_t kMostListed = 1000;

// Empty if it is not asked for.
std::string_view value_of(const Query& query, std::string_view name) {
  const auto found = query.find(name);
  return found == query.end() || found->second == "0" ? std::string_view{} : found->second;
}

enum class Rejudging : std::uint8_t { no, ask, end };

Rejudging rejudging(const Query& query) {
  const std::string_view value = value_of(query, "rejudge");
  if (value.empty()) return Rejudging::no;
  if (value == "1") return Rejudging::ask;
  if (value != "confirm")
    throw Error(Problem::malformed,
                "rejudge: 1 lists the connections that would not be admitted, confirm ends them");
  if (!value_of(query, "dry_run").empty())
    throw Error(Problem::malformed, "rejudge=confirm ends connections: that is no dry run");
  return Rejudging::end;
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

Json refused_document(const path::RejudgeSlice::Refused& one, Time now) {
  Json json = connection_document({one.id, one.connection}, now);
  json["refused_by"] = {{"chain", one.chain}, {"rule", one.rule}};
  return json;
}

void note_end(const path::RejudgeSlice::Refused& one) {
  const Tuple& tuple = one.connection.original;
  log::info("ended a connection that the rules do not admit any more",
            {{"ID", id_text(one.id)},
             {"PROTOCOL", net::text(tuple.protocol)},
             {"FROM", tuple.source().text()},
             {"TO", tuple.destination().text()},
             {"RULE", one.chain + "/" + one.rule}});
}

// Slice by slice, so that packets never wait for more than one of them. Ending goes by the rules in
// force, whoever changes them meanwhile; asking by this policy.
asio::awaitable<Json> rejudge(Router& router, std::shared_ptr<const path::Policy> policy,
                              bool ends) {
  Json listed = Json::array();
  std::size_t judged = 0, refused = 0;
  std::uint32_t from = 0;
  for (bool last = false; !last;) {
    const auto question = [policy, from, ends](path::Shard& shard) {
      return path::rejudge(shard, ends ? shard.policy() : *policy, from, ends);
    };
    const path::RejudgeSlice slice = co_await router.shard().ask(question);
    for (const auto& one : slice.refused) {
      if (ends) note_end(one);
      if (listed.size() < kMostListed) listed.push_back(refused_document(one, slice.now));
    }
    judged += slice.judged;
    refused += slice.refused.size();
    from = slice.next;
    last = slice.last;
  }
  if (ends)
    log::notice("judged all connections by the rules",
                {{"JUDGED", std::to_string(judged)}, {"ENDED", std::to_string(refused)}});
  Json report{{"judged", judged}, {"refused", refused}, {"ended", ends ? refused : 0}};
  report["connections"] = std::move(listed);
  co_return report;
}

}  // namespace

std::vector<state::Parameter> change_parameters() {
  return {{"dry_run", "1: check the document and show what it would change"},
          {"rejudge",
           "1: change nothing, list the connections that would not be admitted any more; confirm: "
           "change, and end them"}};
}

bool is_dry(const Query& query) {
  return !value_of(query, "dry_run").empty() || rejudging(query) == Rejudging::ask;
}

asio::awaitable<Json> change(Router& router, Json document, Query query, std::string sent) {
  const Rejudging asked = rejudging(query);
  const bool dry = is_dry(query);
  Config next = read(router, document, sent);
  Json report;
  if (dry || asked != Rejudging::no)
    report["changes"] = Json::diff(to_json(router.config()), to_json(next));
  const auto policy = asked == Rejudging::ask ? router.policy_of(next) : nullptr;
  if (!dry) {
    router.apply(std::move(next));
    co_await in_force(router.shard());
  }
  if (asked != Rejudging::no) {
    auto judging = rejudge(router, policy, asked == Rejudging::end);
    Json judgement = co_await std::move(judging);
    report["rejudge"] = std::move(judgement);
  }
  co_return report;
}

}  // namespace masqgate::control
