#include "daemon/conntrack/tcp_track.hpp"

#include "daemon/conntrack/tcp_state.hpp"
#include "daemon/conntrack/tcp_window.hpp"

namespace masqgate::conntrack {
namespace {

bool is_opening(TcpState state) {
  return state == TcpState::syn_sent || state == TcpState::syn_recv;
}

wire::Bytes options_of(const Packet& packet) {
  return wire::Tcp::parse(packet.transport())->options();
}

// The side that has not spoken since the other one's SYN.
Outcome answer(Connection& c, Direction d, const Segment& segment, wire::Bytes options) {
  const bool answers = acknowledges_more(c, d, segment);
  if (segment.flags.syn()) {
    // A SYN/ACK of an older conversation: the client must see it to reset that one (RFC 9293 3.5.1).
    if (segment.flags.ack() && !answers) return Outcome::ignored;
    open(c, d, segment, options);
    return Outcome::followed;
  }
  if (segment.flags.rst()) return answers ? Outcome::followed : Outcome::refused;
  // A challenge ACK of an older conversation; or data that has overtaken the SYN/ACK.
  const bool empty = !segment.has_data && !segment.flags.fin();
  return empty || answers ? Outcome::ignored : Outcome::refused;
}

// Whether a SYN may begin a new conversation between the same ends: after a reset; and in TIME_WAIT
// with a higher number (RFC 9293 3.6.1), or with a timestamp, which the peer judges (RFC 6191).
bool may_begin_anew(const Connection& c, Direction d, const Segment& syn, wire::Bytes options) {
  if (c.tcp_state == TcpState::close) return true;
  return c.tcp_state == TcpState::time_wait &&
         (!is_after(c.tcp_end[static_cast<std::size_t>(d)], syn.sequence) ||
          wire::has_timestamp(options));
}

// On a living connection a SYN moves nothing: its receiver answers it with an ACK (TS-03).
Outcome on_syn(Connection& c, Direction d, const Segment& syn, wire::Bytes options) {
  if (may_begin_anew(c, d, syn, options)) {
    c.clear(Connection::kAssured);
    if (d == Direction::original) c.clear(Connection::kSeenReply);
    open_anew(c, d, syn, options);
    return Outcome::followed;
  }
  if (is_known(c, opposite(d)) || c.has(Connection::kTcpPickedUp)) return Outcome::ignored;
  open(c, d, syn, options);  // sent again, perhaps with another number
  return Outcome::followed;
}

Outcome on_syn_ack(Connection& c, Direction d, const Segment& segment, wire::Bytes options) {
  if (!is_known(c, opposite(d))) return Outcome::refused;
  const bool opening = is_opening(c.tcp_state);
  // Somebody had sent a SYN in this side's name before; this one knows our number.
  if (opening && !c.has(Connection::kTcpPickedUp) && acknowledges_more(c, d, segment) &&
      segment.end != c.tcp_end[static_cast<std::size_t>(d)]) {
    open(c, d, segment, options);
    return Outcome::followed;
  }
  if (!fits(c, d, segment))
    return c.has(Connection::kTcpPickedUp) ? Outcome::ignored : Outcome::refused;
  if (!opening) return Outcome::ignored;
  advance(c, d, segment);
  return Outcome::followed;
}

Outcome on_reset(Connection& c, Direction d, const Segment& reset) {
  switch (fit_of_reset(c, d, reset)) {
    case ResetFit::outside:
      return Outcome::refused;
    case ResetFit::inexact:
      return Outcome::ignored;
    case ResetFit::exact:
      if (c.tcp_state != TcpState::close) note_reset(c, d, true);
      return Outcome::followed;
    case ResetFit::verified:
      break;
  }
  note_reset(c, d, false);
  return Outcome::followed;
}

Outcome on_data(Connection& c, Direction d, const Segment& segment, bool liberal) {
  if (!is_known(c, opposite(d))) return liberal ? Outcome::followed : Outcome::refused;
  const bool answers = acknowledges_more(c, d, segment) || is_even(c);
  if (fits(c, d, segment)) {
    advance(c, d, segment);
    // Data after a reset: its receiver did not believe it (RFC 7857 2.2, X-03).
    if (c.tcp_state == TcpState::close && is_reset_in_doubt(c) && segment.has_data) {
      note_reset(c, d, false);
      c.tcp_state = TcpState::established;
    }
  } else if (!liberal && !c.has(Connection::kTcpPickedUp)) {
    return Outcome::refused;
  }
  // Only who has heard the SYN/ACK opens the connection.
  if (c.tcp_state == TcpState::syn_recv && d == Direction::original && !answers)
    return Outcome::ignored;
  return Outcome::followed;
}

Outcome judge(Connection& c, Direction d, const Packet& packet, const Segment& segment,
              bool liberal) {
  const wire::TcpFlags flags = segment.flags;
  if (!is_tracked(c)) {  // begun under a profile that does not look at numbers
    if (flags.ack() && !flags.syn() && !flags.rst()) pick_up(c, d, segment);
    return Outcome::followed;
  }
  const wire::Bytes options = flags.syn() ? options_of(packet) : wire::Bytes{};
  if (!is_known(c, d)) return answer(c, d, segment, options);
  if (flags.rst()) return on_reset(c, d, segment);
  if (!flags.syn()) return on_data(c, d, segment, liberal);
  return flags.ack() ? on_syn_ack(c, d, segment, options) : on_syn(c, d, segment, options);
}

}  // namespace

Outcome follow_segment(Connection& c, const Packet& packet, const Timeouts& timeouts) {
  const Direction d = packet.direction;
  const Outcome outcome = judge(c, d, packet, segment_of(packet), timeouts.tcp_liberal);
  if (outcome != Outcome::followed) return outcome;
  const TcpState before = c.tcp_state;
  c.tcp_state = next_state(timeouts.profile, d, before, packet.tcp_flags);
  // Both have opened at once, and both have heard of it (T-03).
  if (before == TcpState::syn_recv && c.tcp_state == TcpState::syn_recv && is_known(c, d) &&
      is_known(c, opposite(d)) && is_even(c))
    c.tcp_state = TcpState::established;
  if (before == TcpState::syn_recv && c.tcp_state == TcpState::established)
    c.set(Connection::kAssured);
  return outcome;
}

bool may_begin(wire::TcpFlags flags, const Timeouts& timeouts) {
  return flags.syn() ? !flags.ack() : flags.ack() && timeouts.tcp_loose;
}

void begin_segment(Connection& c, const Packet& packet, const Timeouts& timeouts) {
  const Segment segment = segment_of(packet);
  if (segment.flags.syn())
    open_anew(c, Direction::original, segment, options_of(packet));
  else
    pick_up(c, Direction::original, segment);
  c.tcp_state = next_state(timeouts.profile, Direction::original, TcpState::none, packet.tcp_flags);
}

bool advance_steadily(Connection& c, Direction d, const Packet& packet) {
  if (!is_tracked(c) || !is_known(c, d) || !is_known(c, opposite(d))) return false;
  const Segment segment = segment_of(packet);
  if (!fits(c, d, segment)) return false;
  advance(c, d, segment);
  return true;
}

}  // namespace masqgate::conntrack
