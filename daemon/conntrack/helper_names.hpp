// The names of the protocol helpers, in the order in which daemon/helper lists them: a connection
// remembers by number whose announcement it came by, and rules ask for it by name.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace masqgate::conntrack {

inline constexpr std::array<std::string_view, 21> kHelperNames{
    "ftp",    "tftp", "irc",        "pptp",           "ipsec",  "sip",     "sip_tcp", "snmp",
    "talk",   "rsh",  "amanda",     "rtsp",           "h323",   "cuseeme", "vdolive", "quake",
    "quake3", "icq",  "directplay", "directplay_tcp", "eggdrop"};

inline std::optional<std::uint8_t> helper_number(std::string_view name) {
  const auto found = std::ranges::find(kHelperNames, name);
  if (found == kHelperNames.end()) return std::nullopt;
  return static_cast<std::uint8_t>(found - kHelperNames.begin());
}

}  // namespace masqgate::conntrack
