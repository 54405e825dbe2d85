#include "daemon/control/publish_firewall.hpp"

#include "daemon/control/changes.hpp"
#include "daemon/control/document_edits.hpp"
#include "daemon/control/documents.hpp"
#include "daemon/firewall/firewall_json.hpp"

namespace masqgate::control {
namespace {

using state::Branch;
using state::Created;
using state::Node;
using state::Query;
using Parts = std::vector<std::string>;

// The document as people read it: elements of sets with what is left of their time.
Json shown_document(const Router& router) {
  Json document = to_json(router.config());
  document["sets"] = firewall::show_sets(router.config().sets, BootClock::now());
  return document;
}

// What an answer shows when a change is done: the part as it is now. report: of a change that was
// only asked about, or of what it has ended.
template <typename Find>
Json shown(Router& router, Json report, Find find) {
  if (!report.is_null()) return report;
  Json document = shown_document(router);
  return find(document);
}

// A part that can be read where find() finds it.
template <typename Find>
Node part(Router& router, std::string summary, Find find) {
  Node node{.summary = std::move(summary), .parameters = change_parameters()};
  node.read = [&router, find](Query) -> asio::awaitable<Json> {
    Json document = shown_document(router);
    co_return find(document);
  };
  node.version = [&router, find] {
    Json document = to_json(router.config());
    return version_of(find(document));
  };
  return node;
}

// One that may not be there yet: it has no version then, and may be made.
template <typename Find>
void may_be_missing(Node& node, Find find) {
  const auto version = node.version;
  node.version = [version, find]() -> std::string { return find() ? version() : std::string{}; };
}

asio::awaitable<Json> put_member(Router& router, const char* member, Json sent, Query query) {
  Json document = to_json(router.config());
  document[member] = std::move(sent);
  auto changing = change(router, std::move(document), std::move(query));
  Json report = co_await std::move(changing);
  co_return shown(router, std::move(report), [member](Json& all) { return all[member]; });
}

Node member(Router& router, const char* name, std::string summary) {
  Node node = part(router, std::move(summary), [name](Json& all) { return all[name]; });
  node.write = [&router, name](Json sent, Query query) {
    return put_member(router, name, std::move(sent), std::move(query));
  };
  return node;
}

// A chain of "firewall", a set of "sets".
struct Child {
  const char* member;
  std::string name;
  Json& (*find)(Json& document, const std::string& name);
  std::string pointer() const { return std::string{"/"} + member + "/" + name; }
};

asio::awaitable<Json> put_child(Router& router, Child child, Json sent, Query query) {
  Json document = to_json(router.config());
  Json& all = child.find == chain_of ? chains_of(document) : document[child.member];
  all[child.name] = std::move(sent);
  auto changing = change(router, std::move(document), std::move(query), child.pointer());
  Json report = co_await std::move(changing);
  co_return shown(router, std::move(report),
                  [&](Json& now) { return child.find(now, child.name); });
}

asio::awaitable<Json> erase_child(Router& router, Child child, Query query) {
  Json document = to_json(router.config());
  child.find(document, child.name);
  document[child.member].erase(child.name);
  auto changing = change(router, std::move(document), std::move(query));
  Json report = co_await std::move(changing);
  co_return report;
}

Node child_node(Router& router, const Child& child, std::string summary) {
  Node node =
      part(router, std::move(summary), [child](Json& all) { return child.find(all, child.name); });
  may_be_missing(node, [&router, child] {
    Json document = to_json(router.config());
    if (child.find == chain_of) chains_of(document);
    return document[child.member].contains(child.name);
  });
  node.write = [&router, child](Json sent, Query query) {
    return put_child(router, child, std::move(sent), std::move(query));
  };
  node.erase = [&router, child](Query query) {
    return erase_child(router, child, std::move(query));
  };
  return node;
}

asio::awaitable<Created> post_rule(Router& router, std::string chain, Json sent, Query query) {
  Json document = to_json(router.config());
  const Edit edit = add_rule(document, chain, std::move(sent), RulePlace::parse(query));
  const bool dry = is_dry(query);
  auto changing = change(router, std::move(document), std::move(query), edit.pointer);
  Json report = co_await std::move(changing);
  Created created;
  if (!dry) created.name = edit.name;
  created.shown =
      shown(router, std::move(report), [&](Json& now) { return rule_of(now, chain, edit.name); });
  co_return created;
}

asio::awaitable<Json> put_rule(Router& router, Parts names, Json sent, Query query) {
  Json document = to_json(router.config());
  const Edit edit = replace_rule(document, names[0], names[1], std::move(sent));
  auto changing = change(router, std::move(document), std::move(query), edit.pointer);
  Json report = co_await std::move(changing);
  co_return shown(router, std::move(report),
                  [&](Json& now) { return rule_of(now, names[0], edit.name); });
}

asio::awaitable<Json> erase_rule(Router& router, Parts names, Query query) {
  Json document = to_json(router.config());
  remove_rule(document, names[0], names[1]);
  auto changing = change(router, std::move(document), std::move(query));
  Json report = co_await std::move(changing);
  co_return report;
}

// Elements come and go by the minute, told by programs that know no version.
asio::awaitable<Created> post_element(Router& router, std::string set, Json sent) {
  Json document = to_json(router.config());
  const Edit edit = add_element(document, set, std::move(sent));
  Created created;
  created.shown = elements_of(document, set).back();
  auto changing = change(router, std::move(document), {}, edit.pointer);
  co_await std::move(changing);
  co_return created;
}

asio::awaitable<Json> erase_element(Router& router, std::string set, Query query) {
  const auto element = query.find("element");
  if (element == query.end())
    throw state::Error(state::Problem::malformed, "element: say which one, as it was added");
  Json document = to_json(router.config());
  remove_element(document, set, element->second);
  auto changing = change(router, std::move(document), {});
  co_await std::move(changing);
  co_return Json{};
}

Node elements_node(Router& router, const std::string& set) {
  Node node = part(router, "The elements of a set; POST adds one, DELETE takes one away.",
                   [set](Json& all) { return elements_of(all, set); });
  node.parameters = {{"element", "DELETE: as it was added, such as 10.0.0.0/8"}};
  node.version = nullptr;
  node.create = [&router, set](Json sent, Query) {
    return post_element(router, set, std::move(sent));
  };
  node.erase = [&router, set](Query query) { return erase_element(router, set, std::move(query)); };
  return node;
}

Node rules_node(Router& router, const std::string& chain) {
  Node node = part(router, "The rules of a chain in their order; POST adds one.",
                   [chain](Json& all) { return rules_of(all, chain); });
  node.parameters.push_back({"before", "POST: the id of the rule in front of which it goes"});
  node.parameters.push_back({"after", "POST: the id of the rule behind which it goes"});
  node.create = [&router, chain](Json sent, Query query) {
    return post_rule(router, chain, std::move(sent), std::move(query));
  };
  return node;
}

Node rule_node(Router& router, const Parts& names) {
  Node node = part(router, "A rule of a chain.",
                   [names](Json& all) { return rule_of(all, names[0], names[1]); });
  node.write = [&router, names](Json sent, Query query) {
    return put_rule(router, names, std::move(sent), std::move(query));
  };
  node.erase = [&router, names](Query query) {
    return erase_rule(router, names, std::move(query));
  };
  return node;
}

}  // namespace

void publish_firewall(state::Tree& tree, Router& router) {
  Node firewall = member(router, "firewall", "The chains, or an old rule set; PUT replaces them.");
  firewall.branches = {
      {"{chain}",
       [&router](const Parts& names) {
         return child_node(router, {"firewall", names[0], chain_of}, "A chain with its rules.");
       }},
      {"{chain}/rules", [&router](const Parts& names) { return rules_node(router, names[0]); }},
      {"{chain}/rules/{rule}", [&router](const Parts& names) { return rule_node(router, names); }}};
  tree.add("firewall", std::move(firewall));
  Node sets = member(router, "sets", "The named sets of which rules ask; PUT replaces them.");
  sets.branches = {{"{set}", [&router](const Parts& names) {
                      return child_node(router, {"sets", names[0], set_of}, "A named set.");
                    }}};
  sets.branches.push_back({"{set}/elements", [&router](const Parts& names) {
                             return elements_node(router, names[0]);
                           }});
  tree.add("sets", std::move(sets));
}

}  // namespace masqgate::control
