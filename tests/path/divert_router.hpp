// A shard whose rules divert to a listener without sockets: frames in, records out, verdicts by hand.

#pragma once

#include <doctest/doctest.h>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/support/test_router.hpp"
#include "tests/unit/divert_lab.hpp"

namespace masqgate::test {

using format::Action;

inline const std::vector<std::string> kPortNames{"lan", "wan"};

struct DivertRouter {
  explicit DivertRouter(const std::string& rules,
                        path::ShardOptions options = {.region = {}, .max_connections = 1024})
      : router{options} {
    load(rules);
  }

  void load(const std::string& firewall) {
    const auto document = json::Json::parse(firewall);
    router.policy.ruleset = std::make_shared<firewall::Ruleset>(
        firewall::from_json(json::Value{document, "/firewall"}, kPortNames));
    router.apply();
  }
  Desk& desk() { return router.shard.diverting().desk(); }
  void connect(std::uint32_t permissions = Access::kEverything, std::uint16_t flags = 0) {
    format::BindHeader bind;
    bind.port = 2222;
    bind.permissions = permissions;
    bind.flags = flags;
    member = desk().attach(channel, {});
    REQUIRE(desk().receive(member, frame_of_records({bytes_of(bind)}, format::Kind::control),
                           router.now()));
    hear(channel);
  }
  Heard listen() {
    desk().flush(router.now());
    return hear(channel);
  }
  void say(format::VerdictHeader header, const Octets& data = {}) {
    if (!data.empty()) {
      header.flags |= format::kModified;
      header.argument = static_cast<std::uint16_t>(data.size());
    }
    Octets record = bytes_of(header);
    record.insert(record.end(), data.begin(), data.end());
    record.resize(format::padded(record.size()));
    const format::U32 length{static_cast<std::uint32_t>(record.size())};
    std::memcpy(record.data(), &length, 4);
    REQUIRE(desk().receive(member, frame_of_records({record}), router.now()));
  }
  void say(std::uint64_t id, Action action) { say(DivertLab::verdict(id, action)); }
  // The listener's only packet, accepted as it is.
  void accept_one() { say(listen().packets.at(0).id, Action::accept); }

  TestRouter router;
  FakeChannel channel;
  Member member = kNoMember;
};

// A frame with a packet out of nothing.
inline Octets injection(const PacketBuilder& packet, format::InjectHeader header = {}) {
  const Octets data = packet.ip_bytes();
  header.data_length = static_cast<std::uint32_t>(data.size());
  Octets record = bytes_of(header);
  record.insert(record.end(), data.begin(), data.end());
  record.resize(format::padded(record.size()));
  const format::U32 length{static_cast<std::uint32_t>(record.size())};
  std::memcpy(record.data(), &length, 4);
  return frame_of_records({record});
}

inline PacketBuilder question(std::string_view text = "question") {
  return udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload(text);
}

}  // namespace masqgate::test
