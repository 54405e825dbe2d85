#include "web/contract.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace masqgate::web {
namespace {

using state::Json;
using Words = std::set<std::string>;

// What can be asked of one URL, reduced to what both sides can say.
struct Offer {
  Words methods;     // "get", "put", "delete"
  Words parameters;  // of the query, whichever method takes them
  Words media;       // of the answer to get
};
using Offers = std::map<std::string, Offer>;

constexpr std::string_view kPrefix = "/v1/";

// "/v1/connections/{id}" as "/v1/connections/{}": the name of the variable is taste.
std::string without_variables(const std::string& url) {
  std::string out;
  bool inside = false;
  for (const char c : url) {
    if (c == '}') inside = false;
    if (!inside) out += c;
    if (c == '{') inside = true;
  }
  return out;
}

Offer of_node(const state::Node& node) {
  Offer offer;
  if (node.read || node.read_text || node.events != nullptr) offer.methods.insert("get");
  if (node.write || node.write_text) offer.methods.insert("put");
  if (node.create) offer.methods.insert("post");
  if (node.erase) offer.methods.insert("delete");
  if (node.read) offer.media.insert("application/json");
  if (node.read_text) offer.media.insert("text/plain");
  if (node.events != nullptr) offer.media.insert("text/event-stream");
  for (const state::Parameter& parameter : node.parameters) offer.parameters.insert(parameter.name);
  return offer;
}

Offers of_tree(const state::Tree& tree) {
  Offers offers;
  for (const auto& [path, node] : tree.nodes()) {
    const std::string url = std::string{kPrefix} + path;
    if (node.remove) offers[url + "/{}"].methods.insert("delete");
    for (const state::Branch& branch : node.branches) {
      const auto names = static_cast<std::size_t>(std::ranges::count(branch.pattern, '{'));
      offers[url + "/" + without_variables(branch.pattern)] =
          of_node(branch.node(std::vector<std::string>(names, "any")));
    }
    offers[url] = of_node(node);
  }
  return offers;
}

void add_operation(Offer& offer, const std::string& method, const Json& operation) {
  offer.methods.insert(method);
  for (const Json& parameter : operation.value("parameters", Json::array()))
    if (parameter.value("in", "") == "query") offer.parameters.insert(parameter.at("name"));
  if (method != "get") return;
  const Json content = operation.at("responses").at("200").at("content");
  for (const auto& [media, schema] : content.items()) offer.media.insert(media);
}

// The URLs that an operation speaks of: one for each word that a variable may be, where the
// contract names them all.
std::vector<std::string> urls_of(const std::string& url, const Json& operation) {
  for (const Json& parameter : operation.value("parameters", Json::array())) {
    if (parameter.value("in", "") != "path" || !parameter.at("schema").contains("enum")) continue;
    const std::string variable = "{" + parameter.at("name").get<std::string>() + "}";
    const std::size_t at = url.find(variable);
    if (at == std::string::npos) continue;
    std::vector<std::string> urls;
    for (const Json& word : parameter.at("schema").at("enum"))
      urls.push_back(std::string{url}.replace(at, variable.size(), word.get<std::string>()));
    return urls;
  }
  return {without_variables(url)};
}

Offers of_document(const Json& openapi) {
  static const Words kMethods{"get", "put", "post", "patch", "delete"};
  Offers offers;
  for (const auto& [url, operations] : openapi.at("paths").items()) {
    if (!url.starts_with(kPrefix) || url == "/v1/openapi.json") continue;
    for (const auto& [method, operation] : operations.items()) {
      if (!kMethods.contains(method)) continue;
      for (const std::string& one : urls_of(url, operation))
        add_operation(offers[one], method, operation);
    }
  }
  return offers;
}

class Comparison {
 public:
  void words(const std::string& url, const char* kind, const Words& tree, const Words& contract) {
    for (const std::string& word : tree)
      if (!contract.contains(word))
        say(url + ": the tree has the " + kind + " " + word + ", the contract has not");
    for (const std::string& word : contract)
      if (!tree.contains(word))
        say(url + ": the contract has the " + kind + " " + word + ", the tree has not");
  }
  void say(std::string sentence) { found_.push_back(std::move(sentence)); }
  std::vector<std::string> take() { return std::move(found_); }

 private:
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> contract_differences(const state::Tree& tree, const Json& openapi) {
  const Offers ours = of_tree(tree), theirs = of_document(openapi);
  Comparison comparison;
  for (const auto& [url, offer] : ours) {
    const auto other = theirs.find(url);
    if (other == theirs.end()) {
      comparison.say(url + ": the contract does not know it");
      continue;
    }
    comparison.words(url, "method", offer.methods, other->second.methods);
    comparison.words(url, "parameter", offer.parameters, other->second.parameters);
    comparison.words(url, "media type", offer.media, other->second.media);
  }
  for (const auto& [url, offer] : theirs)
    if (!ours.contains(url)) comparison.say(url + ": the tree does not have it");
  return comparison.take();
}

std::vector<std::string> contract_differences(const state::Tree& tree) {
  return contract_differences(tree, Json::parse(openapi_text()));
}

}  // namespace masqgate::web
