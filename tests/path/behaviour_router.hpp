// A router in memory whose masquerading behaves as a profile says, and packets that try it.

#pragma once

#include <doctest/doctest.h>

#include "tests/support/test_router.hpp"

namespace masqgate::test {

inline net::Prefix prefix(const char* text) {
  return *net::Prefix::parse(text);
}
inline nat::AddressRange range(const char* first, const char* last) {
  return {address(first), address(last)};
}

struct BehaviourRouter : TestRouter {
  explicit BehaviourRouter(const nat::Behaviour& behaviour = nat::kRfc, bool shortcuts = true)
      : TestRouter{{.region = {}, .max_connections = 4096, .take_shortcuts = shortcuts}} {
    policy.nat.source[0].behaviour = behaviour;
    apply();
    for (int host = 10; host < 30; ++host) know(kLan, "192.168.1." + std::to_string(host));
  }

  // The source that the packet has outside; port 0 if none came out.
  net::Endpoint sent(const PacketBuilder& packet, PortIndex from = kLan, PortIndex to = kWan) {
    arrive(from, packet);
    const auto out = left(to);
    if (out.size() != 1) return {};
    return tuple_of(out[0].bytes).source();
  }
  // Whether the packet from outside reached this host inside.
  bool reaches(const PacketBuilder& packet, std::string_view host, net::Port port) {
    arrive(kWan, packet);
    const auto in = left(kLan);
    left(kWan);
    return in.size() == 1 &&
           tuple_of(in[0].bytes).destination() == net::Endpoint{address(host), port};
  }

  static Tuple tuple_of(wire::Bytes ip_packet) {
    FramePool pool{1};
    Packet packet;
    packet.frame = pool.take();
    packet.frame.set_ip_size(ip_packet.size());
    std::ranges::copy(ip_packet, packet.frame.ip().begin());
    REQUIRE_FALSE(parse(packet));
    return packet.tuple;
  }
};

inline PacketBuilder ask(std::string_view host, net::Port port, std::string_view peer,
                         net::Port peer_port) {
  return udp().from(host, port).to(peer, peer_port).payload("x");
}
inline PacketBuilder from_outside(std::string_view peer, net::Port peer_port, net::Endpoint to) {
  return udp().from(peer, peer_port).to(to.address.text(), to.port).payload("y");
}

}  // namespace masqgate::test
