// Packets judged by chain forward, for tests of what rules ask.

#pragma once

#include <stdexcept>
#include <string>

#include "tests/support/packet_builder.hpp"
#include "tests/support/rule_lab.hpp"

namespace masqgate::test {

inline constexpr firewall::Decision kDrop{firewall::Decision::Kind::drop};

// A parsed packet as chain forward sees it.
struct Parsed {
  FramePool pool{2};
  Packet packet;
  explicit Parsed(const PacketBuilder& builder) {
    packet.frame = pool.take();
    builder.fill(packet.frame);
    const auto problem = parse(packet);
    if (problem) throw std::logic_error{std::string{name(*problem)}};
    packet.ingress = 0;
    packet.egress = 1;
    packet.state = ConnState::new_;
  }
};

inline std::string forward(const std::string& matches, const std::string& action = "\"drop\"") {
  return R"({"forward": {"rules": [{"id": "r")" + (matches.empty() ? "" : ", " + matches) +
         R"(, "action": )" + action + "}]}}";
}

inline bool drops(RuleLab& lab, const PacketBuilder& builder) {
  Parsed parsed{builder};
  return lab.judge(firewall::Hook::forward, parsed.packet) == kDrop;
}

}  // namespace masqgate::test
