// A router in memory with helpers switched on, for stories of datagrams and calls: what leaves for
// a packet that arrives, and what the helpers have counted.

#pragma once

#include <doctest/doctest.h>

#include "tests/path/tcp_ends.hpp"

namespace masqgate::test {

using helper::Refusal;

inline constexpr auto kAlice = "192.168.1.10", kBob = "192.168.1.11", kServer = "198.51.100.1",
                      kOurs = "203.0.113.7", kStranger = "198.51.100.66";

inline net::Endpoint at(const char* text, net::Port port) {
  return {address(text), port};
}

inline std::string b16(unsigned v) {
  return {static_cast<char>(v >> 8), static_cast<char>(v)};
}

struct HelperRouter : TestRouter {
  explicit HelperRouter(std::initializer_list<const char*> helpers = {}) {
    know(kLan, kBob);
    for (const char* name : helpers) policy.helpers.services[place(name)].enabled = true;
    apply();
  }
  static std::size_t place(std::string_view name) {
    const auto all = helper::all_helpers();
    return static_cast<std::size_t>(std::ranges::find(all, helper::find_helper(name)) -
                                    all.begin());
  }
  const helper::HelperCounters& counters(std::string_view name) {
    return shard.helpers().counters()[place(name)];
  }
  std::uint64_t refused(std::string_view name, Refusal why) {
    return counters(name).refusals[static_cast<std::size_t>(why)];
  }
  // The packet that leaves at this port for one that arrived at the other; none: nothing left.
  std::optional<Packet> pass_on(PortIndex from, const PacketBuilder& packet) {
    const PortIndex to = from == kLan ? kWan : kLan;
    left(to);
    arrive(from, packet);
    const auto out = left(to);
    left(from);
    if (out.empty()) return std::nullopt;
    Packet parsed;
    parsed.frame = pool.take();
    parsed.frame.set_ip_size(out[0].bytes.size());
    std::ranges::copy(out[0].bytes, parsed.frame.ip().begin());
    if (parse(parsed)) throw std::logic_error{"a packet left that does not parse"};
    return parsed;
  }
  // What a datagram says when it has got through.
  std::string say(PortIndex from, net::Endpoint sender, net::Endpoint receiver,
                  std::string_view text) {
    const auto out = pass_on(from, udp().from(sender).to(receiver).payload(text));
    if (!out) return "nothing";
    std::string result;
    for (const std::byte b : out->transport().subspan(8)) result += static_cast<char>(b);
    last = out->tuple;
    return result;
  }
  // An error about what has left for the server, as this host gets it; its quote is what the host
  // sent.
  std::optional<Packet> error_for(const char* host, PacketBuilder error) {
    auto in = pass_on(kWan, error.from(kServer).to(kOurs));
    REQUIRE(in);
    CHECK(in->tuple.destination_address == address(host));
    REQUIRE(in->quoted);
    CHECK(in->quoted->source_address == address(host));
    return in;
  }
  FramePool pool{4};
  Tuple last;
};

}  // namespace masqgate::test
