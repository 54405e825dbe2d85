#include "daemon/control/publish_rules.hpp"

#include "daemon/control/documents.hpp"
#include "daemon/control/rule_files.hpp"
#include "daemon/json/reader.hpp"

namespace masqgate::control {
namespace {

using state::Node;
using state::Query;

struct RulesCopy {
  std::shared_ptr<const firewall::Ruleset> ruleset;
  std::vector<path::RuleCounter> counters;
};

asio::awaitable<RulesCopy> copy_rules(ShardAccess shard) {
  const auto question = [](path::Shard& s) {
    return RulesCopy{s.policy().ruleset, s.rule_counters()};
  };
  RulesCopy copy = co_await shard.ask(question);
  co_return copy;
}

asio::awaitable<Json> rules(Router& router, Query query) {
  const auto unused = query.find("unused");
  const bool only_unused = unused != query.end() && unused->second != "0";
  const RulesCopy copy = co_await copy_rules(router.shard());
  co_return rules_document(*copy.ruleset, copy.counters, BootClock::now(), only_unused);
}

// A chain, or one of its rules.
struct Named {
  std::string chain;
  std::optional<std::string> rule;
  bool is(const firewall::Ruleset::CounterName& name) const {
    return name.chain == chain && (!rule || name.rule == *rule);
  }
};

// {"zero": "all"} (nothing then), or {"zero": ["forward", {"chain": "input", "rule": "ssh"}]}.
std::optional<std::vector<Named>> rules_to_zero(const Json& sent) {
  try {
    const json::Value value{sent};
    value.allow({"zero"});
    const json::Value what = value.at("zero");
    if (what.json() == "all") return std::nullopt;
    std::vector<Named> all;
    for (const json::Value& one : what.elements()) {
      if (!one.json().is_object()) {
        all.push_back({one.text(), std::nullopt});
        continue;
      }
      one.allow({"chain", "rule"});
      all.push_back({one.at("chain").text(), one.at("rule").text()});
    }
    return all;
  } catch (const json::Error& error) {
    throw state::Error(state::Problem::invalid, error.what(), error.pointer());
  }
}

std::vector<bool> counters_of(const firewall::Ruleset& ruleset,
                              const std::optional<std::vector<Named>>& named) {
  std::vector<bool> which(ruleset.counters(), !named);
  if (!named) return which;
  for (const Named& one : *named) {
    bool found = false;
    for (std::size_t i = 0; i < which.size(); ++i)
      if (one.is(ruleset.counter(static_cast<firewall::CounterIndex>(i)))) which[i] = found = true;
    if (!found)
      throw state::Error(state::Problem::not_found,
                         "nothing is counted for chain " + one.chain +
                             (one.rule ? ", rule " + *one.rule : std::string{}));
  }
  return which;
}

// Shows what was counted up to that moment, so that whoever lists and zeroes misses nothing.
asio::awaitable<state::Created> zero(Router& router, Json sent) {
  const auto ruleset = router.config().firewall;
  const std::vector<bool> which = counters_of(*ruleset, rules_to_zero(sent));
  const auto question = [which](path::Shard& s) {
    RulesCopy before{s.policy().ruleset, s.rule_counters()};
    s.zero_rule_counters(which);
    return before;
  };
  const RulesCopy copy = co_await router.shard().ask(question);
  state::Created created;
  created.shown = rules_document(*copy.ruleset, copy.counters, BootClock::now(), which);
  co_return created;
}

asio::awaitable<language::RuleCounts> count(Router& router) {
  const RulesCopy copy = co_await copy_rules(router.shard());
  language::RuleCounts counts;
  for (std::size_t i = 0; i < copy.ruleset->counters() && i < copy.counters.size(); ++i) {
    const auto name = copy.ruleset->counter(static_cast<firewall::CounterIndex>(i));
    counts.add(std::string{name.chain}, std::string{name.rule},
               {copy.counters[i].packets, copy.counters[i].bytes});
  }
  co_return counts;
}

using CountedFile = std::string (*)(const Config&, const language::RuleCounts&);

asio::awaitable<std::string> counted_file(Router& router, CountedFile file) {
  const language::RuleCounts counts = co_await count(router);
  co_return file(router.config(), counts);
}

}  // namespace

void publish_rules(state::Tree& tree, Router& router) {
  tree.add("rules",
           {.summary = "Firewall rules and policies with their counters; POST zeroes.",
            .parameters = {{"unused", "1: only those that no packet has matched"}},
            .read = [&router](Query query) { return rules(router, std::move(query)); },
            .create = [&router](Json sent, Query) { return zero(router, std::move(sent)); }});
  tree.add("net/ip_fwchains",
           {.summary = "Rules of ipchains as Linux 2.2 listed them.",
            .read_text = [&router] { return counted_file(router, ip_fwchains); }});
  tree.add("net/ip_fwnames", {.summary = "Chains of ipchains as Linux 2.2 listed them.",
                              .read_text = [&router] { return counted_file(router, ip_fwnames); }});
  tree.add("net/ip_tables_names",
           {.summary = "Tables of iptables that have rules, as Linux 2.4 listed them.",
            .read_text = [&router]() -> asio::awaitable<std::string> {
              co_return ip_tables_names(router.config());
            }});
  tree.add("net/ip_tables_matches",
           {.summary = "What rules of iptables can ask, one a line.",
            .read_text = []() -> asio::awaitable<std::string> { co_return ip_tables_matches(); }});
  tree.add("net/ip_tables_targets",
           {.summary = "What rules of iptables can do, one a line.",
            .read_text = []() -> asio::awaitable<std::string> { co_return ip_tables_targets(); }});
}

}  // namespace masqgate::control
