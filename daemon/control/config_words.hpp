// The words of the configuration document: closed sets and names, for reading and for writing.

#pragma once

#include <array>
#include <span>
#include <utility>

#include "daemon/control/config.hpp"
#include "daemon/json/reader.hpp"

namespace masqgate::control {

inline constexpr std::array<std::pair<std::string_view, Attachment>, 4> kAttachments{
    {{"nics", Attachment::nics},
     {"bridge", Attachment::bridge},
     {"tap", Attachment::tap},
     {"tun", Attachment::tun}}};

inline constexpr std::array<std::pair<std::string_view, path::SourceValidation>, 3>
    kSourceValidations{{{"off", path::SourceValidation::off},
                        {"loose", path::SourceValidation::loose},
                        {"strict", path::SourceValidation::strict}}};

inline constexpr std::array<std::pair<std::string_view, conntrack::Profile>, 3> kProfiles{
    {{"linux", conntrack::Profile::linux_24},
     {"classic-2.2", conntrack::Profile::classic_22},
     {"rfc", conntrack::Profile::rfc}}};

template <typename Meaning, std::size_t n>
json::Words<Meaning> words(const std::array<std::pair<std::string_view, Meaning>, n>& all) {
  return all;
}

// "timeouts", of all connections and of a rule's; their names; and what they change.
TimeoutWords read_timeouts(const json::Value& value);
state::Json write_timeouts(const TimeoutWords& timeouts);
std::span<const std::string_view> timeout_names();
void change(conntrack::Timeouts& timeouts, const TimeoutWords& words);

// The section "limits": config_limits.cpp. max: conntrack.max.
path::Limits usual_limits(std::uint32_t max);
path::Limits read_limits(const json::Value& value, std::uint32_t max);
state::Json write_limits(path::Limits limits);

// The section "nat": config_nat.cpp. The ports of config are read already.
// may_be_covered: rules that no packet reaches are no mistake.
std::vector<NatConfig> read_nat(const json::Value& value, const Config& config,
                                bool may_be_covered = false);
// The parts of a profile, each by its word; and the presets by their names.
state::Json write_behaviour(const nat::Behaviour& behaviour);
std::vector<std::pair<std::string_view, nat::Behaviour>> presets();
state::Json write_nat_rule(const NatConfig& rule, const Config& config);

// The section "firewall": config_firewall.cpp. The ports and rules of translation of config are
// read already; an old rule set adds to these.
void read_firewall(const json::Value& value, Config& config);
state::Json write_firewall(const Config& config);

// The section "syn_proxy": config_nat.cpp.
std::vector<path::SynProxyRule> read_syn_proxy(const json::Value& value, const Config& config);
state::Json write_syn_proxy(const Config& config);

// The section "helpers": config_helpers.cpp.
helper::Settings read_helpers(const json::Value& value);
state::Json write_helpers(const helper::Settings& settings);

// The section "ports": config_ports.cpp.
std::vector<PortConfig> read_ports(const json::Value& ports);

DivertConfig read_divert(const json::Value& value);
state::Json write_divert(const DivertConfig& config);

}  // namespace masqgate::control
