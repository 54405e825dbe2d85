// The words of the firewall in documents: JSON to Ruleset and back. docs/configuration.md shows
// them.

#pragma once

#include <span>
#include <string>
#include <string_view>

#include "daemon/firewall/ruleset.hpp"
#include "daemon/json/reader.hpp"

namespace masqgate::firewall {

// The names of all ports; the place of a name is its PortIndex.
using PortNames = std::span<const std::string>;

// Words shared with the rest of the configuration; value is refused where the text is none.
PortIndex read_port(const json::Value& value, std::string_view name, PortNames ports);
net::Prefix read_prefix(const json::Value& value, std::string_view text);

// Reads an object of chains. Rules without an id get one: "forward-3" is the third of its chain.
// Throws json::Error with the pointer of whatever is wrong. sets: of which rules may ask.
Ruleset from_json(const json::Value& firewall, PortNames ports, const Sets& sets = {});

// An object of named sets, which take the place of those before; and what is in them at this time,
// or in one with what is left of it.
Sets read_sets(const json::Value& value, Time now = {}, const Sets& before = {});
json::Json write_sets(const Sets& sets, Time now = {});
json::Json show_sets(const Sets& sets, Time now);

// The same object in canonical form: what from_json() reads back to an equal Ruleset.
json::Json to_json(const Ruleset& ruleset, PortNames ports);

}  // namespace masqgate::firewall
