// A connection table whose packets are tracked, confirmed and counted as the corridor would, for
// tests of daemon/conntrack.

#pragma once

#include "daemon/conntrack/track.hpp"
#include "tests/support/frames.hpp"

namespace masqgate::test {

using conntrack::Connection;
using conntrack::Table;
using conntrack::TcpState;

inline constexpr Time kStart{std::chrono::seconds{1000}};

struct Lab {
  using Profile = conntrack::Profile;
  explicit Lab(Profile profile = Profile::linux_24, std::size_t capacity = 16)
      : timeouts{conntrack::Timeouts::of(profile)},
        table{conntrack::Region{"", capacity}, kStart} {}

  Packet see(const PacketBuilder& builder) {
    Packet packet = packet_of(frames, builder);
    problem = conntrack::track(packet, table, timeouts, now);
    Connection* c = packet.connection;
    if (c != nullptr && !c->has(Connection::kConfirmed))
      table.confirm(*c, now, conntrack::timeout_of(*c, timeouts));
    return packet;
  }
  void pass(Duration duration) {
    now += duration;
    while (table.expire(now, 1000) > 0) {}
  }
  // Seconds until the only connection is forgotten, or -1.
  long long left() const {
    for (std::uint32_t i = 0; i < table.capacity(); ++i)
      if (table.at(i).has(Connection::kConfirmed))
        return std::chrono::duration_cast<std::chrono::seconds>(table.at(i).expires() - now)
            .count();
    return -1;
  }

  FramePool frames{8};
  conntrack::Timeouts timeouts;
  Table table;
  Time now = kStart;
  std::optional<DropReason> problem;
};

inline PacketBuilder client(std::string_view flags) {
  return tcp().from("192.168.1.10", 4000).to("198.51.100.1", 80).flags(flags);
}
inline PacketBuilder server(std::string_view flags) {
  return tcp().from("198.51.100.1", 80).to("192.168.1.10", 4000).flags(flags);
}

}  // namespace masqgate::test
