#include "daemon/control/publish_nat.hpp"

#include "daemon/control/nat_documents.hpp"
#include "daemon/control/table_page.hpp"

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

}  // namespace

void publish_nat(state::Tree& tree, Router& router) {
  tree.add("nat/rules", {.summary = "Rules of translation, and how each behaves, part by part.",
                         .read = [&router](Query) -> asio::awaitable<Json> {
                           co_return nat_rules_document(router.config());
                         }});
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
