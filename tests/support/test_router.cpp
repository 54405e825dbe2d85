#include "tests/support/test_router.hpp"

#include "daemon/wire/describe.hpp"
#include "daemon/wire/ethernet.hpp"

namespace masqgate::test {
namespace {

route::Route route_to(const char* prefix, PortIndex egress, const char* gateway = nullptr,
                      route::Kind kind = route::Kind::unicast) {
  route::Route route;
  route.destination = *net::Prefix::parse(prefix);
  route.kind = kind;
  if (kind == route::Kind::local || kind == route::Kind::broadcast)
    route.table = route::kLocalTable;
  route::NextHop hop;
  hop.egress = egress;
  if (gateway != nullptr) hop.gateway = address(gateway);
  route.next_hops = {hop};
  return route;
}

std::shared_ptr<const route::Table> routes() {
  using route::Kind;
  return std::make_shared<route::Table>(
      std::vector<route::Route>{route_to("192.168.1.0/24", kLan), route_to("203.0.113.0/24", kWan),
                                route_to("0.0.0.0/0", kWan, "203.0.113.1"),
                                route_to("fd00:1::/64", kLan), route_to("2001:db8:2::/64", kWan),
                                route_to("::/0", kWan, "2001:db8:2::1"),
                                route_to("192.168.1.1/32", kLan, nullptr, Kind::local),
                                route_to("203.0.113.7/32", kWan, nullptr, Kind::local),
                                route_to("fd00:1::1/128", kLan, nullptr, Kind::local),
                                route_to("2001:db8:2::7/128", kWan, nullptr, Kind::local),
                                route_to("192.168.1.255/32", kLan, nullptr, Kind::broadcast)},
      route::default_rules());
}

path::PortInfo port_info(const char* name, const char* mac_text,
                         std::vector<const char*> addresses) {
  path::PortInfo info;
  info.name = name;
  info.mac = mac(mac_text);
  for (const char* text : addresses) info.addresses.push_back(*net::InterfaceAddress::parse(text));
  return info;
}

}  // namespace

TestRouter::TestRouter(path::ShardOptions options) : shard{options, HashKey{42, 43}, asker, now_} {
  policy.routes = routes();
  policy.ports = {port_info("lan", kLanMac, {"192.168.1.1/24", "fd00:1::1/64"}),
                  port_info("wan", kWanMac, {"203.0.113.7/24", "2001:db8:2::7/64"})};
  nat::SourceRule masquerade;
  masquerade.egress = kWan;
  masquerade.selector.source = *net::Prefix::parse("192.168.1.0/24");
  policy.nat.source = {masquerade};
  for (const PortIndex port : {kLan, kWan})
    for (const Side side : {Side::network, Side::host})
      shard.attach(port, side, &interfaces_[port][static_cast<std::size_t>(side)]);
  apply();
  for (const char* neighbour : {"192.168.1.10", "192.168.1.11", "fd00:1::10"})
    know(kLan, neighbour);
  for (const char* neighbour : {"203.0.113.1", "203.0.113.50", "2001:db8:2::1"})
    know(kWan, neighbour);
  shard.set_trace(&trace);
}

void TestRouter::know(PortIndex port, std::string_view text, neighbour::State state) {
  const bool known = state != neighbour::State::failed && state != neighbour::State::unresolved;
  shard.update_neighbour(port, address(text), known ? std::optional{mac(kHostMac)} : std::nullopt,
                         state, now_);
}

void TestRouter::route_marked(std::uint8_t mark, PortIndex egress, std::string_view gateway) {
  constexpr std::uint32_t kTable = 100;
  std::vector<route::Route> table{policy.routes->routes().begin(), policy.routes->routes().end()};
  route::Route other;
  other.destination = *net::Prefix::parse("0.0.0.0/0");
  other.table = kTable;
  route::NextHop hop;
  hop.egress = egress;
  hop.gateway = address(gateway);
  other.next_hops = {hop};
  table.push_back(other);
  auto by = route::default_rules();
  by.push_back({.priority = 100, .mark = mark, .mark_mask = 0xff, .table = kTable});
  policy.routes = std::make_shared<route::Table>(table, by);
  apply();
}

void TestRouter::arrive_frame(PortIndex port, Side side, Octets frame, wire::VnetHeader offload) {
  MemoryInterface& interface = interfaces_[port][static_cast<std::size_t>(side)];
  interface.put(std::move(frame), offload);
  shard.drain(port, side, interface, 64, now_);
}

void TestRouter::arrive(PortIndex port, const PacketBuilder& packet) {
  arrive_frame(port, Side::network, packet.frame_bytes(port == kLan ? kLanMac : kWanMac, kHostMac),
               packet.offload());
}

void TestRouter::send_from_host(PortIndex port, const PacketBuilder& packet) {
  arrive_frame(port, Side::host, packet.frame_bytes(kHostMac, port == kLan ? kLanMac : kWanMac),
               packet.offload());
}

std::vector<MemoryInterface::Stored> TestRouter::left(PortIndex port, Side side) {
  auto frames = interfaces_[port][static_cast<std::size_t>(side)].take();
  for (auto& frame : frames) frame.bytes.erase(frame.bytes.begin(), frame.bytes.begin() + 14);
  return frames;
}

Octets TestRouter::one(PortIndex port, Side side) {
  const auto frames = left(port, side);
  if (frames.size() == 1) return frames.front().bytes;
  std::string all = std::to_string(frames.size()) + " packets instead of one:\n";
  for (const auto& frame : frames) all += wire::describe_ip(frame.bytes) + "\n";
  throw std::logic_error{all + trace.text()};
}

void TestRouter::pass(Duration duration) {
  now_ += duration;
  shard.tick(now_);
}

std::string TestRouter::imbalance() const {
  const path::Counters& c = shard.counters();
  const std::uint64_t in = c.frames_in + c.frames_made;
  const std::uint64_t out = c.frames_out + c.consumed + c.dropped() + shard.parked();
  return in == out ? "" : std::to_string(in) + " in, " + std::to_string(out) + " accounted for";
}

PacketBuilder answer_to(wire::Bytes ip_packet, PacketBuilder answer) {
  FramePool pool{1};
  Packet packet;
  packet.frame = pool.take();
  packet.frame.set_ip_size(ip_packet.size());
  std::ranges::copy(ip_packet, packet.frame.ip().begin());
  if (parse(packet)) throw std::logic_error{"an answer to what does not parse"};
  return answer.from(packet.tuple.destination()).to(packet.tuple.source());
}

}  // namespace masqgate::test
