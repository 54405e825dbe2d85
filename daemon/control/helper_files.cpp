#include "daemon/control/helper_files.hpp"

#include <algorithm>

#include "daemon/base/print.hpp"
#include "daemon/control/virtual_files.hpp"

namespace masqgate::control {
namespace {

using helper::Expectation;
using state::Json;

long long seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(std::max(duration, Duration{})).count();
}

// Printing characters as they are, the others as \x01: text that strangers have chosen.
std::string evidence_text(const helper::Evidence& evidence) {
  std::string text;
  for (const std::byte byte : evidence.view()) {
    const auto c = std::to_integer<unsigned>(byte);
    if (c == '\r')
      text += "\\r";
    else if (c == '\n')
      text += "\\n";
    else if (c < 0x20 || c > 0x7e || c == '\\')
      text += print("\\x%02x", c);
    else
      text += static_cast<char>(c);
  }
  return text;
}

Json expectation_document(const Expectation& e, Time now) {
  return {{"helper", e.helper->name},
          {"protocol", net::text(e.protocol)},
          {"from", e.from_anybody ? Json(nullptr) : Json(e.from.text())},
          {"from_port", e.from_port == 0 ? Json(nullptr) : Json(e.from_port)},
          {"destination", e.outside.text()},
          {"inside", e.inside.text()},
          {"master", e.master.text()},
          {"announced_by", e.announced_by_client ? "client" : "server"},
          {"evidence", evidence_text(e.evidence)},
          {"age_s", seconds(now - e.made)},
          {"timeout_s", seconds(e.until - now)},
          {"outcome", name(helper::Outcome::waiting)},
          {"refusal", nullptr},
          {"connection", nullptr}};
}

Json past_document(const helper::PastExpectation& past, Time now) {
  Json json = expectation_document(past.expectation, now);
  json["timeout_s"] = 0;
  json["outcome"] = name(past.outcome);
  if (past.outcome == helper::Outcome::refused) json["refusal"] = name(past.refusal);
  if (past.outcome == helper::Outcome::fulfilled) json["connection"] = past.connection.text();
  return json;
}

std::string line_24(const Expectation& e, Time now) {
  return print("%lld use=1 proto=%u ", seconds(e.until - now), unsigned{net::number(e.protocol)}) +
         track_tuple(e.tuple()) + "\n";
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

// As Linux 2.2 named it there.
std::string classic_name(const helper::Helper& helper, net::Port port) {
  std::string text{helper.classic_name.empty() ? helper.name : helper.classic_name};
  if (text.ends_with('_')) text += std::to_string(port / 1000);
  return text;
}

}  // namespace

Json helpers_document(const HelpersCopy& copy) {
  Json list = Json::array();
  for (std::size_t i = 0; i < copy.settings.services.size(); ++i) {
    const helper::Helper& helper = *helper::all_helpers()[i];
    const helper::Service& service = copy.settings.services[i];
    const helper::HelperCounters& counters = copy.counters[i];
    Json networks = Json::array(), refusals = Json::object();
    for (const net::Prefix& network : service.networks) networks.push_back(network.text());
    for (std::size_t r = 0; r < helper::kRefusals; ++r)
      refusals[std::string{name(static_cast<helper::Refusal>(r))}] = counters.refusals[r];
    list.push_back({{"name", helper.name},
                    {"protocol", net::text(helper.protocol)},
                    {"enabled", service.enabled},
                    {"ports", service.ports},
                    {"networks", std::move(networks)},
                    {"wide", service.wide},
                    {"attached", counters.attached},
                    {"connections", counters.connections},
                    {"announced", counters.announced},
                    {"fulfilled", counters.fulfilled},
                    {"changed", counters.changed},
                    {"refusals", std::move(refusals)}});
  }
  return {{"helpers", std::move(list)}};
}

Json expectations_document(const ExpectationsCopy& copy) {
  Json list = Json::array();
  for (const Expectation& e : copy.waiting) list.push_back(expectation_document(e, copy.now));
  for (auto past = copy.past.rbegin(); past != copy.past.rend(); ++past)
    list.push_back(past_document(*past, copy.now));
  return {{"expectations", std::move(list)}};
}

// The kernel's table: 16 buckets, in each the last registered first.
std::string ip_masq_app(const HelpersCopy& copy) {
  struct Row {
    unsigned bucket;
    std::string text;
  };
  std::vector<Row> rows;
  for (std::size_t i = copy.settings.services.size(); i-- > 0;) {
    const helper::Helper& helper = *helper::all_helpers()[i];
    const helper::Service& service = copy.settings.services[i];
    for (auto port = service.ports.rbegin(); service.enabled && port != service.ports.rend();
         ++port) {
      const auto attached = std::ranges::count(copy.attached, helper::AttachedPort{i, *port});
      rows.push_back({(*port ^ unsigned{net::number(helper.protocol)}) & 15u,
                      print("%-3s  %-7u %-7d  %-17s\n", upper(net::text(helper.protocol)).c_str(),
                            unsigned{*port}, static_cast<int>(attached),
                            classic_name(helper, *port).c_str())});
    }
  }
  std::ranges::stable_sort(rows, {}, &Row::bucket);
  std::string text = print("%-39s\n", "prot port    n_attach name");
  for (const Row& row : rows) text += row.text;
  return text;
}

std::string expecting(const std::vector<Expectation>& waiting, Time now) {
  std::string text;
  for (const Expectation& e : waiting)
    if (e.outside.address.is_v4()) text += "EXPECTING: " + line_24(e, now);
  return text;
}

std::string ip_conntrack_expect(const std::vector<Expectation>& waiting, Time now) {
  std::string text;
  for (const Expectation& e : waiting)
    if (e.outside.address.is_v4()) text += line_24(e, now);
  return text;
}

std::string nf_conntrack_expect(const std::vector<Expectation>& waiting, Time now) {
  std::string text;
  for (const Expectation& e : waiting)
    text += print("%lld l3proto = %u proto=%u ", seconds(e.until - now),
                  e.outside.address.is_v4() ? 2u : 10u, unsigned{net::number(e.protocol)}) +
            track_tuple(e.tuple()) + std::string{e.helper->name} + "\n";
  return text;
}

}  // namespace masqgate::control
