// Unit tests of what rules do with packets: one row of F3 each that needs no router.

#include <doctest/doctest.h>

#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_checks.hpp"
#include "tests/support/rule_lab.hpp"

using namespace masqgate;
using namespace masqgate::firewall;
using namespace masqgate::test;

namespace {

Octets octets_of(std::initializer_list<int> numbers) {
  Octets all;
  for (const int one : numbers) all.push_back(static_cast<std::byte>(one));
  return all;
}

// A packet that a rule with this action has seen.
struct Changed {
  FramePool pool{2};
  Packet packet;
  RuleLab lab;
  Changed(const PacketBuilder& builder, const std::string& action, const char* chain,
          PortIndex egress = 1, const char* protocol = "")
      : lab{R"({")" + std::string{chain} + R"(": {"rules": [{)" + protocol + R"("action": )" +
            action + "}]}}"} {
    packet.frame = pool.take();
    builder.fill(packet.frame);
    if (parse(packet)) throw std::logic_error{"malformed"};
    packet.ingress = 0;
    packet.egress = egress;
    lab.memory.now = Time{std::chrono::seconds{5000}};
    lab.memory.mtus = {1500, 1400};
    const auto at = std::ranges::find(kHookNames, chain);
    lab.judge(static_cast<Hook>(at - kHookNames.begin()), packet);
  }
  wire::Bytes bytes() const { return packet.frame.ip(); }
  std::string tell(std::initializer_list<PacketCheck> checks) const {
    return mismatch(bytes(), checks);
  }
};

std::optional<unsigned> mss_of(const Packet& packet) {
  const auto tcp = wire::Tcp::parse(packet.transport());
  const wire::Bytes option = wire::find_tcp_option(tcp->options(), 2, 4);
  if (option.empty()) return std::nullopt;
  return wire::load16(option, 2);
}

}  // namespace

TEST_CASE("F3 TOS and DSCP: the bits of the mask change, checksums are right, both families") {
  for (const char* destination : {"198.51.100.1", "2001:db8::1"}) {
    const bool v4 = std::string_view{destination}.find(':') == std::string_view::npos;
    const auto packet =
        udp().from(v4 ? "10.0.0.1" : "2001:db8::2").to(destination).tos(0xff).payload("x");
    CHECK(Changed{packet, R"({"tos": "0x08/0x1e"})", "forward"}.tell(
              {tos(0xe9), good_checksums()}) == "");
    CHECK(Changed{packet, R"({"tos": 0})", "prerouting"}.tell({tos(0), good_checksums()}) == "");
    CHECK(Changed{packet, R"({"dscp": 10})", "output"}.tell({tos(0x2b), good_checksums()}) == "");
    CHECK(Changed{packet, R"({"dscp": 10})", "output"}.packet.not_remembered);
  }
}

TEST_CASE("F3 TTL: set, more and less, never 0, never up for what goes back") {
  struct Case {
    const char* action;
    unsigned before, after;
    PortIndex egress;
  };
  for (const Case& c : {Case{R"({"ttl": 64})", 3, 64, 1}, Case{R"({"ttl": 64})", 200, 64, 1},
                        Case{R"({"ttl": "+1"})", 63, 64, 1}, Case{R"({"ttl": "+9"})", 250, 255, 1},
                        Case{R"({"ttl": "-2"})", 63, 61, 1}, Case{R"({"ttl": "-9"})", 5, 1, 1},
                        Case{R"({"ttl": 64})", 3, 3, 0}, Case{R"({"ttl": "+1"})", 3, 3, 0},
                        Case{R"({"ttl": 2})", 3, 2, 0}}) {
    CAPTURE(std::string{c.action});
    CAPTURE(c.before);
    for (const bool v4 : {true, false}) {
      const auto packet = udp()
                              .from(v4 ? "10.0.0.1" : "2001:db8::2")
                              .to(v4 ? "10.0.0.2" : "2001:db8::1")
                              .ttl(c.before);
      CHECK(Changed{packet, c.action, "postrouting", c.egress}.tell(
                {ttl(c.after), good_checksums()}) == "");
    }
  }
}

TEST_CASE("F3 TCPMSS: set and clamp, with and without the option, both families") {
  const Octets mss1460 = octets_of({2, 4, 0x05, 0xb4});
  const Octets behind = octets_of({1, 2, 4, 0x05, 0xb4, 1, 1, 0});  // at an odd place
  struct Case {
    const char* name;
    PacketBuilder packet;
    const char* action;
    std::optional<unsigned> mss;
  };
  const auto v6 = [](PacketBuilder b) { return b.from("2001:db8::2", 5).to("2001:db8::1", 80); };
  for (const Case& c : {
           Case{"clamp to the smaller of both links", tcp().flags("S").tcp_options(mss1460),
                R"({"tcp_mss": "clamp"})", 1360u},
           Case{"clamp of IPv6", v6(tcp().flags("S").tcp_options(mss1460)),
                R"({"tcp_mss": "clamp"})", 1340u},
           Case{"clamp only lowers", tcp().flags("S").tcp_options(octets_of({2, 4, 2, 0})),
                R"({"tcp_mss": "clamp"})", 512u},
           Case{"set raises, too", tcp().flags("S").tcp_options(octets_of({2, 4, 2, 0})),
                R"({"tcp_mss": 1000})", 1000u},
           Case{"an option at an odd place", tcp().flags("S.").tcp_options(behind),
                R"({"tcp_mss": "clamp"})", 1360u},
           Case{"a missing option comes first",
                tcp().flags("S").tcp_options(octets_of({3, 3, 7, 0})), R"({"tcp_mss": 1000})",
                1000u},
           Case{"who says nothing means 536", tcp().flags("S"), R"({"tcp_mss": "clamp"})", 536u},
           Case{"who says nothing means 1220 in IPv6", v6(tcp().flags("S")),
                R"({"tcp_mss": "clamp"})", 1220u},
           Case{"a SYN with data gets no option", tcp().flags("S").payload("x"),
                R"({"tcp_mss": 1000})", std::nullopt},
           Case{"but its own is changed", tcp().flags("S").tcp_options(mss1460).payload("x"),
                R"({"tcp_mss": 1000})", 1000u},
           Case{"who is no SYN stays", tcp().flags("."), R"({"tcp_mss": 1000})", std::nullopt},
           Case{"the device counts the checksum", tcp().flags("S").partial_checksum(),
                R"({"tcp_mss": 1000})", 1000u},
       }) {
    CAPTURE(std::string{c.name});
    const Changed changed{c.packet, c.action, "forward", 1, R"("protocol": "tcp", )"};
    CHECK(mss_of(changed.packet) == c.mss);
    CHECK(changed.tell({good_checksums(changed.packet.frame.offload)}) == "");
  }
  const Changed first{tcp().flags("S").tcp_options(octets_of({3, 3, 7, 0})), R"({"tcp_mss": 1000})",
                      "forward", 1, R"("protocol": "tcp", )"};
  CHECK(wire::window_scale(wire::Tcp::parse(first.packet.transport())->options()) == 7);
}

TEST_CASE("F3 log: at a rate, the rest is counted and nothing grows") {
  RuleLab lab{
      R"({"forward": {"rules": [{"id": "l", "action": {"log": {"prefix": "new ", "rate": "1/day", "burst": 3}}}]}})"};
  lab.memory.now = Time{std::chrono::seconds{5000}};
  FramePool pool{2};
  Packet packet;
  packet.frame = pool.take();
  udp().from("10.0.0.1", 4).to("10.0.0.2", 5).payload_size(300).fill(packet.frame);
  REQUIRE_FALSE(parse(packet));
  packet.ingress = 2;
  for (int i = 0; i < 10; ++i) CHECK(lab.judge(Hook::forward, packet) == Decision{});
  std::uint64_t left_out = 0;
  const auto notes = lab.memory.log.take(left_out);
  REQUIRE(notes.size() == 3);
  CHECK(left_out == 7);
  CHECK(lab.ruleset().counter(notes[0].counter).rule == "l");
  CHECK(notes[0].size == 328);
  CHECK(notes[0].kept == LogNote::kHead);
  CHECK(notes[0].in == 2);
  CHECK(notes[0].head[9] == std::byte{17});
  CHECK(lab.memory.log.take(left_out).empty());
  CHECK(left_out == 0);
  LogRing ring;
  for (std::size_t i = 0; i < LogRing::kMost + 5; ++i) ring.add(packet, 0, lab.memory.now);
  CHECK(ring.take(left_out).size() == LogRing::kMost);
  CHECK(left_out == 5);
}

TEST_CASE("F3: actions in the wrong place or without sense are refused with their pointer") {
  struct Case {
    const char* text;
    const char* pointer;
    const char* says;
  };
  for (
      const Case& c : {
          Case{R"({"forward": {"rules": [{"action": {"ttl": 0}}]}})",
               "/firewall/forward/rules/0/action/ttl", "no TTL"},
          Case{R"({"forward": {"rules": [{"action": {"ttl": 5}}]}})",
               "/firewall/forward/rules/0/action", "means nothing in chain \"forward\""},
          Case{R"({"forward": {"rules": [{"action": "notrack"}]}})",
               "/firewall/forward/rules/0/action", "means nothing"},
          Case{
              R"({"a": {"rules": [{"action": "mirror"}]}, "output": {"rules": [{"action": {"jump": "a"}}]}})",
              "/firewall/a/rules/0/action", "in chain \"output\""},
          Case{
              R"({"prerouting": {"rules": [{"protocol": "tcp", "action": {"tcp_mss": "clamp"}}]}})",
              "/firewall/prerouting/rules/0/action", "means nothing"},
          Case{R"({"forward": {"rules": [{"action": {"tcp_mss": "clamp"}}]}})",
               "/firewall/forward/rules/0/action", "changes TCP only"},
          Case{R"({"forward": {"rules": [{"action": {"tos": "0x100"}}]}})",
               "/firewall/forward/rules/0/action/tos", "255"},
          Case{R"({"forward": {"rules": [{"action": {"reject": 16}}]}})",
               "/firewall/forward/rules/0/action/reject", "15"},
          Case{R"({"forward": {"rules": [{"action": {"log": {"prefix": "a\nb"}}}]}})",
               "/firewall/forward/rules/0/action/log/prefix", "control characters"},
          Case{R"({"forward": {"rules": [{"action": {"log": {"rate": "0/day"}}}]}})",
               "/firewall/forward/rules/0/action/log/rate", "never matches"},
          Case{R"({"forward": {"rules": [{"tcp_flags": "syn", "action": "drop"}]}})",
               "/firewall/forward/rules/0/tcp_flags", "of TCP only"},
          Case{
              R"({"forward": {"rules": [{"protocol": "tcp", "tcp_flags": "syn/ack", "action": "drop"}]}})",
              "/firewall/forward/rules/0/tcp_flags", "not in its mask"},
          Case{R"({"forward": {"rules": [{"icmp_type": 8, "action": "drop"}]}})",
               "/firewall/forward/rules/0/icmp_type", "means nothing without"},
          Case{R"({"forward": {"rules": [{"limit": "10001/second", "action": "drop"}]}})",
               "/firewall/forward/rules/0/limit", "10000"},
          Case{R"({"forward": {"rules": [{"limit": "3", "action": "drop"}]}})",
               "/firewall/forward/rules/0/limit", "no rate"},
          Case{R"({"forward": {"rules": [{"in": "x+", "action": "drop"}]}})",
               "/firewall/forward/rules/0/in", "begins with"},
          Case{R"({"forward": {"rules": [{"length": "9-8", "action": "drop"}]}})",
               "/firewall/forward/rules/0/length", "exchange the numbers"},
          Case{R"({"output": {"rules": [{"source_mac": "02:00:00:00:00:01", "action": "drop"}]}})",
               "/firewall/output/rules/0/source_mac", "not known in chain"},
          Case{R"({"forward": {"rules": [{"connections": {"length": 8}, "action": "drop"}]}})",
               "/firewall/forward/rules/0/connections", "one of"},
          Case{R"({"forward": {"rules": [{"time": {"from": "8:00"}, "action": "drop"}]}})",
               "/firewall/forward/rules/0/time/from", "time of day"},
          Case{R"({"forward": {"rules": [{"time": {"days": []}, "action": "drop"}]}})",
               "/firewall/forward/rules/0/time/days", "empty"},
          Case{R"({"forward": {"rules": [{"port_scan": {"weight": 900}, "action": "drop"}]}})",
               "/firewall/forward/rules/0/port_scan", "never weigh"},
      }) {
    CAPTURE(std::string{c.text});
    const Refusal refused = refusal(c.text);
    CHECK(refused.pointer == c.pointer);
    CHECK(refused.sentence.find(c.says) != std::string::npos);
  }
}

TEST_CASE("D1: packets of a hook go step by step only where a rule that they can meet diverts") {
  const Ruleset ruleset = rules(R"({
    "prerouting": {"rules": [{"action": "accept"}]},
    "forward": {"rules": [{"action": {"jump": "outer"}}]},
    "input": {"rules": [{"action": {"tee": 2223}}]},
    "outer": {"rules": [{"action": {"jump": "inner"}}]},
    "inner": {"rules": [{"action": {"divert": 2222}}]},
    "alone": {"rules": [{"action": {"divert": 2222}}]}})");
  for (const Hook hook : {Hook::prerouting, Hook::output, Hook::postrouting, Hook::leaving})
    CHECK_FALSE(ruleset.diverts(hook));
  CHECK(ruleset.diverts(Hook::forward));
  CHECK(ruleset.diverts(Hook::input));
}
