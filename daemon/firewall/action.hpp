// What a rule does with a packet that it matches: a closed language, one small struct per action.
//
// Some end the walk through the chains (accept, drop, reject), some move it (jump, return), and the
// others change or note something, and the next rule follows. To add an action: a struct, its name
// in the variant, what Ruleset::walk() does with it, its words in action_json.cpp.

#pragma once

#include <cstdint>
#include <variant>

#include "daemon/conntrack/connection.hpp"
#include "daemon/firewall/mark_bits.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

// How a refused sender is told: ICMP unreachable codes (RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1),
// or a TCP reset (RFC 9293 3.5.2).
enum class RejectWith : std::uint8_t { port_unreachable, host, net, prohibited, tcp_reset };

using ChainIndex = std::uint16_t;  // place in the list of chains

struct Accept {};
struct Drop {};
struct Reject {
  RejectWith with = RejectWith::port_unreachable;
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

// A connection's mark is written, or goes to (save) or comes from (restore) its packets: the bits of
// the mask.
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

using Action = std::variant<Accept, Drop, Reject, Jump, Return, Continue, SetMark, SetConnMark>;

}  // namespace masqgate::firewall
