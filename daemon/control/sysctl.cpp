#include "daemon/control/sysctl.hpp"

#include <array>
#include <charconv>

namespace masqgate::control {
namespace {

using Files = std::vector<SysctlFile>;

// Folders, and how the names in them begin.
constexpr std::string_view kIpv4 = "sys/net/ipv4/";
constexpr std::string_view kOld = "sys/net/ipv4/netfilter/ip_conntrack_";  // 2.4 and 2.6
constexpr std::string_view kNew = "sys/net/netfilter/nf_conntrack_";

std::string join(std::string_view prefix, std::string_view name) {
  return std::string{prefix} + std::string{name};
}

template <typename Member>
SysctlFile number(std::string path, std::string summary, Member Config::*member,
                  std::uint64_t most) {
  return {
      .path = std::move(path),
      .summary = std::move(summary),
      .read = [member](const Config& c) { return std::uint64_t{c.*member}; },
      .write = [member](Config& c, std::uint64_t value) { c.*member = static_cast<Member>(value); },
      .most = most};
}

SysctlFile tcp_switch(std::string path, std::string summary, bool ConntrackConfig::*member) {
  return {.path = std::move(path),
          .summary = std::move(summary),
          .read = [member](const Config& c) { return std::uint64_t{c.conntrack.*member}; },
          .write = [member](Config& c, std::uint64_t value) { c.conntrack.*member = value != 0; }};
}

// name: as in "timeouts" of the configuration.
std::function<std::uint64_t(const Config&)> seconds_of(std::string_view name) {
  return [name](const Config& c) { return timeout_seconds(c.conntrack, name); };
}

SysctlFile timeout(std::string path, std::string_view name) {
  return {.path = std::move(path),
          .summary = "Seconds: timeout " + std::string{name} + " of the configuration.",
          .read = seconds_of(name),
          .write =
              [name](Config& c, std::uint64_t value) {
                c.conntrack.timeouts[std::string{name}] = std::chrono::seconds{value};
              },
          .least = 1,
          .most = kLongestTimeout};
}

// The table has the size that it began with.
SysctlFile max(std::string path) {
  return {.path = std::move(path),
          .summary = "How many connections there may be; only a restart changes it.",
          .read = [](const Config& c) { return std::uint64_t{c.conntrack.max}; },
          .write =
              [](Config& c, std::uint64_t value) {
                if (value != c.conntrack.max)
                  throw state::Error(state::Problem::conflict,
                                     "the table cannot grow or shrink while masqgated runs: write "
                                     "conntrack.max to the configuration file and restart");
              },
          .most = 0xffffffff};
}

SysctlFile fixed(std::string path, std::string summary,
                 std::function<std::uint64_t(const Config&)> read) {
  return {.path = std::move(path), .summary = std::move(summary), .read = std::move(read)};
}

SysctlFile live(std::string path, std::string summary, SysctlFile::Live what) {
  return {.path = std::move(path), .summary = std::move(summary), .live = what};
}

std::function<std::uint64_t(const Config&)> always(std::uint64_t value) {
  return [value](const Config&) { return value; };
}

constexpr std::array<std::string_view, 8> kTcpStates{"syn_sent",  "syn_recv",   "established",
                                                     "fin_wait",  "close_wait", "last_ack",
                                                     "time_wait", "close"};
constexpr std::array<std::string_view, 8> kTcpTimeouts{
    "tcp_syn_sent",   "tcp_syn_recv", "tcp_established", "tcp_fin_wait",
    "tcp_close_wait", "tcp_last_ack", "tcp_time_wait",   "tcp_close"};

// What both generations of connection tracking have.
void add_tracking(Files& files, std::string_view prefix) {
  using Live = SysctlFile::Live;
  const auto path = [&](std::string_view name) { return join(prefix, name); };
  files.push_back(max(path("max")));
  files.push_back(live(path("count"), "How many connections there are.", Live::connections));
  files.push_back(
      live(path("buckets"), "Slots of the index in which connections are found.", Live::buckets));
  for (std::size_t i = 0; i < kTcpStates.size(); ++i)
    files.push_back(timeout(path(join("tcp_timeout_", kTcpStates[i])), kTcpTimeouts[i]));
  files.push_back(timeout(path("udp_timeout"), "udp"));
  files.push_back(timeout(path("udp_timeout_stream"), "udp_stream"));
  files.push_back(timeout(path("icmp_timeout"), "icmp"));
  files.push_back(timeout(path("generic_timeout"), "generic"));
  files.push_back(tcp_switch(path("tcp_loose"), "1: connections may be joined in their middle.",
                             &ConntrackConfig::tcp_loose));
  files.push_back(tcp_switch(path("tcp_be_liberal"),
                             "1: of what is outside TCP's window only a reset is refused.",
                             &ConntrackConfig::tcp_liberal));
  files.push_back(
      fixed(path("log_invalid"), "0: invalid packets are counted, not logged.", always(0)));
  files.push_back(fixed(path("checksum"),
                        "0: checksums of TCP and UDP are the receiver's to check.", always(0)));
  // Repeated segments do not shorten a connection's life: as many as the number can tell, and then
  // no less time than without.
  files.push_back(fixed(path("tcp_max_retrans"),
                        "255: repeated segments do not shorten a connection's life.", always(255)));
  files.push_back(fixed(path("tcp_timeout_max_retrans"),
                        "The same as tcp_timeout_established: nothing is shortened.",
                        seconds_of("tcp_established")));
}

void add_newer(Files& files) {
  const auto path = [](std::string_view name) { return join(kNew, name); };
  files.push_back(timeout(path("icmpv6_timeout"), "icmpv6"));
  files.push_back(fixed(path("tcp_timeout_unacknowledged"),
                        "The same as tcp_timeout_established: nothing is shortened.",
                        seconds_of("tcp_established")));
  for (const std::string_view name : {"gre_timeout", "gre_timeout_stream"})
    files.push_back(fixed(path(name), "The same as generic_timeout, which counts for GRE.",
                          seconds_of("generic")));
  files.push_back(fixed(path("acct"), "1: packets and bytes are always counted.", always(1)));
  files.push_back(fixed(path("events"), "0: there are no events.", always(0)));
  files.push_back(fixed(path("helper"), "0: no helper is chosen by port alone.", always(0)));
  files.push_back(fixed(path("expect_max"), "0: no connections are expected.", always(0)));
  files.push_back(
      fixed(path("timestamp"), "0: the file does not show when they began.", always(0)));
}

}  // namespace

Files sysctl_files() {
  Files files;
  const auto ipv4 = [](std::string_view name) { return join(kIpv4, name); };
  files.push_back(
      number(ipv4("ip_forward"), "Whether packets are forwarded: 0 or 1.", &Config::ip_forward, 1));
  files.push_back(number(ipv4("ip_always_defrag"),
                         "1: datagrams are put together before rules see them.",
                         &Config::ip_always_defrag, 1));
  files.push_back(number(ipv4("ip_dynaddr"),
                         "What becomes of connections whose outside address went: 0 to 7.",
                         &Config::ip_dynaddr, kMostDynaddr));
  files.push_back(number(ipv4("ip_masq_debug"),
                         "Above 0 the drops of each second are logged by their reasons.",
                         &Config::ip_masq_debug, kMostMasqDebug));
  files.push_back(number(ipv4("ip_masq_udp_dloose"),
                         "1: whoever is behind a classic rule takes UDP from anybody.",
                         &Config::ip_masq_udp_dloose, 1));
  files.push_back(max(ipv4("ip_conntrack_max")));
  files.push_back(max("sys/net/nf_conntrack_max"));
  add_tracking(files, kOld);
  add_tracking(files, kNew);
  add_newer(files);
  return files;
}

std::uint64_t parse_sysctl(const SysctlFile& file, std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  const std::string_view digits =
      first == text.npos ? std::string_view{}
                         : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
  std::uint64_t value = 0;
  const auto [stop, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || problem != std::errc{} || stop != digits.data() + digits.size() ||
      value < file.least || value > file.most)
    throw state::Error(state::Problem::invalid,
                       file.path.substr(file.path.rfind('/') + 1) + ": a number from " +
                           std::to_string(file.least) + " to " + std::to_string(file.most));
  return value;
}

}  // namespace masqgate::control
