// The files of /proc/sys/net that masqgate has (history 1.9): numbers of the configuration under
// their historic names, a decimal and a line break each.
//
// A name that Linux has and masqgate has nothing to switch for is there too, read-only, with the
// number that tells what masqgate does.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/control/config.hpp"

namespace masqgate::control {

struct SysctlFile {
  // What only the shard knows: how many connections there are, and slots of their index.
  enum class Live : std::uint8_t { no, connections, buckets };

  std::string path;  // of its node: "sys/net/ipv4/ip_dynaddr"
  std::string summary;
  std::function<std::uint64_t(const Config&)> read{};  // empty if live
  // Throws state::Error where the value cannot be had; empty: the file is read-only.
  std::function<void(Config&, std::uint64_t)> write{};
  std::uint64_t least = 0;
  std::uint64_t most = 1;
  Live live = Live::no;
};

std::vector<SysctlFile> sysctl_files();

// What the shell wrote, blanks around it allowed. Throws state::Error (invalid) that names the file.
std::uint64_t parse_sysctl(const SysctlFile& file, std::string_view text);

}  // namespace masqgate::control
