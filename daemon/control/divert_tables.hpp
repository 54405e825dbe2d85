// What the desk of diverted packets shows: a copy of its numbers, taken on the shard's thread, and the
// files of the virtual tree that are made of it.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/divert/desk.hpp"

namespace masqgate::control {

struct ListenerCopy {
  divert::Member member = divert::kNoMember;
  divert::Peer peer;
  std::string name;
  std::uint16_t port = 0;
  std::string_view group;      // how it shares: "flow", "any", "tee"; empty: nobody
  std::string_view transport;  // Listener::transport(); empty: nobody
  bool ordered = false, blocked = false, draining = false;
  std::int16_t priority = 0;
  std::uint16_t weight = 1;
  std::uint32_t credit = 0, snapshot = 0;
  std::size_t outstanding = 0, queued = 0, queued_bytes = 0;
  divert::ListenerCounters counters;
  divert::Latency latency;

  bool is_tee() const { return group == "tee"; }
  // Packets in a frame, on average.
  double batch() const {
    return counters.frames == 0
               ? 0
               : static_cast<double>(counters.delivered) / static_cast<double>(counters.frames);
  }
};

struct DeskCopy {
  struct PortCopy {
    std::uint16_t number = 0;
    std::size_t held = 0, bytes = 0, waiting = 0;
    divert::PortCounters counters;
  };
  std::size_t held = 0, bytes = 0;
  std::uint64_t rules_gone = 0;
  std::vector<PortCopy> ports;
  std::vector<ListenerCopy> listeners;  // port by port, in the order in which packets come to them

  // Of a listener that is there.
  const PortCopy& port_of(const ListenerCopy& one) const;
};

DeskCopy copy_desk(const divert::Desk& desk, std::uint64_t rules_gone);

// net/divert: a row for each listener, and one for each port without any. What is counted for a port
// stands in each of its rows.
std::string divert_text(const DeskCopy& copy);
// As Linux' /proc/net/netfilter/nfnetlink_queue, for scripts that watch queues there.
std::string queue_text(const DeskCopy& copy);

}  // namespace masqgate::control
