// Unit tests of daemon/control/config: what a rule's profile may say beyond a preset's name, and limits.

#include <doctest/doctest.h>

#include "daemon/control/config.hpp"

using namespace masqgate;
using namespace masqgate::control;
using state::Json;

namespace {

Config config(const std::string& patch) {
  Json base = Json::parse(R"({"ports": {"lan": {"nics": ["eth1"], "addresses": ["192.168.0.1/24"]},
                                         "wan": {"nics": ["eth0"], "addresses": ["203.0.113.2/24"]}}})");
  base.merge_patch(Json::parse(patch));
  return from_json(base, "/run/masqgate");
}
Config with_profile(const std::string& profile) {
  return config(R"({"nat": [{"masquerade": "wan", "profile": )" + profile + "}]}");
}

struct Bad {
  const char* text;
  const char* pointer;
  const char* says;
};

template <typename Make>
void check_refused(const Bad& bad, Make&& make) {
  CAPTURE(std::string{bad.text});
  try {
    make(bad.text);
    FAIL_CHECK("was taken");
  } catch (const state::Error& error) {
    CHECK(error.pointer() == bad.pointer);
    CHECK(std::string{error.what()}.find(bad.says) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("U-07, T-05: presets and members say whose packets refresh, and what a stray SYN gets") {
  using nat::Refresh;
  using nat::UnsolicitedSyn;
  const auto of = [](const std::string& profile) {
    return nat_rules(with_profile(profile)).source[0].behaviour;
  };
  for (const char* preset : {R"("rfc")", R"("symmetric")"}) {
    CHECK(of(preset).refresh == Refresh::outbound);
    CHECK(of(preset).unsolicited_syn == UnsolicitedSyn::unreachable);
  }
  for (const char* preset : {R"("linux")", R"("classic-2.2")"}) {
    CHECK(of(preset).refresh == Refresh::both);
    CHECK(of(preset).unsolicited_syn == UnsolicitedSyn::silent);
  }
  CHECK(of(R"("open")").refresh == Refresh::both);
  CHECK(of(R"({"refresh": "both", "unsolicited_syn": "silent"})").refresh == Refresh::both);
  CHECK(of(R"({"unsolicited_syn": "silent"})").unsolicited_syn == UnsolicitedSyn::silent);
}

TEST_CASE("X-02: a rule's timeouts stand on those of all, and equal ones have one number") {
  using conntrack::TcpState;
  const Config all = config(R"({"conntrack": {"timeouts": {"udp": 77, "icmp": 88}}, "nat": [
    {"masquerade": "wan", "source": "10.1.0.0/16", "profile": {"timeouts": {"tcp_transitory": 9,
     "tcp_syn_recv": 8, "udp_stream": 7}}},
    {"masquerade": "wan", "source": "10.2.0.0/16", "profile": "linux"},
    {"masquerade": "wan", "source": "10.3.0.0/16", "profile": {"preset": "linux", "timeouts":
     {"udp": 5}}},
    {"masquerade": "wan", "source": "10.4.0.0/16", "profile": {"preset": "open", "timeouts":
     {"udp_stream": 7, "tcp_syn_recv": 8, "tcp_transitory": 9}}}]})");
  const auto rules = nat_rules(all).source;
  const auto timeouts = rule_timeouts(all);
  CHECK(rules[0].timeout_set != 0);
  CHECK(rules[1].timeout_set == 0);
  CHECK(rules[2].timeout_set != rules[0].timeout_set);
  CHECK(rules[3].timeout_set == rules[0].timeout_set);
  REQUIRE(timeouts.sets.size() == 2);
  const auto& first = timeouts.sets[timeouts.places[rules[0].timeout_set] - 1u];
  CHECK(first.udp == std::chrono::seconds{77});
  CHECK(first.udp_stream == std::chrono::seconds{7});
  CHECK(first.icmp == std::chrono::seconds{88});
  CHECK(first.tcp[static_cast<std::size_t>(TcpState::syn_sent)] == std::chrono::seconds{9});
  CHECK(first.tcp[static_cast<std::size_t>(TcpState::syn_recv)] == std::chrono::seconds{8});
  CHECK(first.tcp[static_cast<std::size_t>(TcpState::established)] == std::chrono::seconds{7440});

  // The number does not depend on the rules around it.
  Config alone = all;
  alone.nat = {all.nat[3]};
  CHECK(nat_rules(alone).source[0].timeout_set == rules[0].timeout_set);

  const Json written = to_json(all);
  CHECK(to_json(from_json(written, "/")) == written);
  CHECK(written["nat"][2]["profile"] ==
        Json::parse(R"({"preset": "linux", "timeouts": {"udp": 5}})"));
}

TEST_CASE("X-02: 64 different timeouts have numbers of their own, the 65th is refused") {
  std::string rules;
  for (int i = 1; i <= 65; ++i) {
    rules += (i > 1 ? "," : "") + std::string{R"({"masquerade": "wan", "source": "10.0.)"} +
             std::to_string(i) + R"(.0/24", "profile": {"timeouts": {"udp": )" + std::to_string(i) +
             "}}}";
    if (i == 64) {
      const auto timeouts = rule_timeouts(config(R"({"nat": [)" + rules + "]}"));
      CHECK(timeouts.sets.size() == 64);
    }
  }
  const std::string text = R"({"nat": [)" + rules + "]}";
  check_refused({text.c_str(), "/nat/64/profile/timeouts", "at most 64"}, config);
}

TEST_CASE("profile: what is wrong in one is refused with its place") {
  for (const Bad& bad : {
           Bad{R"({"refresh": "inbound"})", "/nat/0/profile/refresh", "outbound, both"},
           Bad{R"({"refresh": true})", "/nat/0/profile/refresh", "text in quotes"},
           Bad{R"({"unsolicited_syn": "reset"})", "/nat/0/profile/unsolicited_syn",
               "silent, unreachable"},
           Bad{R"({"timeouts": {"tcp": 3}})", "/nat/0/profile/timeouts/tcp", "tcp_transitory"},
           Bad{R"({"timeouts": {"udp": 0}})", "/nat/0/profile/timeouts/udp", "1 to 31536000"},
           Bad{R"({"timeouts": {"udp": "5"}})", "/nat/0/profile/timeouts/udp", "and is a text"},
           Bad{R"({"timeouts": []})", "/nat/0/profile/timeouts", "object"},
           Bad{R"({"hold": 1})", "/nat/0/profile/hold", "known here"},
       })
    check_refused(bad, with_profile);
}

TEST_CASE("C-04, C-05, C-06, C-07: limits of hosts, and what they are when nobody says") {
  const auto usual = config(R"({"conntrack": {"max": 6400}})").limits;
  CHECK(usual.hosts.sessions == 1600);
  CHECK(usual.hosts.ports == 16384);
  CHECK(usual.hosts.per_second == 0);
  CHECK(usual.half_open.each == 1024);
  CHECK(usual.half_open.in_all == 1600);
  CHECK(usual.reserve == 100);
  const auto own = config(R"({"limits": {"sessions_per_host": 1, "ports_per_host": 2,
    "new_per_second_per_host": 3, "half_open_per_destination": 4, "half_open": 5, "reserve": 6,
    "ipv6_host_prefix": 56, "except": ["10.0.0.1", "fd00::/8"], "refusal": "prohibited"}})");
  CHECK(own.limits.hosts.sessions == 1);
  CHECK(own.limits.hosts.ports == 2);
  CHECK(own.limits.hosts.per_second == 3);
  CHECK(own.limits.half_open.each == 4);
  CHECK(own.limits.half_open.in_all == 5);
  CHECK(own.limits.reserve == 6);
  CHECK(own.limits.hosts.prefix_v6 == 56);
  CHECK(own.limits.hosts.except.size() == 2);
  CHECK(own.limits.answer == path::Limits::Answer::prohibited);
  CHECK(to_json(from_json(to_json(own), "/")) == to_json(own));
}

TEST_CASE("limits: what is wrong in them is refused with its place") {
  for (const Bad& bad : {
           Bad{R"({"limits": {"sessions_per_host": -1}})", "/limits/sessions_per_host", "0 to"},
           Bad{R"({"limits": {"ports_per_host": 1e9}})", "/limits/ports_per_host", "whole number"},
           Bad{R"({"limits": {"new_per_second_per_host": 1000001}})",
               "/limits/new_per_second_per_host", "0 to 1000000"},
           Bad{R"({"limits": {"half_open_per_destination": 4097}})",
               "/limits/half_open_per_destination", "0 to 4096"},
           Bad{R"({"limits": {"half_open": 65537}})", "/limits/half_open", "0 to 65536"},
           Bad{R"({"limits": {"reserve": 64}, "conntrack": {"max": 64}})", "/limits/reserve",
               "leaves nothing"},
           Bad{R"({"limits": {"ipv6_host_prefix": 129}})", "/limits/ipv6_host_prefix", "32 to 128"},
           Bad{R"({"limits": {"except": "10.0.0.1"}})", "/limits/except", "list"},
           Bad{R"({"limits": {"except": ["10.0.0.1/33"]}})", "/limits/except/0", "10.0.0.1/33"},
           Bad{R"({"limits": {"refusal": "reset"}})", "/limits/refusal",
               "host, prohibited, silent"},
           Bad{R"({"limits": {"sessions": 1}})", "/limits/sessions", "known here"},
       })
    check_refused(bad, config);
}
