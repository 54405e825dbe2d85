#include "daemon/control/publish_rules.hpp"

#include "daemon/control/documents.hpp"
#include "daemon/control/rule_files.hpp"

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
  tree.add("rules", {.summary = "Firewall rules and policies with their counters.",
                     .parameters = {{"unused", "1: only those that no packet has matched"}},
                     .read = [&router](Query query) { return rules(router, std::move(query)); }});
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
