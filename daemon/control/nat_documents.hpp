// The documents about translation: rules and profiles, mappings, forwards.

#pragma once

#include <vector>

#include "daemon/control/config.hpp"
#include "daemon/control/documents.hpp"

namespace masqgate::control {

// Every rule as in the configuration, and how it behaves, part by part (requirement U-09), with its
// counter of first packets. counters: by number.
Json nat_rules_document(const Config& config, const std::vector<path::RuleCounter>& counters,
                        Time now);
Json nat_profiles_document();

// A piece of the mappings: those whose leading connection is in some records.
struct MappingSlice {
  // Connections looked at for one slice, and counted for one mapping: the packets wait meanwhile.
  static constexpr std::uint32_t kSteps = 4096;

  struct Entry {
    std::uint64_t id;
    conntrack::Connection connection;  // that leads it
    std::uint32_t connections;         // kSteps: or more
    Time expires;                      // the last of them
  };
  std::vector<Entry> entries;
  std::uint32_t next = 0;  // the record to go on with
  bool last = false;
  Time now{};
};
MappingSlice copy_mappings(path::Shard& shard, std::uint32_t from, std::size_t most);

// Removes at most kSteps connections of the mapping; the one that names it goes last.
enum class Removal : std::uint8_t { not_found, more, done };
Removal remove_mapping(path::Shard& shard, std::uint64_t id);

// ?protocol=udp&address=192.168.0.10: of either end.
struct MappingFilter {
  std::optional<net::Protocol> protocol;
  std::optional<net::IpAddress> address;
  // Throws state::Error that names the parameter.
  static MappingFilter parse(const state::Query& query);
  bool matches(const conntrack::Connection& leader) const;
};
Json mapping_document(const MappingSlice::Entry& entry, Time now);

struct ForwardTables {
  std::vector<nat::PortForward> portfw;
  std::vector<nat::AutoForward> autofw;
  std::vector<nat::MarkForward> mfw;
};
Json forwards_document(const ForwardTables& tables, Time now);

}  // namespace masqgate::control
