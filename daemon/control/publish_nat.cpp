#include "daemon/control/publish_nat.hpp"

#include "daemon/control/nat_documents.hpp"
#include "daemon/control/table_page.hpp"
#include "daemon/json/reader.hpp"

namespace masqgate::control {
namespace {

using state::Query;

asio::awaitable<Json> mappings_page(Router& router, Query query) {
  return table_page<MappingFilter>(router.shard(), std::move(query), "mappings", copy_mappings,
                                   mapping_document);
}

asio::awaitable<void> remove(Router& router, std::string name) {
  const auto id = parse_id(name);
  const auto question = [wanted = id.value_or(0)](path::Shard& s) {
    return remove_mapping(s, wanted);
  };
  Removal removal = id ? Removal::more : Removal::not_found;
  while (removal == Removal::more) removal = co_await router.shard().ask(question);
  if (removal == Removal::not_found)
    throw state::Error(state::Problem::not_found, "no mapping has the id " + name);
}

asio::awaitable<Json> forwards(Router& router) {
  const auto question = [](path::Shard& s) {
    nat::Forwards& all = s.forwards();
    return ForwardTables{all.port_forwards().list(), all.auto_forwards().list(BootClock::now()),
                         all.mark_forwards().list()};
  };
  const ForwardTables tables = co_await router.shard().ask(question);
  co_return forwards_document(tables, BootClock::now());
}

asio::awaitable<Json> rules(Router& router) {
  const auto question = [](path::Shard& s) { return s.nat_counters(); };
  const std::vector<path::RuleCounter> counters = co_await router.shard().ask(question);
  co_return nat_rules_document(router.config(), counters, BootClock::now());
}

// {"zero": "all"} or {"zero": [0, 3]}: numbers of rules.
std::vector<bool> rules_to_zero(const Json& sent, std::size_t count) {
  try {
    const json::Value value{sent};
    value.allow({"zero"});
    const json::Value what = value.at("zero");
    std::vector<bool> which(count, what.json() == "all");
    if (what.json() == "all") return which;
    for (const json::Value& one : what.elements()) {
      const std::uint64_t number = one.number(0, 0xffff);
      if (number >= count)
        throw state::Error(state::Problem::not_found,
                           "there is no rule of translation " + std::to_string(number));
      which[number] = true;
    }
    return which;
  } catch (const json::Error& error) {
    throw state::Error(state::Problem::invalid, error.what(), error.pointer());
  }
}

// Shows what was counted up to that moment, so that whoever lists and zeroes misses nothing.
asio::awaitable<state::Created> zero_nat(Router& router, Json sent) {
  const std::vector<bool> which = rules_to_zero(sent, router.config().nat.size());
  const auto question = [which](path::Shard& s) {
    const std::vector<path::RuleCounter> before = s.nat_counters();
    s.zero_nat_counters(which);
    return before;
  };
  const std::vector<path::RuleCounter> counters = co_await router.shard().ask(question);
  state::Created created;
  created.shown = nat_rules_document(router.config(), counters, BootClock::now());
  co_return created;
}

}  // namespace

void publish_nat(state::Tree& tree, Router& router) {
  tree.add("nat/rules",
           {.summary = "Rules of translation, how each behaves, part by part, and what it counted; "
                       "POST zeroes.",
            .read = [&router](Query) { return rules(router); },
            .create = [&router](Json sent, Query) { return zero_nat(router, std::move(sent)); }});
  tree.add("nat/profiles",
           {.summary = "The presets of translation, part by part.",
            .read = [](Query) -> asio::awaitable<Json> { co_return nat_profiles_document(); }});
  tree.add("nat/mappings",
           {.summary = "Who stands behind which outside endpoint, page by page; DELETE one.",
            .parameters = {{"cursor", "the \"next\" of the page before"},
                           {"limit", "mappings on a page, 1 to 1000; 100 if not given"},
                           {"protocol", "only this one: tcp, udp, icmp, or a number"},
                           {"address", "only those with this address inside or outside"}},
            .read = [&router](Query query) { return mappings_page(router, std::move(query)); },
            .remove = [&router](std::string id) { return remove(router, std::move(id)); }});
  tree.add("nat/forwards", {.summary = "The tables of PORTFW, AUTOFW and MFW.",
                            .read = [&router](Query) { return forwards(router); }});
}

}  // namespace masqgate::control
