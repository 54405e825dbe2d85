#include "daemon/control/document_edits.hpp"

#include <algorithm>

namespace masqgate::control {
namespace {

using state::Error;
using state::Problem;

constexpr std::size_t kNowhere = ~std::size_t{0};

std::string quoted(const std::string& name) {
  return Json(name).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool has_id(const Json& rule, const std::string& id) {
  return rule.is_object() && rule.contains("id") && rule["id"] == id;
}

std::size_t find(const Json& rules, const std::string& id) {
  const auto found =
      std::ranges::find_if(rules, [&](const Json& rule) { return has_id(rule, id); });
  return found == rules.end() ? kNowhere : static_cast<std::size_t>(found - rules.begin());
}

std::size_t place_of(const Json& rules, const std::string& chain, const std::string& id) {
  const std::size_t place = find(rules, id);
  if (place == kNowhere)
    throw Error(Problem::not_found, "there is no rule " + quoted(id) + " in chain " + chain);
  return place;
}

// The id that the sent rule says; whatever is no text is left to the reader of the whole.
std::string id_of(const Json& rule) {
  if (!rule.is_object()) throw Error(Problem::invalid, "a rule is an object");
  const auto id = rule.find("id");
  return id != rule.end() && id->is_string() ? id->get<std::string>() : std::string{};
}

// With its id in front, where people look for it.
Json named(const Json& rule, const std::string& id) {
  Json out = Json::object();
  out["id"] = id;
  out.update(rule);
  return out;
}

std::string free_id(const Json& rules, const std::string& chain) {
  std::size_t number = rules.size();
  std::string id;
  do id = chain + "-" + std::to_string(++number);
  while (find(rules, id) != kNowhere);
  return id;
}

void refuse_taken(const Json& rules, const std::string& chain, const std::string& id) {
  if (find(rules, id) != kNowhere)
    throw Error(Problem::conflict, "chain " + chain + " has a rule " + quoted(id) + " already",
                "/id");
}

Edit edit(const std::string& chain, std::size_t place, std::string id) {
  return {std::move(id), "/firewall/" + chain + "/rules/" + std::to_string(place)};
}

}  // namespace

Json& chains_of(Json& document) {
  Json& firewall = document["firewall"];
  for (const auto& [name, chain] : firewall.items())
    if (chain.is_array())
      throw Error(Problem::conflict, "the rules in force are lines of " + name +
                                         ": change them by that command, or replace the whole of "
                                         "/v1/firewall");
  return firewall;
}

Json& chain_of(Json& document, const std::string& chain) {
  Json& chains = chains_of(document);
  if (!chains.contains(chain))
    throw Error(Problem::not_found, "there is no chain " + quoted(chain) + " in firewall");
  return chains[chain];
}

Json& rules_of(Json& document, const std::string& chain) {
  return chain_of(document, chain)["rules"];
}

Json& rule_of(Json& document, const std::string& chain, const std::string& id) {
  Json& rules = rules_of(document, chain);
  return rules[place_of(rules, chain, id)];
}

Json& set_of(Json& document, const std::string& set) {
  Json& sets = document["sets"];
  if (!sets.contains(set))
    throw Error(Problem::not_found, "there is no set " + quoted(set) + " in sets");
  return sets[set];
}

RulePlace RulePlace::parse(const state::Query& query) {
  RulePlace place;
  if (const auto found = query.find("before"); found != query.end()) place.before = found->second;
  if (const auto found = query.find("after"); found != query.end()) place.after = found->second;
  if (!place.before.empty() && !place.after.empty())
    throw Error(Problem::malformed, "before, after: say one of them");
  return place;
}

Edit add_rule(Json& document, const std::string& chain, Json rule, const RulePlace& place) {
  Json& rules = rules_of(document, chain);
  std::string id = id_of(rule);
  const bool has_none = !rule.contains("id");
  if (has_none) id = free_id(rules, chain);
  refuse_taken(rules, chain, id);
  std::size_t at = rules.size();
  if (!place.before.empty()) at = place_of(rules, chain, place.before);
  if (!place.after.empty()) at = place_of(rules, chain, place.after) + 1;
  rules.insert(rules.begin() + static_cast<std::ptrdiff_t>(at),
               has_none ? named(rule, id) : std::move(rule));
  return edit(chain, at, std::move(id));
}

Edit replace_rule(Json& document, const std::string& chain, const std::string& id, Json rule) {
  Json& rules = rules_of(document, chain);
  const std::size_t at = place_of(rules, chain, id);
  const std::string other = id_of(rule);
  const bool has_none = !rule.contains("id");
  if (!other.empty() && other != id)
    throw Error(Problem::invalid,
                "the rule is " + quoted(id) + ": to give it another id, add one and delete this",
                "/id");
  rules[at] = has_none ? named(rule, id) : std::move(rule);
  return edit(chain, at, id);
}

void remove_rule(Json& document, const std::string& chain, const std::string& id) {
  Json& rules = rules_of(document, chain);
  rules.erase(place_of(rules, chain, id));
}

namespace {

std::string kind_of(const Json& set) {
  for (const char* kind : {"addresses", "ports", "macs"})
    if (set.contains(kind)) return kind;
  return {};
}

// The element's own text, as canonical documents have it; empty where it has none.
std::string text_of(const Json& element) {
  if (element.is_object()) return element.contains("element") ? text_of(element["element"]) : "";
  if (element.is_number()) return element.dump();
  std::string text = element.is_string() ? element.get<std::string>() : "";
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);  // of IPv6 and of link-layer addresses
  return text;
}

std::size_t take_out(Json& elements, const std::string& text) {
  std::size_t taken = 0;
  for (std::size_t i = elements.size(); i > 0; --i)
    if (text_of(elements[i - 1]) == text) {
      elements.erase(i - 1);
      ++taken;
    }
  return taken;
}

// With all of its time, although it may be there already.
Json begun_anew(const Json& element, const Json& set) {
  Json out = element.is_object() ? element : Json{{"element", element}};
  const Json none = 0;
  const Json& timeout = out.contains("timeout")   ? out["timeout"]
                        : set.contains("timeout") ? set["timeout"]
                                                  : none;
  if (timeout != none && !out.contains("expires")) out["expires"] = timeout;
  return out;
}

}  // namespace

Json& elements_of(Json& document, const std::string& set) {
  Json& found = set_of(document, set);
  return found[kind_of(found)];
}

Edit add_element(Json& document, const std::string& set, Json element) {
  Json& elements = elements_of(document, set);
  const std::string text = text_of(element);
  take_out(elements, text);
  elements.push_back(begun_anew(element, document["sets"][set]));
  return {text, "/sets/" + set + "/" + kind_of(document["sets"][set]) + "/" +
                    std::to_string(elements.size() - 1)};
}

void remove_element(Json& document, const std::string& set, const std::string& element) {
  if (take_out(elements_of(document, set), text_of(element)) == 0)
    throw Error(Problem::not_found, "there is no " + quoted(element) + " in set " + set);
}

}  // namespace masqgate::control
