// The section "helpers" of the configuration document: reading and writing.

#include <algorithm>

#include "daemon/control/config_words.hpp"
#include "daemon/firewall/firewall_json.hpp"

namespace masqgate::control {
namespace {

using helper::Service;
using helper::Settings;
using json::Value;
using state::Json;

constexpr std::string_view kDeniedPorts = "denied_ports", kWide = "wide";
constexpr std::size_t kMostDenied = 64, kMostNetworks = 64;

std::vector<net::Port> read_ports(const Value& value) {
  std::vector<net::Port> ports;
  for (const Value& element : value.elements()) {
    const auto port = static_cast<net::Port>(element.number(1, 65535));
    if (std::ranges::find(ports, port) != ports.end()) element.refuse("stands here twice");
    ports.push_back(port);
  }
  if (ports.empty() || ports.size() > Service::kMostPorts)
    value.refuse("must have 1 to " + std::to_string(Service::kMostPorts) +
                 " ports; to switch the helper off write \"enabled\": false");
  return ports;
}

void read_service(const Value& value, const helper::Helper& helper, Service& service) {
  if (helper.may_be_wide)
    value.allow({"enabled", "ports", "networks", kWide});
  else
    value.allow({"enabled", "ports", "networks"});
  if (const auto wide = value.find(kWide)) service.wide = wide->boolean();
  if (const auto enabled = value.find("enabled")) service.enabled = enabled->boolean();
  if (const auto ports = value.find("ports")) service.ports = read_ports(*ports);
  if (const auto networks = value.find("networks")) {
    service.networks.clear();
    for (const Value& one : networks->elements())
      service.networks.push_back(firewall::read_prefix(one, one.text()));
    if (service.networks.size() > kMostNetworks)
      networks->refuse("has more than " + std::to_string(kMostNetworks) + " networks");
  }
  if (helper.needs_networks && service.enabled && service.networks.empty())
    value.refuse(
        "needs \"networks\": those of the servers that may say what is opened, such as "
        "[\"192.0.2.5/32\"]");
}

std::vector<net::PortRange> read_denied(const Value& value) {
  std::vector<net::PortRange> denied;
  for (const Value& element : value.elements()) {
    if (element.json().is_number()) {
      const auto port = static_cast<net::Port>(element.number(1, 65535));
      denied.push_back({port, port});
      continue;
    }
    const auto range = net::PortRange::parse(element.text());
    if (!range || range->first == 0 || range->first > range->last)
      element.refuse(Value::quoted(element.text()) +
                     " is no port from 1 to 65535 and no range such as 6000-6063");
    denied.push_back(*range);
  }
  if (denied.size() > kMostDenied)
    value.refuse("has more than " + std::to_string(kMostDenied) + " ranges");
  return denied;
}

}  // namespace

Settings read_helpers(const Value& value) {
  Settings settings = Settings::defaults();
  std::vector<std::string_view> known{kDeniedPorts};
  for (const helper::Helper* helper : helper::all_helpers()) known.push_back(helper->name);
  value.allow(std::span<const std::string_view>{known});
  for (std::size_t i = 0; i < settings.services.size(); ++i)
    if (const auto service = value.find(helper::all_helpers()[i]->name))
      read_service(*service, *helper::all_helpers()[i], settings.services[i]);
  if (const auto denied = value.find(kDeniedPorts)) settings.denied = read_denied(*denied);
  return settings;
}

Json write_helpers(const Settings& settings) {
  Json out = Json::object();
  for (std::size_t i = 0; i < settings.services.size(); ++i) {
    const Service& service = settings.services[i];
    Json networks = Json::array();
    for (const net::Prefix& network : service.networks) networks.push_back(network.text());
    Json& one = out[std::string{helper::all_helpers()[i]->name}] = {
        {"enabled", service.enabled}, {"ports", service.ports}, {"networks", std::move(networks)}};
    if (helper::all_helpers()[i]->may_be_wide) one[std::string{kWide}] = service.wide;
  }
  Json& denied = out[std::string{kDeniedPorts}] = Json::array();
  for (const net::PortRange& range : settings.denied) denied.push_back(range.text());
  return out;
}

}  // namespace masqgate::control
