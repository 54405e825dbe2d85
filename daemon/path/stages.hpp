// The stages of the corridor, each a few lines that call one room.

#pragma once

#include "daemon/firewall/match.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::divert {
struct Place;
}

namespace masqgate::path {

class Shard;

// Bytes of the biggest IP packet that this one will be on the link: a GSO packet counts as one
// segment.
std::size_t size_on_link(const Packet& packet);

namespace stages {

// Asks the chain of a hook, from its start or from where the packet was taken out.
Verdict judge(Shard& shard, Packet& packet, firewall::Hook hook,
              const divert::Place* from = nullptr);

Verdict defragment(Shard& shard, Packet& packet);
Verdict syn_proxy(Shard& shard, Packet& packet);
Verdict track(Shard& shard, Packet& packet);
Verdict prerouting(Shard& shard, Packet& packet);
Verdict dnat(Shard& shard, Packet& packet);
Verdict route(Shard& shard, Packet& packet);
Verdict ttl(Shard& shard, Packet& packet);
Verdict forward(Shard& shard, Packet& packet);
Verdict input(Shard& shard, Packet& packet);
Verdict output(Shard& shard, Packet& packet);
Verdict postrouting(Shard& shard, Packet& packet);
Verdict snat(Shard& shard, Packet& packet);
Verdict leaving(Shard& shard, Packet& packet);
Verdict help(Shard& shard, Packet& packet);
Verdict confirm(Shard& shard, Packet& packet);
Verdict show(Shard& shard, Packet& packet);
Verdict fit(Shard& shard, Packet& packet);
Verdict resolve(Shard& shard, Packet& packet);
Verdict transmit(Shard& shard, Packet& packet);
Verdict deliver(Shard& shard, Packet& packet);

// Gives a fragment to its datagram. Accepted: the packet is all of it now.
Verdict put_together(Shard& shard, Packet& packet);

// Exchanges source and destination, and sends the packet to where its source was.
Verdict send_back(Shard& shard, Packet& packet);

// Shared with the short cut.
void take_hop(Packet& packet);
void give_hop_back(Packet& packet);
void write_link_header(Shard& shard, Packet& packet);

}  // namespace stages
}  // namespace masqgate::path
