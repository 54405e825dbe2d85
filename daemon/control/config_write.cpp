// Config to document: canonical, with defaults written out, so that equal routers read equal.

#include "daemon/control/config_words.hpp"
#include "daemon/firewall/firewall_json.hpp"

namespace masqgate::control {
namespace {

using state::Json;

Json write_port(const PortConfig& port) {
  Json out = Json::object();
  const std::string member{json::word_of(words(kAttachments), port.attachment)};
  if (port.attachment == Attachment::nics)
    out[member] = port.devices;
  else
    out[member] = port.devices.front();
  Json& addresses = out["addresses"] = Json::array();
  for (const net::InterfaceAddress& one : port.addresses) addresses.push_back(one.text());
  if (port.mac) out["mac"] = port.mac->text();
  if (port.mtu) out["mtu"] = *port.mtu;
  out["queues"] = port.queues;
  if (port.source_validation)
    out["source_validation"] = json::word_of(words(kSourceValidations), *port.source_validation);
  out["inherit"] = port.inherit;
  return out;
}

Json write_route(const RouteConfig& route, const Config& config) {
  Json out = Json::object();
  out["to"] = route.to.text();
  if (route.via) out["via"] = route.via->text();
  if (route.port) out["port"] = config.ports[*route.port].name;
  if (route.metric) out["metric"] = *route.metric;
  if (route.table) out["table"] = *route.table;
  return out;
}

Json write_conntrack(const ConntrackConfig& conntrack) {
  Json out = Json::object();
  out["max"] = conntrack.max;
  out["profile"] = json::word_of(words(kProfiles), conntrack.profile);
  out["timeouts"] = write_timeouts(conntrack.timeouts);
  out["tcp"] = {{"loose", conntrack.tcp_loose}, {"liberal", conntrack.tcp_liberal}};
  return out;
}

}  // namespace

Json write_timeouts(const TimeoutWords& timeouts) {
  Json out = Json::object();
  for (const std::string_view name : timeout_names())
    if (const auto found = timeouts.find(name); found != timeouts.end())
      out[found->first] = found->second.count();
  return out;
}

Json to_json(const Config& config) {
  Json out = Json::object();
  out["runtime"] = config.runtime;
  Json& ports = out["ports"] = Json::object();
  for (const PortConfig& port : config.ports) ports[port.name] = write_port(port);
  Json& routes = out["routes"] = Json::array();
  for (const RouteConfig& route : config.routes) routes.push_back(write_route(route, config));
  Json& nat = out["nat"] = Json::array();
  for (std::size_t i = 0; i < config.own_nat; ++i)
    nat.push_back(write_nat_rule(config.nat[i], config));
  out["sets"] = firewall::write_sets(config.sets, BootClock::now());
  out["firewall"] = write_firewall(config);
  out["conntrack"] = write_conntrack(config.conntrack);
  out["limits"] = write_limits(config.limits);
  out["syn_proxy"] = write_syn_proxy(config);
  out["helpers"] = write_helpers(config.helpers);
  out["shard"] = {{"spin_us", config.shard.spin_us},
                  {"frames", config.shard.frames},
                  {"nice", config.shard.nice}};
  out["divert"] = write_divert(config.divert);
  out["api"]["socket"] = config.api.socket;
  if (config.api.tcp) out["api"]["tcp"] = config.api.tcp->text();
  if (config.tree)
    out["tree"] = *config.tree;
  else
    out["tree"] = false;
  out["ip_forward"] = config.ip_forward;
  out["ip_always_defrag"] = config.ip_always_defrag;
  out["ip_dynaddr"] = config.ip_dynaddr;
  out["ip_masq_debug"] = config.ip_masq_debug;
  out["ip_masq_udp_dloose"] = config.ip_masq_udp_dloose;
  return out;
}

}  // namespace masqgate::control
