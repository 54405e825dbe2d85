// The JSON documents that the doors show, made from values that were copied out of the shard.

#pragma once

#include <vector>

#include "daemon/control/shard_access.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

using state::Json;

// /connections/{id} as the outside world writes it: 16 hexadecimal digits.
std::string id_text(std::uint64_t id);
std::optional<std::uint64_t> parse_id(std::string_view text);

Json connection_document(const Slice::Entry& entry, Time now);

// ?protocol=tcp&state=ESTABLISHED&address=192.0.2.1: which connections are asked for.
struct ConnectionFilter {
  std::optional<net::Protocol> protocol;
  std::string state;
  std::optional<net::IpAddress> address;
  // Throws state::Error that names the parameter.
  static ConnectionFilter parse(const state::Query& query);
  bool matches(const conntrack::Connection& connection) const;
};

// Of a list in pages: ?limit=, from 1 to 1000, and ?cursor=, the record where it goes on. Both
// throw state::Error.
std::size_t page_size(const state::Query& query);
std::uint32_t cursor_of(const state::Query& query);

Json drops_document(const path::Counters& counters, std::size_t parked);
std::string drops_text(const path::Counters& counters, std::size_t parked);
Json path_document(const path::Counters& counters);
std::string path_text(const path::Counters& counters);
Json neighbours_document(const std::vector<neighbour::Neighbour>& neighbours,
                         const std::vector<path::PortInfo>& ports);
// Members packets, bytes, idle_s.
void add_counter(Json& rule, const path::RuleCounter& counter, Time now);
// counters: one for each counter of the ruleset. unused: only those without hits.
Json rules_document(const firewall::Ruleset& ruleset,
                    const std::vector<path::RuleCounter>& counters, Time now, bool unused = false);
// The same of some of them.
Json rules_document(const firewall::Ruleset& ruleset,
                    const std::vector<path::RuleCounter>& counters, Time now,
                    const std::vector<bool>& which);
// An ETag of a document.
std::string version_of(const Json& document);
Json routes_document(const route::Table& table, const std::vector<path::PortInfo>& ports);

}  // namespace masqgate::control
