// What a test says of a packet, as a list of sentences:
//   CHECK(mismatch(packet, {source("203.0.113.7"), ttl(63), good_checksums()}) == "");
// The answer is empty, or names every sentence that does not hold and describes the packet.

#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"
#include "daemon/wire/vnet_header.hpp"

namespace masqgate::test {

// Every checksum of an IP packet, quoted IPv4 headers too: empty if all are right, else which one
// is not. offload as in Frame, counted from the IP packet: a partial checksum must be the pseudo
// header's sum.
std::string checksum_problem(wire::Bytes ip_packet, const wire::VnetHeader& offload = {});
inline bool good_checksums(wire::Bytes ip_packet, const wire::VnetHeader& offload = {}) {
  return checksum_problem(ip_packet, offload).empty();
}
// The packet quoted by an ICMP error; empty where it quotes none.
wire::Bytes quote_in(wire::Bytes ip_packet);

// One sentence; problem() answers with what is there instead, or with nothing.
struct PacketCheck {
  std::string claim;
  std::function<std::optional<std::string>(wire::Bytes ip_packet)> problem;
};

PacketCheck source(std::string_view address);
PacketCheck source(std::string_view address, net::Port port);
PacketCheck destination(std::string_view address);
PacketCheck destination(std::string_view address, net::Port port);
PacketCheck protocol(net::Protocol protocol);
PacketCheck ttl(unsigned value);  // or hop limit
PacketCheck tos(unsigned value);  // or traffic class
PacketCheck tcp_flags(std::string_view letters);
PacketCheck icmp_type(unsigned type, unsigned code);
PacketCheck icmp_identifier(unsigned value);
PacketCheck payload(std::string_view text);  // of the transport header
PacketCheck good_checksums(wire::VnetHeader offload);
PacketCheck good_checksums();
// The packet that an ICMP error is about; its transport checksum must be right too where the whole
// of it is quoted.
PacketCheck quotes(std::initializer_list<PacketCheck> checks);

std::string mismatch(wire::Bytes ip_packet, std::initializer_list<PacketCheck> checks);

}  // namespace masqgate::test
