// The numbers of sys/net: names, order, defaults and what is refused (history 1.9).

#include <doctest/doctest.h>

#include <set>

#include "daemon/control/sysctl.hpp"

using namespace masqgate;
using namespace masqgate::control;

namespace {

constexpr const char* kSmallest = R"({"ports": {"lan": {"nics": ["eth0"]}}})";

const SysctlFile& file(const std::string& path) {
  static const std::vector<SysctlFile> all = sysctl_files();
  const auto found = std::ranges::find(all, "sys/net/" + path, &SysctlFile::path);
  REQUIRE_MESSAGE(found != all.end(), path);
  return *found;
}

std::uint64_t parsed(const SysctlFile& one, std::string_view text) {
  return parse_sysctl(one, text);
}

}  // namespace

TEST_CASE("V2, issue 3.8: numbers begin as history 1.9 says") {
  Config config = parse_config(kSmallest);
  config.conntrack.profile = conntrack::Profile::linux_24;
  struct Row {
    const char* path;
    std::uint64_t value;
    bool writable;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"ipv4/ip_forward", 1, true},
           {"ipv4/ip_always_defrag", 0, true},
           {"ipv4/ip_dynaddr", 5, true},
           {"ipv4/ip_masq_debug", 0, true},
           {"ipv4/ip_masq_udp_dloose", 0, true},
           {"ipv4/ip_conntrack_max", 262144, true},
           {"nf_conntrack_max", 262144, true},
           {"ipv4/netfilter/ip_conntrack_max", 262144, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_syn_sent", 120, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_syn_recv", 60, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_established", 432000, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_fin_wait", 120, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_close_wait", 60, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_last_ack", 30, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_time_wait", 120, true},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_close", 10, true},
           {"ipv4/netfilter/ip_conntrack_udp_timeout", 30, true},
           {"ipv4/netfilter/ip_conntrack_udp_timeout_stream", 180, true},
           {"ipv4/netfilter/ip_conntrack_icmp_timeout", 30, true},
           {"ipv4/netfilter/ip_conntrack_generic_timeout", 600, true},
           {"ipv4/netfilter/ip_conntrack_tcp_loose", 1, true},
           {"ipv4/netfilter/ip_conntrack_tcp_be_liberal", 0, true},
           {"ipv4/netfilter/ip_conntrack_log_invalid", 0, false},
           {"ipv4/netfilter/ip_conntrack_tcp_max_retrans", 255, false},
           {"ipv4/netfilter/ip_conntrack_tcp_timeout_max_retrans", 432000, false},
           {"netfilter/nf_conntrack_icmpv6_timeout", 30, true},
           {"netfilter/nf_conntrack_tcp_timeout_unacknowledged", 432000, false},
           {"netfilter/nf_conntrack_gre_timeout", 600, false},
           {"netfilter/nf_conntrack_acct", 1, false},
           {"netfilter/nf_conntrack_events", 0, false}}) {
    CAPTURE(row.path);
    CHECK(file(row.path).read(config) == row.value);
    CHECK(static_cast<bool>(file(row.path).write) == row.writable);
  }
  for (const char* path : {"ipv4/netfilter/ip_conntrack_count", "netfilter/nf_conntrack_buckets"})
    CHECK_FALSE(file(path).write);
}

TEST_CASE("V2: every writable number can be written, is read again, and the document has it") {
  std::set<std::string> seen;
  for (const SysctlFile& one : sysctl_files()) {
    CAPTURE(one.path);
    CHECK(seen.insert(one.path).second);
    CHECK(one.summary.ends_with("."));
    const bool is_max = one.path.ends_with("_max");
    if (!one.write || is_max) continue;
    Config config = parse_config(kSmallest);
    const std::uint64_t other = one.read(config) == one.least ? one.most : one.least;
    one.write(config, other);
    CHECK(one.read(config) == other);
    CHECK(one.read(from_json(to_json(config))) == other);
  }
}

TEST_CASE("V2: both generations of names are one variable") {
  Config config = parse_config(kSmallest);
  file("ipv4/netfilter/ip_conntrack_udp_timeout_stream").write(config, 77);
  CHECK(file("netfilter/nf_conntrack_udp_timeout_stream").read(config) == 77);
  CHECK(timeouts_of(config.conntrack).udp_stream == std::chrono::seconds{77});
}

TEST_CASE("V2: what is no number of the range is refused by name") {
  const SysctlFile& timeout = file("netfilter/nf_conntrack_udp_timeout");
  CHECK(parsed(timeout, "5\n") == 5);
  CHECK(parsed(timeout, " \t31536000 \n") == 31536000);
  for (const char* text : {"", "\n", "0", "-1", "5x", "5 5", "0x10", "5.0", "31536001",
                           "99999999999999999999", "five"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(parsed(timeout, text),
                         "nf_conntrack_udp_timeout: a number from 1 to 31536000", state::Error);
  }
  CHECK_THROWS_AS(parsed(file("ipv4/ip_dynaddr"), "8"), state::Error);
  CHECK_THROWS_AS(parsed(file("ipv4/ip_masq_udp_dloose"), "2"), state::Error);
  CHECK_THROWS_AS(parsed(file("ipv4/ip_masq_debug"), "256"), state::Error);
}

TEST_CASE("V2: the size of the table is a conflict, unless it is what it was") {
  Config config = parse_config(kSmallest);
  const SysctlFile& max = file("nf_conntrack_max");
  max.write(config, 262144);
  try {
    max.write(config, 262145);
    FAIL("another size was taken");
  } catch (const state::Error& error) {
    CHECK(error.problem() == state::Problem::conflict);
    CHECK(std::string{error.what()}.find("restart") != std::string::npos);
  }
}
