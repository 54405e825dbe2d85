// The bytes between masqgate and a program that packets are diverted to: format 1.0, as docs/divert.md tells it.
//
//   frame:   header 16 | record | record | …         one datagram of a SOCK_SEQPACKET socket
//   record:  prefix 8 (length, type, header length) | rest of the header | options | data | padding
//
// Numbers are little-endian, bytes of packets are as on the wire. Records begin and end at multiples of eight. A
// reader skips record types and trailing header fields that it does not know; a writer of another major version is
// refused. Both ends include this file, and it includes nothing of either.

#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace masqgate::divert::format {

// A little-endian number in memory.
template <typename Number>
class Little {
 public:
  constexpr Little() = default;
  constexpr Little(Number value) : raw_{swapped(value)} {}  // NOLINT: stands for the number
  constexpr operator Number() const { return swapped(raw_); }
  constexpr Number value() const { return swapped(raw_); }

 private:
  static constexpr Number swapped(Number value) {
    if constexpr (std::endian::native == std::endian::little) return value;
    using Bits = std::make_unsigned_t<Number>;
    Bits from = static_cast<Bits>(value), to = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i, from = static_cast<Bits>(from >> 8))
      to = static_cast<Bits>(to << 8 | (from & 0xff));
    return static_cast<Number>(to);
  }
  Number raw_ = 0;
};

using U16 = Little<std::uint16_t>;
using U32 = Little<std::uint32_t>;
using U64 = Little<std::uint64_t>;

inline constexpr std::uint32_t kMagic = 0x31545644;  // "DVT1"
inline constexpr std::uint8_t kMajor = 1, kMinor = 0;
// A frame is flushed before it exceeds kFullFrame, unless its one packet alone does.
inline constexpr std::size_t kFullFrame = 60 * 1024;
inline constexpr std::size_t kLargestFrame = 72 * 1024;
inline constexpr std::size_t kLargestPacket = 65535;

enum class Kind : std::uint8_t { control, packets, verdicts, notices };

struct FrameHeader {
  U32 magic = kMagic;
  std::uint8_t major = kMajor;
  std::uint8_t minor = kMinor;
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;  // kMoreBehind
  U32 length;              // of the whole frame
  U16 records;
  U16 lost;  // packets this listener missed since the frame before; saturates
};
inline constexpr std::uint8_t kMoreBehind = 1;
static_assert(sizeof(FrameHeader) == 16);

enum class Type : std::uint16_t {
  packet = 1,
  verdict = 2,
  inject = 3,
  notice = 4,
  flow = 5,      // for those that asked with kBindFlows
  listener = 6,  // for those that asked with kBindReflect
  bind = 18,
  bound = 19,
  drain = 23,
  bye = 24,
};

struct Prefix {
  U32 length;  // of the record: a multiple of eight
  U16 type;
  U16 header;  // bytes of the header, prefix included
};
static_assert(sizeof(Prefix) == 8);

// Flags of a packet.
inline constexpr std::uint32_t kTee = 1, kFragment = 2, kReassembled = 4, kNetworkSumGood = 8,
                               kTransportSumPartial = 32, kTruncated = 64, kLocalOrigin = 128,
                               kRedelivered = 256, kFirstOfFlow = 512, kInjected = 1024,
                               kGroupDestination = 2048, kIpv6 = 4096;
// Which addresses it has, where its rule says "view": those before or behind all translation.
inline constexpr std::uint32_t kAsItCame = 8192, kAsItLeaves = 16384;
// What tracking says of it.
inline constexpr std::uint32_t kNew = 1, kEstablished = 2, kRelated = 4, kReply = 8,
                               kSourceTranslated = 16, kDestinationTranslated = 32, kAssured = 64;

struct PacketHeader {
  Prefix prefix;
  U64 id;            // opaque; answers name it
  U64 timestamp_ns;  // CLOCK_BOOTTIME when it was diverted
  U64 flow;          // the same for both directions of a conversation, for its life
  U32 original_length;
  U32 captured_length;
  U32 flags;
  U32 mark;
  U32 rule;  // stable over reloads
  U32 reserved;
  U32 in_interface;   // number of the port, from one; 0: none
  U32 out_interface;  // the same
  U32 tracking;
  U16 rule_position;  // in its chain, from one
  U16 port;
  std::uint8_t hook = 0;       // 1 input, 2 forward, 3 output, 4 prerouting, 5 postrouting
  std::uint8_t direction = 0;  // 0 in, 1 out, 2 forwarded
  std::uint8_t hops = 0;       // how often it was diverted or injected, this time too
  std::uint8_t protocol = 0;
  U16 network_offset;
  U16 transport_offset;
  U16 payload_offset;
  U16 ethertype;
  U16 vlan;
  U16 segment_size;  // bytes of payload in each packet that this one stands for; 0: stands for itself
  U16 fragment;      // as in the IPv4 header: offset in eights, 0x2000 more follow
  U16 options_length;
  U32 deadline_us;  // left
};
static_assert(sizeof(PacketHeader) == 96);
static_assert(offsetof(PacketHeader, rule_position) == 68 &&
              offsetof(PacketHeader, fragment) == 88);

// Options of a packet, each {type, length of the value}, padded to four; only those that a listener asked for.
enum class Option : std::uint16_t {
  in_name = 1,
  out_name = 2,
  in_address = 3,  // of the interface it came in by; 4 or 16 bytes
  link_header = 4,
  original_tuple = 5,  // TupleValue
  reply_tuple = 6,
  user = 7,       // of the first packet of a flow that the router's own machine sends: uid, 4 bytes
  rule_name = 8,  // its id in the configuration
};
constexpr std::uint32_t wants(Option option) {
  return std::uint32_t{1} << static_cast<unsigned>(option);
}
struct OptionHeader {
  U16 type;
  U16 length;
};
struct TupleValue {  // addresses as on the wire; IPv4 in the first four bytes
  std::uint8_t source[16];
  std::uint8_t destination[16];
  U16 source_port;
  U16 destination_port;
  std::uint8_t protocol;
  std::uint8_t version;
  U16 reserved;
};
static_assert(sizeof(TupleValue) == 40);

enum class Action : std::uint8_t {
  accept,  // go on behind the rule
  drop,
  repeat_at,    // go on at this rule of the same chain
  requeue,      // hand to another port
  reject,       // and tell the sender
  hold,         // wait for argument milliseconds more
  accept_upto,  // this one and every one that was handed out before it
  drop_upto,
};
inline constexpr std::uint8_t kLastAction = static_cast<std::uint8_t>(Action::drop_upto);

// How to reject: ICMP port, host, net, prohibited unreachable, or a TCP reset.
inline constexpr std::uint16_t kRejectPort = 0, kRejectHost = 1, kRejectNet = 2,
                               kRejectProhibited = 3, kRejectReset = 4;

// Flags of a verdict. kSetFlowMark: the mark of its connection, too. kNoMoreDivert: no rule behind
// diverts this packet again.
inline constexpr std::uint8_t kModified = 1, kSetMark = 2, kSetFlowMark = 4, kFlowOffload = 8,
                              kFlowBlock = 16, kKeepChecksums = 32, kNoMoreDivert = 128;
inline constexpr std::uint8_t kKnownVerdictFlags = kModified | kSetMark | kSetFlowMark |
                                                   kFlowOffload | kFlowBlock | kKeepChecksums |
                                                   kNoMoreDivert;

struct VerdictHeader {
  Prefix prefix{40, static_cast<std::uint16_t>(Type::verdict), 40};
  U64 id;
  std::uint8_t action = 0;
  std::uint8_t flags = 0;
  U16 argument;  // reject: how; requeue: port; hold: milliseconds; modified: bytes of data
  U32 mark;
  U32 mark_mask;
  U32 rule;  // repeat_at: where; 0: the top of the chain
  U32 reserved;
  U32 budget;  // offload and block: packets; 0: for the life of the flow
};
static_assert(sizeof(VerdictHeader) == 40);

// Flags of an injected packet.
inline constexpr std::uint32_t kFixChecksums = 1;

struct InjectHeader {
  Prefix prefix{56, static_cast<std::uint16_t>(Type::inject), 56};
  U64 cookie;
  U64 relates_to;
  U32 data_length;
  U32 flags = kFixChecksums;
  U32 mark;
  U32 reserved;
  U32 in_interface;
  U32 out_interface;
  std::uint8_t direction = 0;  // 0 in: as if received; 1 out: as if sent by the router
  std::uint8_t unused[3] = {};
  std::uint8_t in_address[4] = {};  // where in_interface is 0: of the interface that it came in by
};
static_assert(sizeof(InjectHeader) == 56);

enum class Code : std::uint32_t {
  expired = 1,  // the verdict came too late
  unknown_id,
  bad_packet,  // what was to be sent is no sound packet
  not_allowed,
  loop,
  no_interface,
  too_fast,
  rule_gone,
  lost,       // value: how many records of flows and listeners found no room
  drained,    // no more packets will come
  not_known,  // a flag that this masqgate does not know; the verdict counts without it
};

struct NoticeHeader {
  Prefix prefix{32, static_cast<std::uint16_t>(Type::notice), 32};
  U64 id;  // or cookie
  U32 code;
  U32 detail;
  U64 value;
};
static_assert(sizeof(NoticeHeader) == 32);

// A flow that a listener is given packets of. The start may be told behind the first packet, and is
// told again to a listener that gets the flow later. Flows are connections: what belongs to none has
// no records.
enum class FlowEvent : std::uint8_t { start = 1, end };
enum class FlowEnd : std::uint8_t {
  closed = 1,    // TCP: both sides have closed, or one has reset it
  timed_out,     // nothing came for its time
  removed,       // by a command, by other rules, or to make room
  not_admitted,  // it never began: its first packets were dropped
  forgotten,     // it goes on, but there were too many to remember it; it may start again
};

struct FlowHeader {
  Prefix prefix{136, static_cast<std::uint16_t>(Type::flow), 136};
  U64 flow;                // as in its packets
  std::uint8_t event = 0;  // FlowEvent
  std::uint8_t end = 0;    // FlowEnd, of an end
  U16 port;                // that the listener is bound to
  U32 reserved;
  TupleValue original{};  // of the side that began
  TupleValue reply{};     // of the answers, as they come in: behind NAT; final at the end only
  U64 packets[2];         // original, reply; until now
  U64 bytes[2];
};
static_assert(sizeof(FlowHeader) == 136);
static_assert(offsetof(FlowHeader, original) == 24 && offsetof(FlowHeader, packets) == 104);

// Another listener, on a port that this one may listen to as well.
enum class ListenerEvent : std::uint8_t { was_there = 1, came, left };
enum class ListenerEnd : std::uint8_t { drained = 1, died, sent_away };

struct ListenerHeader {
  Prefix prefix{72, static_cast<std::uint16_t>(Type::listener), 72};
  std::uint8_t event = 0;  // ListenerEvent
  std::uint8_t end = 0;    // ListenerEnd, of one that left
  U16 port;
  U32 process;
  U32 user;
  U32 group;
  Little<std::int16_t> priority;
  U16 weight;
  U16 flags;  // of its binding
  U16 reserved;
  std::uint8_t nobody =
      0;  // the terms of the first rule of its port, where there is one (terms.hpp)
  std::uint8_t full = 0;
  std::uint8_t late = 0;
  std::uint8_t death = 0;
  U32 deadline_ms;
  char name[32] = {};
};
static_assert(sizeof(ListenerHeader) == 72);
static_assert(offsetof(ListenerHeader, priority) == 24 && offsetof(ListenerHeader, name) == 40);

// Flags of a binding.
inline constexpr std::uint16_t kBindTee = 1,  // gets copies only
    kBindSegments = 4,                        // takes packets that stand for many (segment_size)
    kBindPartialSums = 8,  // takes packets whose transport checksum is still to be completed
    kBindOrdered =
        16,  // packets of a flow leave in the order in which they came, whatever the order of verdicts
    kBindShared = 32,  // frames through shared memory (shared.hpp), if `bound` says so, too
    kBindAnyMember =
        64,  // flows need not stay: of a group that says so, the least loaded gets a packet
    kBindOneByOne = 128,  // one record in each frame
    kBindFlows = 256,     // is told of the flows that it is given packets of
    kBindReflect = 512;   // is told of other listeners
// What a listener asks to be allowed, and is.
inline constexpr std::uint32_t kMayListen = 1, kMayTee = 2, kMayInject = 4, kMayInjectSpoofed = 8,
                               kMaySetMark = 16, kMaySteer = 32, kMaySeeLink = 64,
                               kMaySeeUser = 128;

struct BindHeader {
  Prefix prefix{64, static_cast<std::uint16_t>(Type::bind), 64};
  U16 port;
  U16 flags;
  Little<std::int16_t> priority;  // higher ones see a packet first; equals share
  U16 weight = 1;
  U32 credit;    // packets it may hold at once; 0: as many as the router allows
  U32 snapshot;  // bytes of each packet; 0: all
  U32 options;   // wants(…) | …
  U32 permissions = kMayListen;
  char name[32] = {};
};
static_assert(sizeof(BindHeader) == 64);

// The values that are in force. Terms are those of the first rule of the port, where there is one.
struct BoundHeader {
  Prefix prefix{64, static_cast<std::uint16_t>(Type::bound), 64};
  U16 port;
  U16 flags;
  Little<std::int16_t> priority;
  U16 weight;
  U32 credit;
  U32 snapshot;
  U32 options;
  U32 permissions;
  U32 rules;  // that name the port
  U32 deadline_ms;
  U32 grace_ms;
  std::uint8_t nobody = 0;  // what happens to a packet when … (terms.hpp)
  std::uint8_t full = 0;
  std::uint8_t late = 0;
  std::uint8_t death = 0;
  U32 largest_frame = kLargestFrame;
  U32 queue_packets;
  U64 queue_bytes;
};
static_assert(sizeof(BoundHeader) == 64);

struct DrainHeader {
  Prefix prefix{8, static_cast<std::uint16_t>(Type::drain), 8};
};

// Why the connection is closed: text behind the header.
struct ByeHeader {
  Prefix prefix{8, static_cast<std::uint16_t>(Type::bye), 8};
};

// Plain connections, for scripts: the first datagram is the text "listen PORT"; then each datagram
// from masqgate is this header and a packet. An answer is the header with another action (accept or
// drop), and, to change an accepted packet, new bytes behind it. There are no notices, and the last
// datagram of a connection that masqgate ends is a sentence.
struct PlainHeader {
  U64 id;
  U32 in_interface;
  U16 rule_position;
  std::uint8_t hook = 0;
  std::uint8_t action = 0;
};
static_assert(sizeof(PlainHeader) == 16);
inline constexpr std::string_view kListen = "listen ";

using Bytes = std::span<const std::byte>;

constexpr std::size_t padded(std::size_t size, std::size_t to = 8) {
  return (size + to - 1) / to * to;
}

// Values of records are copied out and in; nothing points into a frame.
template <typename Header>
Header load(Bytes bytes) {  // at least sizeof(Header)
  static_assert(std::is_trivially_copyable_v<Header>);
  Header header;
  std::memcpy(static_cast<void*>(&header), bytes.data(), sizeof header);
  return header;
}

struct Record {
  Type type{};
  Bytes header;  // all of it, prefix included
  Bytes rest;    // options and data, padding included

  // The header if this record is one: what an older writer left out reads as zero. Empty if it is another type, or
  // lacks the fields up to `least` bytes.
  template <typename Header>
  std::optional<Header> as(Type wanted, std::size_t least = sizeof(Header)) const {
    static_assert(std::is_trivially_copyable_v<Header>);
    if (type != wanted || header.size() < least) return std::nullopt;
    Header value;
    std::memcpy(static_cast<void*>(&value), header.data(), std::min(header.size(), sizeof value));
    return value;
  }
};

// What is wrong with a frame, or nothing.
enum class Flaw : std::uint8_t { none, too_short, magic, version, length, record, count };
const char* sentence(Flaw flaw);

// Reads a frame record by record. Check flaw() when next() has said that there are no more.
class Reader {
 public:
  explicit Reader(Bytes frame);
  const FrameHeader& header() const { return header_; }
  Flaw flaw() const { return flaw_; }
  std::optional<Record> next();

 private:
  Bytes rest_;
  FrameHeader header_{};
  std::size_t left_ = 0;
  Flaw flaw_ = Flaw::none;
};

}  // namespace masqgate::divert::format
