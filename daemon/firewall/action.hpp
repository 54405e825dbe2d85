// What a rule does with a packet that it matches: a closed language, one small struct per action.
//
// Some end the walk through the chains (accept, drop, reject), some move it (jump, return), and the
// others change or note something, and the next rule follows. To add an action: a struct, its name
// in the variant, what Ruleset::walk() does with it, its words in action_json.cpp.

#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "daemon/conntrack/connection.hpp"
#include "daemon/divert/terms.hpp"
#include "daemon/firewall/mark_bits.hpp"
#include "daemon/firewall/match_counting.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

// How a refused sender is told: the code of ICMP destination unreachable for each family (RFC 792,
// RFC 1812 5.2.7.1, RFC 4443 3.1), or a TCP reset (RFC 9293 3.5.2).
struct RejectWith {
  enum class Kind : std::uint8_t { unreachable, tcp_reset, classic };
  Kind kind =
      Kind::unreachable;  // classic: as Linux 2.2, port in input, host elsewhere (history 3.1)
  std::uint8_t v4 = 3;
  std::uint8_t v6 = 4;
  constexpr bool operator==(const RejectWith&) const = default;
};

using ChainIndex = std::uint16_t;  // place in the list of chains

struct Accept {};
struct Drop {};
struct Reject {
  RejectWith with{};
};
// Back to its sender with source and destination exchanged, past all chains (history 7.2).
struct Mirror {
  static constexpr HookSet kHooks{Hook::prerouting, Hook::input, Hook::forward};
};
struct Jump {
  ChainIndex target = 0;
};
struct Return {};
struct Continue {};  // counts only

struct SetMark {
  MarkBits bits;
  void apply(Packet& packet) const noexcept { packet.mark = bits.put(packet.mark); }
};

// A connection's mark is written, or goes to (save) or comes from (restore) its packets: the bits
// of the mask.
struct SetConnMark {
  enum class Kind : std::uint8_t { set, save, restore };
  Kind kind = Kind::set;
  MarkBits bits;
  void apply(Packet& packet) const noexcept {
    conntrack::Connection* connection = packet.connection;
    if (connection == nullptr) return;
    const std::uint32_t own = connection->mark;
    if (kind == Kind::restore) {
      packet.mark = MarkBits{own & bits.mask, bits.mask}.put(packet.mark);
      return;
    }
    const std::uint32_t value = kind == Kind::save ? packet.mark & bits.mask : bits.value;
    connection->mark = MarkBits{value, bits.mask}.put(own);
    if (connection->mark == own) return;
    // The next packet may be judged by the new mark: nobody goes by what was decided under the old.
    for (conntrack::Half& half : connection->halves) half.shortcut = {};
    packet.not_remembered = true;
  }
};

// A note for the log, at most at this rate for each rule (K-23).
struct Log {
  static constexpr CellKind kCell = CellKind::bucket;
  static constexpr std::size_t kMostPrefix = 64;
  // How a line looks: masqgate's own way, or as ipchains -l and iptables' LOG wrote them.
  enum class Format : std::uint8_t { plain, ipchains, iptables };
  std::string prefix;
  Format format = Format::plain;
  std::uint8_t level = 4;  // of syslog: warning
  Rate rate{10, Rate::Period::second, 20};
  CellIndex cell = 0;
  void apply(Packet& packet, Memory& memory, std::uint16_t counter) const noexcept;
};

// Bits of TOS or traffic class.
struct SetTos {
  std::uint8_t value = 0;
  std::uint8_t mask = 0xff;
  void apply(Packet& packet) const noexcept;
};
struct SetDscp {
  std::uint8_t value = 0;
  void apply(Packet& packet) const noexcept { SetTos{narrow(value), 0xfc}.apply(packet); }
  static constexpr std::uint8_t narrow(std::uint8_t dscp) {
    return static_cast<std::uint8_t>(dscp << 2);
  }
};

// The TTL or hop limit never becomes 0. It rises only in postrouting and only for what leaves by
// another port than it came in: else two routers that send a packet to each other would never end.
struct SetTtl {
  enum class Kind : std::uint8_t { set, add, subtract };
  static constexpr HookSet kHooks{Hook::postrouting};
  Kind kind = Kind::set;
  std::uint8_t value = 64;
  void apply(Packet& packet) const noexcept;
};

// The MSS of a SYN. Without a number: lowered to what the path takes without fragments. A SYN
// without the option gets it as its first one, unless it carries data.
struct SetTcpMss {
  static constexpr HookSet kHooks{Hook::forward, Hook::output, Hook::postrouting};
  std::uint16_t mss = 0;  // 0: clamp
  void apply(Packet& packet, Memory& memory) const noexcept;
};

// The packet has no connection from here on; a new one is not made.
struct NoTrack {
  static constexpr HookSet kHooks{Hook::prerouting, Hook::output};
};

// To a program, which decides; or a copy to whoever wants to see it. Then the next rule follows.
struct Divert {
  static constexpr HookSet kHooks{Hook::prerouting, Hook::input, Hook::forward, Hook::output,
                                  Hook::postrouting};
  divert::Terms terms;
};
struct Tee {
  static constexpr HookSet kHooks = Divert::kHooks;
  divert::Terms terms;
};

using Action =
    std::variant<Accept, Drop, Reject, Mirror, Jump, Return, Continue, SetMark, SetConnMark, Log,
                 SetTos, SetDscp, SetTtl, SetTcpMss, NoTrack, Divert, Tee>;

}  // namespace masqgate::firewall
