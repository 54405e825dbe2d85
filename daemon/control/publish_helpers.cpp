#include "daemon/control/publish_helpers.hpp"

#include "daemon/control/helper_files.hpp"

namespace masqgate::control {
namespace {

using state::Json;
using state::Query;

asio::awaitable<HelpersCopy> copy_helpers(ShardAccess shard) {
  const auto question = [](path::Shard& s) {
    return HelpersCopy{s.helpers().settings(), s.helpers().counters(), s.helpers().attached()};
  };
  HelpersCopy copy = co_await shard.ask(question);
  co_return copy;
}

asio::awaitable<ExpectationsCopy> copy_expectations(ShardAccess shard) {
  const auto question = [](path::Shard& s) {
    const helper::Expectations& all = s.helpers().expectations();
    return ExpectationsCopy{all.list(), {all.past().begin(), all.past().end()}, s.now()};
  };
  ExpectationsCopy copy = co_await shard.ask(question);
  copy.now = BootClock::now();
  co_return copy;
}

void publish_file(state::Tree& tree, Router& router, std::string path, std::string summary,
                  std::string (*format)(const std::vector<helper::Expectation>&, Time)) {
  tree.add(std::move(path), {.summary = std::move(summary),
                             .read_text = [&router, format]() -> asio::awaitable<std::string> {
                               const ExpectationsCopy copy =
                                   co_await copy_expectations(router.shard());
                               co_return format(copy.waiting, copy.now);
                             }});
}

}  // namespace

void publish_helpers(state::Tree& tree, Router& router) {
  tree.add("helpers", {.summary = "Protocol helpers: where they look, what they did and refused.",
                       .read = [&router](Query) -> asio::awaitable<Json> {
                         const HelpersCopy copy = co_await copy_helpers(router.shard());
                         co_return helpers_document(copy);
                       }});
  tree.add("expectations",
           {.summary = "Holes that helpers have opened or refused: for whom, on what evidence.",
            .read = [&router](Query) -> asio::awaitable<Json> {
              const ExpectationsCopy copy = co_await copy_expectations(router.shard());
              co_return expectations_document(copy);
            }});
  tree.add("net/ip_masq/app", {.summary = "Protocol helpers as Linux 2.2 listed them.",
                               .read_text = [&router]() -> asio::awaitable<std::string> {
                                 const HelpersCopy copy = co_await copy_helpers(router.shard());
                                 co_return ip_masq_app(copy);
                               }});
  publish_file(tree, router, "net/ip_conntrack_expect",
               "Expected IPv4 connections as Linux 2.6 listed them.", ip_conntrack_expect);
  publish_file(tree, router, "net/nf_conntrack_expect",
               "Expected connections of both families as Linux lists them today.",
               nf_conntrack_expect);
}

}  // namespace masqgate::control
