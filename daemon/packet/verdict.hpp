// What a stage says about a packet, and the one list of reasons for which packets are dropped.
//
// No silent drop: a new reason is a new word here; it is counted and shown by every door.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace masqgate {

enum class DropReason : std::uint8_t {
  malformed_frame,      // shorter than its link header, or a GSO header that contradicts the packet
  malformed_ip,         // version, lengths, extension headers
  malformed_transport,  // cut off inside its TCP, UDP or ICMP header
  bad_checksum,         // IP header checksum, or that of an ICMP error (I-04)
  other_host,           // a frame flooded by the bridge for somebody else's MAC address
  unknown_ethertype,    // a TUN port got what is not IP
  forwarding_off,       // ip_forward is 0
  martian,              // a source or destination that no router forwards
  land,                 // source and destination are the same (K-28)
  spoofed_source,       // its sender cannot stand behind the port it came in by
  source_route,         // IPv4 source route options, IPv6 routing header 0 (R-27, S6-04)
  group_destination,    // multicast or broadcast that would have to be forwarded
  ttl_exceeded,         // answered with ICMP time exceeded
  no_route,             // answered with ICMP unreachable
  route_prohibits,      // a blackhole, unreachable or prohibit route
  egress_not_ours,      // the route leaves through an interface that is no port of masqgate
  egress_down,          // the port has lost its carrier or was taken down
  rule,                 // a firewall rule or policy said drop
  rejected,             // a firewall rule said reject; the sender was told
  mirrored,             // a firewall rule said mirror; its sender got it back
  unsolicited,          // from outside to an address of a pool, where nobody has a mapping for it
  unsolicited_error,    // an ICMP error about no connection of ours (I-09)
  implausible_error,    // an ICMP error about what is not on its way, or with an MTU that is none
  out_of_window,        // TCP: a sequence number or acknowledgement that cannot be (TS-01, TS-04)
  table_full,           // no room for another connection
  host_sessions,        // the host inside has as many connections as it may
  host_ports,           // … as many outside ports
  host_rate,            // … begins them faster than it may
  no_free_ports,        // masquerading found no port
  no_outside_address,   // masquerading through a port that has no address
  address_lost,      // a connection may not leave its outside address, which is gone (ip_dynaddr)
  untranslatable,    // masquerading asked for, but nothing to translate it by (K-29)
  tuple_clash,       // another connection has the same reply tuple
  fragment,          // a later fragment whose first one did not come
  fragment_overlap,  // fragments that say two things of one byte (RFC 5722, F-03)
  fragment_limit,    // more pieces, or more datagrams begun by one source, than are taken
  fragment_timeout,  // a datagram that was not put together in time
  fragmented_discovery,  // neighbour discovery in fragments (RFC 6980, F-13)
  too_big,               // larger than the next link, don't-fragment set; the sender was told
  neighbour_unresolved,  // too many packets wait for this next hop already
  neighbour_failed,      // the next hop does not answer; the sender was told
  no_frames,             // all frames of the shard are parked somewhere
  egress_full,           // the device took no more
  divert_nobody,         // diverted, and nobody listens
  divert_full,           // diverted, and too many wait already
  divert_late,           // diverted, and no verdict came in time
  divert_died,           // diverted, and its listener is gone
  divert_verdict,        // diverted, and its listener said drop
  divert_loop,           // diverted or injected too often
  divert_bad_packet,     // its listener made something of it that is no sound packet
  helper_waits,   // what a helper reads came out of order, or too much at once; it comes again
  helper_lost,    // a restart has lost what a helper had changed; both ends are told
  shutting_down,  // no policy (yet): masqgate is starting or stopping
  count_,
};

inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count_);
inline constexpr std::array<std::string_view, kDropReasons> kDropReasonNames{"malformed_frame",
                                                                             "malformed_ip",
                                                                             "malformed_transport",
                                                                             "bad_checksum",
                                                                             "other_host",
                                                                             "unknown_ethertype",
                                                                             "forwarding_off",
                                                                             "martian",
                                                                             "land",
                                                                             "spoofed_source",
                                                                             "source_route",
                                                                             "group_destination",
                                                                             "ttl_exceeded",
                                                                             "no_route",
                                                                             "route_prohibits",
                                                                             "egress_not_ours",
                                                                             "egress_down",
                                                                             "rule",
                                                                             "rejected",
                                                                             "mirrored",
                                                                             "unsolicited",
                                                                             "unsolicited_error",
                                                                             "implausible_error",
                                                                             "out_of_window",
                                                                             "table_full",
                                                                             "host_sessions",
                                                                             "host_ports",
                                                                             "host_rate",
                                                                             "no_free_ports",
                                                                             "no_outside_address",
                                                                             "address_lost",
                                                                             "untranslatable",
                                                                             "tuple_clash",
                                                                             "fragment",
                                                                             "fragment_overlap",
                                                                             "fragment_limit",
                                                                             "fragment_timeout",
                                                                             "fragmented_discovery",
                                                                             "too_big",
                                                                             "neighbour_unresolved",
                                                                             "neighbour_failed",
                                                                             "no_frames",
                                                                             "egress_full",
                                                                             "divert_nobody",
                                                                             "divert_full",
                                                                             "divert_late",
                                                                             "divert_died",
                                                                             "divert_verdict",
                                                                             "divert_loop",
                                                                             "divert_bad_packet",
                                                                             "helper_waits",
                                                                             "helper_lost",
                                                                             "shutting_down"};
static_assert(!kDropReasonNames.back().empty());

constexpr std::string_view name(DropReason reason) {
  return kDropReasonNames[static_cast<std::size_t>(reason)];
}

class [[nodiscard]] Verdict {
 public:
  enum class Kind : std::uint8_t {
    accept,  // walk on
    drop,    // end, counted under reason()
    stolen,  // somebody else owns the packet now and may bring it back
    local,   // the packet is for the router itself: walk the input list
  };

  static constexpr Verdict accept() { return Verdict{Kind::accept, {}}; }
  static constexpr Verdict drop(DropReason reason) { return Verdict{Kind::drop, reason}; }
  static constexpr Verdict stolen() { return Verdict{Kind::stolen, {}}; }
  static constexpr Verdict local() { return Verdict{Kind::local, {}}; }

  constexpr Kind kind() const { return kind_; }
  constexpr bool accepted() const { return kind_ == Kind::accept; }
  constexpr DropReason reason() const { return reason_; }  // of a drop
  constexpr bool operator==(const Verdict&) const = default;

 private:
  constexpr Verdict(Kind kind, DropReason reason) : kind_{kind}, reason_{reason} {}
  Kind kind_;
  DropReason reason_;
};

}  // namespace masqgate
