// The section "firewall" of the configuration document: chains, or the lines of an old rule set
// (history 3, 7), which become chains and rules of translation.

#include "daemon/control/config_words.hpp"
#include "daemon/firewall/firewall_json.hpp"
#include "daemon/language/document.hpp"

namespace masqgate::control {
namespace {

using json::Value;
using state::Json;
using Language = OldRules::Language;

constexpr std::array<std::pair<std::string_view, Language>, 2> kLanguages{
    {{"ipchains", Language::ipchains}, {"iptables", Language::iptables}}};

constexpr std::size_t kMostLines = 20000;

std::vector<language::PortNames> ports_of(const Config& config) {
  std::vector<language::PortNames> ports;
  for (const PortConfig& port : config.ports) {
    ports.push_back({port.name, port.devices});
    for (const net::InterfaceAddress& address : port.addresses)
      ports.back().networks.push_back(address.network());
  }
  return ports;
}

language::Document compile(const OldRules& rules, const Config& config) {
  const auto ports = ports_of(config);
  if (rules.language == Language::ipchains)
    return language::ipchains_document(language::read_ipchains(rules.lines), ports);
  return language::iptables_document(language::read_iptables(rules.lines), ports);
}

// What masqgate's own rules refuse is told at the old rules, whoever it is who reads.
void take(const language::Document& document, const Value& value, Config& config) {
  const std::vector<std::string> names = port_names(config);
  try {
    config.firewall = std::make_shared<const firewall::Ruleset>(
        firewall::from_json(Value{document.firewall}, names));
    std::vector<NatConfig> rules = read_nat(Value{document.nat}, config, true);
    for (std::size_t i = 0; i < rules.size(); ++i) {
      if (i < document.origins.size())
        rules[i].origin = {document.origins[i].chain, document.origins[i].rule};
      config.nat.push_back(std::move(rules[i]));
    }
  } catch (const json::Error& error) {
    value.refuse("means what masqgate cannot do: " + std::string{error.what()} + " (" +
                 error.pointer() + " of its meaning)");
  }
}

void read_old_rules(const Value& firewall, std::string_view word, Language language,
                    Config& config) {
  firewall.allow({word});
  const Value value = firewall.at(word);
  const std::vector<Value> lines = value.elements();
  if (lines.size() > kMostLines)
    value.refuse("has more than " + std::to_string(kMostLines) + " lines");
  OldRules rules{language, {}};
  for (const Value& line : lines) rules.lines.push_back(line.text());
  try {
    take(compile(rules, config), value, config);
  } catch (const language::Mistake& mistake) {
    const std::size_t line =
        mistake.place.rule != 0 ? language::line_of(rules.lines, mistake.place) : mistake.line;
    (line == 0 || line > lines.size() ? value : lines[line - 1]).refuse(mistake.sentence);
  }
  config.old_rules = std::move(rules);
}

}  // namespace

void read_firewall(const Value& value, Config& config) {
  for (const auto& [word, language] : kLanguages)
    if (const auto lines = value.json().is_object() ? value.find(word) : std::nullopt;
        lines && lines->json().is_array()) {
      read_old_rules(value, word, language, config);
      return;
    }
  config.firewall = std::make_shared<const firewall::Ruleset>(
      firewall::from_json(value, port_names(config), config.sets));
}

Json write_firewall(const Config& config) {
  if (!config.old_rules) return firewall::to_json(*config.firewall, port_names(config));
  Json out = Json::object();
  out[std::string{json::word_of(words(kLanguages), config.old_rules->language)}] =
      config.old_rules->lines;
  return out;
}

}  // namespace masqgate::control
