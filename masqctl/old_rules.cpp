#include "masqctl/old_rules.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "masqctl/http_client.hpp"

namespace masqgate::ctl {
namespace {

using language::Count;
using language::Mistake;

constexpr int kOther = 1;
constexpr int kMostAttempts = 500;
// Somebody else has changed the document, or is about to.
constexpr unsigned kChangedMeanwhile = 412, kUnderWay = 409;
constexpr std::chrono::milliseconds kPause{20};

bool is_good(const Reply& reply) {
  return reply.status >= 200 && reply.status <= 299;
}

// sent: the document that was; of a line of it the mistake tells which rule that is.
[[noreturn]] void refused(const Reply& reply, const Json& sent = {}) {
  const Json document = Json::parse(reply.body, nullptr, false);
  const std::string detail = document.is_object() ? member(document, {"detail"}) : "-";
  const std::string sentence =
      detail == "-" ? "the router answered with status " + std::to_string(reply.status)
                    : printable(detail);
  Mistake mistake{kOther, sentence};
  const std::string pointer = document.is_object() ? member(document, {"pointer"}) : "";
  const Json firewall = sent.is_object() ? sent.value("firewall", Json::object()) : Json::object();
  for (const char* language : {"ipchains", "iptables"}) {
    const std::string lines = std::string{"/firewall/"} + language;
    if (!pointer.starts_with(lines + "/") || !firewall.contains(language)) continue;
    const std::size_t line = std::stoul("0" + pointer.substr(lines.size() + 1)) + 1;
    mistake.place = language::place_of(firewall[language].get<std::vector<std::string>>(), line);
  }
  throw mistake;
}

Json ask(const std::string& socket, const std::string& target, std::string* etag = nullptr) {
  const Reply reply = send(socket, {.target = target});
  if (!is_good(reply)) refused(reply);
  if (etag != nullptr) *etag = reply.etag;
  Json document = Json::parse(reply.body, nullptr, false);
  if (!document.is_object()) throw Mistake{kOther, "the router's answer is no document"};
  return document;
}

// The lines of a language; none where the firewall says nothing at all.
std::vector<std::string> lines_of(const Json& document, const std::string& language) {
  const Json& firewall = document.contains("firewall") ? document["firewall"] : Json::object();
  for (const auto& [name, chain] : firewall.items()) {
    if (name == language && chain.is_array()) return chain.get<std::vector<std::string>>();
    if (chain.is_array())
      throw Mistake{kOther, "the rules in force are " + name + "'s: take them away first (" + name +
                                " -F, -X, -P … ACCEPT)"};
    const bool has_rules = chain.contains("rules") && !chain["rules"].empty();
    if (has_rules || chain.value("policy", "accept") != "accept")
      throw Mistake{kOther, "the rules in force are written in masqgate's own words (chain " +
                                name + " of \"firewall\"): take them away first"};
  }
  return {};
}

void put_lines(Json& document, const std::string& language, std::vector<std::string> lines,
               bool says_nothing) {
  Json& firewall = document["firewall"] = Json::object();
  if (!says_nothing) firewall[language] = std::move(lines);
}

}  // namespace

void change_document(const std::string& socket, const Change& change) {
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    std::string etag;
    Json document = ask(socket, "/v1/config", &etag);
    if (!change(document)) return;
    const Reply reply =
        send(socket,
             {.method = "PUT", .target = "/v1/config", .if_match = etag, .body = document.dump()});
    if (is_good(reply)) return;
    if (reply.status != kChangedMeanwhile && reply.status != kUnderWay) refused(reply, document);
    std::this_thread::sleep_for(kPause);
  }
  throw Mistake{kOther, "the configuration changes all the time; try again later"};
}

language::Ipchains ipchains_of(const Json& document) {
  return language::read_ipchains(lines_of(document, "ipchains"));
}

language::Iptables iptables_of(const Json& document) {
  return language::read_iptables(lines_of(document, "iptables"));
}

void put(Json& document, const language::Ipchains& rules) {
  put_lines(document, "ipchains", write_ipchains(rules), rules == language::Ipchains{});
}

void put(Json& document, const language::Iptables& rules) {
  put_lines(document, "iptables", write_iptables(rules), rules == language::Iptables{});
}

namespace {

Count count_of(const Json& rule) {
  return {rule.value("packets", std::uint64_t{0}), rule.value("bytes", std::uint64_t{0})};
}

void add_rules(language::RuleCounts& counts, const Json& document) {
  for (const Json& rule : document.value("rules", Json::array()))
    counts.add(rule.value("chain", ""), rule.value("rule", ""), count_of(rule));
}

// Of table nat; whoever wrote others does not list them by these tools.
template <typename Use>
void each_of_nat(const Json& document, Use use) {
  for (const Json& rule : document.value("rules", Json::array())) {
    const Json origin = rule.value("origin", Json::object());
    if (origin.contains("chain"))
      use(rule, language::chain_of_iptables("nat", origin.value("chain", "")),
          std::to_string(origin.value("rule", 0)));
  }
}

void add_nat(language::RuleCounts& counts, const Json& document) {
  each_of_nat(document, [&](const Json& rule, const std::string& chain, const std::string& number) {
    counts.add(chain, number, count_of(rule));
  });
}

// POST, and what was counted until then.
Json zero(const std::string& socket, const std::string& target, Json what) {
  const Json sent{{"zero", std::move(what)}};
  const Reply reply = send(socket, {.method = "POST", .target = target, .body = sent.dump()});
  if (!is_good(reply)) refused(reply);
  return Json::parse(reply.body, nullptr, false);
}

}  // namespace

language::RuleCounts rule_counts(const std::string& socket) {
  language::RuleCounts counts;
  add_rules(counts, ask(socket, "/v1/rules"));
  add_nat(counts, ask(socket, "/v1/nat/rules"));
  return counts;
}

language::RuleCounts zero_counts(const std::string& socket,
                                 const std::vector<std::string>& chains) {
  const language::RuleCounts known = rule_counts(socket);
  const auto is_meant = [&](const std::string& chain) {
    return std::ranges::find(chains, chain) != chains.end();
  };
  Json rules = Json::array(), nat = Json::array();
  for (const std::string& chain : chains)
    if (known.has(chain) && !chain.starts_with("nat ")) rules.push_back(chain);
  each_of_nat(ask(socket, "/v1/nat/rules"),
              [&](const Json& rule, const std::string& chain, const std::string&) {
                if (is_meant(chain)) nat.push_back(rule["number"]);
              });
  language::RuleCounts counts;
  if (!rules.empty()) add_rules(counts, zero(socket, "/v1/rules", std::move(rules)));
  if (!nat.empty()) add_nat(counts, zero(socket, "/v1/nat/rules", std::move(nat)));
  return counts;
}

}  // namespace masqgate::ctl
