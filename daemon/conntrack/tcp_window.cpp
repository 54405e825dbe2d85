#include "daemon/conntrack/tcp_window.hpp"

#include <algorithm>

namespace masqgate::conntrack {
namespace {

// A late segment or ACK may lie this far behind, however small the window (ipf: MAXACKWINDOW).
constexpr std::uint32_t kLeastWindow = 66000;
// More than the largest window with the largest scale.
constexpr std::uint32_t kUnknownWindow = 1u << 30;
constexpr std::uint32_t kLargestDatagram = 65535;
constexpr unsigned kMaxScale = 14;  // RFC 7323 2.3

std::size_t index(Direction d) {
  return static_cast<std::size_t>(d);
}

unsigned shift_of(Direction d) {
  return d == Direction::original ? 0 : 4;
}
unsigned half_byte(const Connection& c, Direction d) {
  return unsigned{c.tcp_scales} >> shift_of(d) & 0xfu;
}
void set_half_byte(Connection& c, Direction d, unsigned value) {
  c.tcp_scales =
      static_cast<std::uint8_t>((c.tcp_scales & ~(0xfu << shift_of(d))) | value << shift_of(d));
}
unsigned scale_of(const Connection& c, Direction d) {
  const unsigned value = half_byte(c, d);
  return value == 0 ? 0 : value - 1;
}

void set_window(Connection& c, Direction d, std::uint32_t value) {
  c.half(d).tcp_window = static_cast<std::uint16_t>(std::min(value, 0xffffu));
}

// The window of a SYN is not scaled; it is kept in the unit of the later ones, rounded up.
std::uint32_t in_units(const Connection& c, Direction d, const Segment& segment) {
  if (!segment.flags.syn()) return segment.window;
  const unsigned scale = scale_of(c, d);
  return (segment.window + (1u << scale) - 1) >> scale;
}

// In bytes. Never none: one byte is sent to probe a closed window.
std::uint32_t window_of(const Connection& c, Direction d) {
  if (c.has(Connection::kTcpPickedUp)) return kUnknownWindow;
  return std::max(static_cast<std::uint32_t>(c.half(d).tcp_window) << scale_of(c, d), 1u);
}

// Scaling counts only if both SYNs asked for it (RFC 7323 2.2).
void forget_scale(Connection& c, Direction d) {
  if (half_byte(c, d) == 0) return;
  set_window(c, d, window_of(c, d));
  set_half_byte(c, d, 1);
}

}  // namespace

Segment segment_of(const Packet& packet) {
  const wire::Tcp tcp = *wire::Tcp::parse(packet.transport());
  Segment segment{tcp.sequence(), tcp.acknowledgement(), 0, tcp.window(), packet.tcp_flags, false};
  std::uint32_t length = static_cast<std::uint32_t>(tcp.payload().size());
  segment.has_data = length != 0;
  if (packet.is_fragment) length = kLargestDatagram;
  if (segment.flags.syn()) ++length;
  if (segment.flags.fin()) ++length;
  segment.end = segment.sequence + length;
  return segment;
}

bool is_known(const Connection& c, Direction d) {
  return half_byte(c, d) != 0 || c.has(Connection::kTcpPickedUp);
}

void open(Connection& c, Direction d, const Segment& syn, wire::Bytes options) {
  const Direction peer = opposite(d);
  const bool again = half_byte(c, d) != 0 && c.tcp_end[index(d)] == syn.end;
  const auto scale = wire::window_scale(options);
  unsigned value = std::min<unsigned>(scale.value_or(0), kMaxScale) + 1;
  // A SYN that is sent again may have lost its options; nobody knows which one has arrived.
  if (again) value = std::max(value, half_byte(c, d));
  set_half_byte(c, d, value);
  set_window(c, d, in_units(c, d, syn));
  c.tcp_end[index(d)] = syn.end;
  c.tcp_acked[index(peer)] = syn.sequence;
  if (syn.flags.ack()) c.tcp_acked[index(d)] = syn.acknowledgement;
  if (!scale && half_byte(c, peer) != 0) {
    forget_scale(c, d);
    forget_scale(c, peer);
  }
}

void forget(Connection& c) {
  c.tcp_scales = 0;
  c.tcp_end = c.tcp_acked = {};
  for (Half& half : c.halves) half.tcp_window = half.tcp_doubt = 0;
  c.clear(Connection::kTcpPickedUp);
}

void open_anew(Connection& c, Direction d, const Segment& syn, wire::Bytes options) {
  forget(c);
  open(c, d, syn, options);
}

void pick_up(Connection& c, Direction d, const Segment& segment) {
  const Direction peer = opposite(d);
  c.tcp_end[index(d)] = segment.end;
  c.tcp_acked[index(peer)] = segment.sequence;
  c.tcp_end[index(peer)] = c.tcp_acked[index(d)] = segment.acknowledgement;
  c.set(Connection::kTcpPickedUp);
}

bool acknowledges_more(const Connection& c, Direction d, const Segment& segment) {
  return segment.flags.ack() && is_after(segment.acknowledgement, c.tcp_acked[index(d)]) &&
         !is_after(segment.acknowledgement, c.tcp_end[index(opposite(d))]);
}

bool is_even(const Connection& c) {
  return c.tcp_acked[0] == c.tcp_end[1] && c.tcp_acked[1] == c.tcp_end[0];
}

bool fits(const Connection& c, Direction d, const Segment& segment) {
  const Direction peer = opposite(d);
  const std::uint32_t window = window_of(c, peer), own_window = window_of(c, d);
  const std::uint32_t base = c.tcp_acked[index(peer)];
  // One byte may have been sent beyond, to probe a closed window.
  if (is_after(segment.sequence, base + window + 1) ||
      is_after(base - std::max(window, kLeastWindow), segment.end) || !segment.flags.ack())
    return false;
  // What of the peer went by before the connection was picked up, nobody knows.
  const std::uint32_t unseen = c.has(Connection::kTcpPickedUp) ? kUnknownWindow : 0;
  return !is_after(segment.acknowledgement, c.tcp_end[index(peer)] + unseen) &&
         !is_after(c.tcp_acked[index(d)] - std::max(own_window, kLeastWindow),
                   segment.acknowledgement);
}

void advance(Connection& c, Direction d, const Segment& segment) {
  std::uint32_t& end = c.tcp_end[index(d)];
  std::uint32_t& acked = c.tcp_acked[index(d)];
  std::uint32_t& peer_end = c.tcp_end[index(opposite(d))];
  if (is_after(segment.end, end)) end = segment.end;
  if (is_after(segment.acknowledgement, acked)) acked = segment.acknowledgement;
  if (is_after(acked, peer_end)) peer_end = acked;
  if (c.has(Connection::kTcpPickedUp)) return;
  const std::uint32_t window = in_units(c, d, segment);
  if (window > c.half(d).tcp_window) set_window(c, d, window);
}

ResetFit fit_of_reset(const Connection& c, Direction d, const Segment& reset) {
  const Direction peer = opposite(d);
  if (!is_known(c, peer))
    return reset.sequence == c.tcp_end[index(d)] ? ResetFit::exact : ResetFit::inexact;
  const std::uint32_t wanted = c.tcp_acked[index(peer)];
  if (reset.sequence == wanted) return ResetFit::verified;
  if (reset.sequence == c.tcp_end[index(d)]) return ResetFit::exact;
  const bool inside =
      is_after(reset.sequence, wanted) && !is_after(reset.sequence, wanted + window_of(c, peer));
  return inside ? ResetFit::inexact : ResetFit::outside;
}

void note_reset(Connection& c, Direction d, bool in_doubt) {
  for (Half& half : c.halves) half.tcp_doubt = 0;
  c.half(d).tcp_doubt = in_doubt ? 1 : 0;
}

bool is_in_flight(const Connection& c, Direction d, std::uint32_t sequence) {
  if (!is_tracked(c) || c.has(Connection::kTcpPickedUp)) return true;
  return is_known(c, d) && !is_after(c.tcp_acked[index(opposite(d))], sequence) &&
         !is_after(sequence, c.tcp_end[index(d)]);
}

}  // namespace masqgate::conntrack
