// A whole router in memory: one shard, ports "lan" (192.168.1.1/24) and "wan" (203.0.113.7/24,
// default route via 203.0.113.1), IPv6 beside it, every neighbour known. Frames in, frames out,
// time by hand.

#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemon/path/shard.hpp"
#include "daemon/path/trace.hpp"
#include "daemon/port/memory_interface.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_checks.hpp"

namespace masqgate::test {

using port::MemoryInterface;

inline constexpr PortIndex kLan = 0, kWan = 1;
inline constexpr auto kLanMac = "02:00:00:00:00:11", kWanMac = "02:00:00:00:00:22";
inline constexpr auto kHostMac = "02:00:00:00:00:99";  // everybody else

// Remembers what Linux was asked.
struct FakeAsker final : neighbour::Asker {
  std::vector<std::pair<PortIndex, net::IpAddress>> asked;
  void ask(PortIndex port, net::IpAddress address) noexcept override {
    asked.emplace_back(port, address);
  }
};

class TestRouter {
 public:
  explicit TestRouter(path::ShardOptions options = {.region = {}, .max_connections = 1024});

  // A masquerading policy for IPv4 out of wan, forwarding on; change it and call apply().
  path::Policy policy;
  void apply() { shard.set_policy(std::make_shared<path::Policy>(policy)); }

  // Puts a frame on the network side of a port and lets the shard read it.
  void arrive(PortIndex port, const PacketBuilder& packet);
  void arrive_frame(PortIndex port, Side side, Octets frame, wire::VnetHeader offload = {});
  // Linux sends from the host side.
  void send_from_host(PortIndex port, const PacketBuilder& packet);

  // What left since the last call, as IP packets.
  std::vector<MemoryInterface::Stored> left(PortIndex port, Side side = Side::network);
  // Exactly one packet; throws std::logic_error that tells what was there instead, with the trace.
  Octets one(PortIndex port, Side side = Side::network);

  // The device takes no more.
  void set_full(PortIndex port, bool full) {
    interfaces_[port][static_cast<std::size_t>(Side::network)].set_full(full);
  }
  void pass(Duration duration);
  Time now() const { return now_; }
  std::uint64_t drops(DropReason reason) const {
    return shard.counters().drops[static_cast<std::size_t>(reason)];
  }
  // Frames in + made = out + consumed + parked + drops; empty if so.
  std::string imbalance() const;
  conntrack::Connection* connection(const Tuple& tuple) {
    return shard.connections().find(tuple).connection;
  }
  void know(PortIndex port, std::string_view address,
            neighbour::State state = neighbour::State::usable);
  // Packets whose mark ends with this byte leave by another gateway (`ip rule fwmark`), from now on.
  void route_marked(std::uint8_t mark, PortIndex egress, std::string_view gateway);

  FakeAsker asker;

 private:
  Time now_{std::chrono::seconds{1000}};  // the shard begins with it

 public:
  path::Shard shard;
  path::Trace trace;

 private:
  std::array<std::array<MemoryInterface, 2>, 2> interfaces_;
};

// The answer to a packet that was seen on a network: source and destination exchanged.
PacketBuilder answer_to(wire::Bytes ip_packet, PacketBuilder answer);

}  // namespace masqgate::test
