// What rules would say of a connection's first packet, when only the connection is left of it.
//
// It shows addresses, the protocol and its ports, the router's ports, the state, marks, named sets
// and the time of day; of TCP that it began with a SYN, if the handshake was seen. It does not show
// what only packets have: length, TTL, type of service, MSS, ICMP type, link-layer sender, broken
// headers; and what counts (rates, quotas, scans, connections of a source) is not counted again.
//
// A rule that asks for something of that kind has perhaps matched. The connection has the benefit
// of the doubt: it counts as refused only if no answer to all open questions would have let it in.
// So a rule that has perhaps matched counts where it accepts, and does not where it refuses. Rules
// that divert are passed over; what the program said is not known either.

#pragma once

#include <cstddef>
#include <type_traits>

#include "daemon/firewall/ruleset.hpp"

namespace masqgate::firewall {

enum class Answer : std::uint8_t { no, perhaps, yes };

// Of TCP's flags those that a SYN is known to have and not to have.
inline constexpr std::uint8_t kHandshakeFlags = kUnsteadyFlags | wire::TcpFlags::kAck;

// Whether the connection shows what this asks for.
template <typename M>
bool is_shown(const M& match, const Packet& packet) noexcept {
  if constexpr (std::is_same_v<M, TcpFlagsMatch>)
    return packet.tcp_flags.syn() && (match.mask & ~kHandshakeFlags) == 0;
  else if constexpr (std::is_same_v<M, IcmpTypeMatch>)
    return !packet.tuple.is_icmp();
  else
    return !M::per_packet;
}

// Asks the rule's matches as the packet path does, as far as they can be answered.
inline Answer ask_again(const Rule& rule, Packet& packet, Memory& memory,
                        bool marks_are_known) noexcept {
  Answer all = Answer::yes;
  for (const Match& one : rule.matches) {
    const Answer answer = std::visit(
        [&]<typename M>(const M& match) noexcept {
          constexpr bool kOfMarks =
              std::is_same_v<M, MarkMatch> || std::is_same_v<M, ConnMarkMatch>;
          if ((kOfMarks && !marks_are_known) || !is_shown(match, packet)) return Answer::perhaps;
          return ask(match, packet, memory) ? Answer::yes : Answer::no;
        },
        one);
    if (answer == Answer::no) return Answer::no;
    if (answer == Answer::perhaps) all = answer;
  }
  return all;
}

}  // namespace masqgate::firewall
