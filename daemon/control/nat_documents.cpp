#include "daemon/control/nat_documents.hpp"

#include "daemon/control/config_words.hpp"

namespace masqgate::control {
namespace {

using conntrack::Connection;

Json endpoint_document(const net::Endpoint& endpoint) {
  return {{"address", endpoint.address.text()}, {"port", endpoint.port}};
}

std::int64_t seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(std::max(duration, Duration{})).count();
}

std::string_view filtering_scope(const Connection& c) {
  if (c.has(Connection::kFilterNobody)) return "endpoint-independent";
  return c.has(Connection::kFilterByAddress) ? "address-dependent" : "address-and-port-dependent";
}

std::string_view mapping_scope(const Connection& c) {
  if (c.has(Connection::kMappedByConnection)) return "address-and-port-dependent";
  return c.has(Connection::kMappedByAddress) ? "address-dependent" : "endpoint-independent";
}

bool has_behaviour(const NatConfig& rule) {
  using Kind = NatConfig::Kind;
  return rule.kind == Kind::masquerade || rule.kind == Kind::snat || rule.kind == Kind::netmap;
}

}  // namespace

Json nat_rules_document(const Config& config, const std::vector<path::RuleCounter>& counters,
                        Time now) {
  Json rules = Json::array();
  for (const NatConfig& rule : config.nat) {
    const std::size_t number = rules.size();
    Json one{{"number", number}, {"rule", write_nat_rule(rule, config)}};
    if (rule.origin) one["origin"] = {{"chain", rule.origin->chain}, {"rule", rule.origin->rule}};
    add_counter(one, number < counters.size() ? counters[number] : path::RuleCounter{}, now);
    if (has_behaviour(rule)) {
      one["behaviour"] = write_behaviour(rule.behaviour);
      const bool loose =
          config.ip_masq_udp_dloose && rule.behaviour.ports == nat::PortChoice::classic;
      if (loose) one["behaviour_udp"] = write_behaviour(nat::loosened(rule.behaviour));
    }
    rules.push_back(std::move(one));
  }
  return {{"rules", std::move(rules)}};
}

Json nat_profiles_document() {
  Json profiles = Json::array();
  for (const auto& [name, behaviour] : presets()) {
    Json one{{"name", name}};
    one.update(write_behaviour(behaviour));
    profiles.push_back(std::move(one));
  }
  return {{"profiles", std::move(profiles)}};
}

MappingSlice copy_mappings(path::Shard& shard, std::uint32_t from, std::size_t most) {
  MappingSlice slice;
  const conntrack::Table& table = shard.connections();
  const nat::Mappings& mappings = shard.mappings();
  const auto capacity = static_cast<std::uint32_t>(table.capacity());
  std::uint32_t record = std::min(from, capacity), steps = 0;
  for (; record < capacity && slice.entries.size() < most && steps < MappingSlice::kSteps;
       ++record, ++steps) {
    const Connection& c = table.at(record);
    if (!c.has(Connection::kConfirmed) || !c.has(Connection::kMapped) || !mappings.leads(record))
      continue;
    MappingSlice::Entry entry{conntrack::connection_id(record, c.serial), c, 1, c.expires()};
    for (std::uint32_t other = mappings.next_of_ring(record);
         other != record && entry.connections < MappingSlice::kSteps;
         other = mappings.next_of_ring(other), ++entry.connections)
      entry.expires = std::max(entry.expires, table.at(other).expires());
    steps += entry.connections;
    slice.entries.push_back(entry);
  }
  slice.next = record;
  slice.last = record >= capacity;
  slice.now = shard.now();
  return slice;
}

Removal remove_mapping(path::Shard& shard, std::uint64_t id) {
  conntrack::Table& table = shard.connections();
  const auto record = static_cast<std::uint32_t>(id);
  if (record >= table.capacity()) return Removal::not_found;
  Connection& named = table.at(record);
  if (!named.has(Connection::kConfirmed) || !named.has(Connection::kMapped) ||
      named.serial != id >> 32)
    return Removal::not_found;
  for (std::uint32_t steps = 1; steps < MappingSlice::kSteps; ++steps) {
    const std::uint32_t other = shard.mappings().next_of_ring(record);
    table.remove(table.at(other));
    if (other == record) return Removal::done;
  }
  return Removal::more;
}

MappingFilter MappingFilter::parse(const state::Query& query) {
  const ConnectionFilter filter = ConnectionFilter::parse(query);
  return {filter.protocol, filter.address};
}

bool MappingFilter::matches(const Connection& leader) const {
  if (protocol && leader.original.protocol != *protocol) return false;
  return !address || nat::inside_of(leader).address == *address ||
         nat::outside_of(leader).address == *address;
}

Json mapping_document(const MappingSlice::Entry& entry, Time now) {
  const Connection& c = entry.connection;
  return {{"id", id_text(entry.id)},
          {"protocol", net::text(c.original.protocol)},
          {"inside", endpoint_document(nat::inside_of(c))},
          {"outside", endpoint_document(nat::outside_of(c))},
          {"connections", entry.connections},
          {"timeout_s", seconds(entry.expires - now)},
          {"mapping", mapping_scope(c)},
          {"filtering", filtering_scope(c)},
          {"shared", c.has(Connection::kShared)},
          {"local", c.has(Connection::kLocal)}};
}

Json forwards_document(const ForwardTables& tables, Time now) {
  static constexpr std::array<std::string_view, 4> kKinds{"none", "range", "port", "direct"};
  Json portfw = Json::array(), autofw = Json::array(), mfw = Json::array();
  for (const nat::PortForward& e : tables.portfw)
    portfw.push_back({{"protocol", net::text(e.protocol)},
                      {"local", endpoint_document(e.local)},
                      {"remote", endpoint_document(e.remote)},
                      {"preference", e.preference},
                      {"count", e.count}});
  for (const nat::AutoForward& e : tables.autofw)
    autofw.push_back({{"kind", kKinds[static_cast<std::size_t>(e.kind)]},
                      {"protocol", net::text(e.protocol)},
                      {"ports", e.ports.text()},
                      {"visible", e.visible},
                      {"hidden", e.hidden},
                      {"host", e.where.text()},
                      {"last_peer", e.last_peer.text()},
                      {"control_protocol", net::text(e.control_protocol)},
                      {"control_port", e.control_port},
                      {"active", e.active},
                      {"timed", e.timed},
                      {"secure", e.secure},
                      {"closes_s", e.active && e.timed ? seconds(e.closes - now) : 0}});
  for (const nat::MarkForward& e : tables.mfw)
    mfw.push_back({{"mark", e.mark},
                   {"remote", endpoint_document(e.remote)},
                   {"preference", e.preference},
                   {"count", e.count}});
  return {{"portfw", std::move(portfw)}, {"autofw", std::move(autofw)}, {"mfw", std::move(mfw)}};
}

}  // namespace masqgate::control
