#include "daemon/firewall/match_counting.hpp"

#include <algorithm>

#include "daemon/firewall/steady.hpp"
#include "daemon/net/prefix.hpp"

namespace masqgate::firewall {

net::IpAddress SourceLength::of(net::IpAddress address) const noexcept {
  return net::Prefix{address, address.is_v4() ? v4 : v6}.address();
}

bool SourceLimitMatch::matches(const Packet& packet, Memory& memory) const noexcept {
  TokenBucket& bucket = memory.cell<SourceTable<TokenBucket>>(cell).at(
      length.of(packet.tuple.source_address), memory.now);
  return bucket.take(memory.now, rate.cost(), rate.cap()) != negated;
}

bool QuotaMatch::matches(const Packet& packet, Memory& memory) const noexcept {
  Quota& quota = memory.cell<Quota>(cell);
  if (!quota.begun) quota = {true, bytes};
  const std::size_t size = packet.frame.ip().size();
  const bool fits = size <= quota.left;
  quota.left = fits ? quota.left - size : 0;
  return fits != negated;
}

// As Linux' psd: answers (ACK or RST) do not count, and once the weight is reached all that follows
// matches until there is silence.
bool PortScanMatch::matches(const Packet& packet, Memory& memory) const noexcept {
  if (!packet.tuple.has_ports() || packet.fragment_offset != 0 || packet.tcp_flags.ack() ||
      packet.tcp_flags.rst())
    return false;
  Scan& scan = memory.cell<SourceTable<Scan>>(cell).at(packet.tuple.source_address, memory.now);
  if (memory.now - scan.seen > std::chrono::milliseconds{delay_ms}) scan = {};
  scan.seen = memory.now;
  if (scan.weight >= weight) return !negated;
  const std::uint32_t port =
      std::uint32_t{net::number(packet.tuple.protocol)} << 16 | packet.tuple.destination_port;
  const auto end = scan.known.begin() + scan.ports;
  if (std::find(scan.known.begin(), end, port) == end) {
    if (scan.ports < Scan::kPorts) scan.known[scan.ports++] = port;
    scan.weight += packet.tuple.destination_port < 1024 ? low_port : high_port;
  }
  return (scan.weight >= weight) != negated;
}

bool ConnectionsMatch::matches(const Packet& packet, Memory& memory) const noexcept {
  if (packet.connection == nullptr || packet.state == ConnState::related) return false;
  const net::IpAddress source = length.of(packet.connection->original.source_address);
  const std::size_t count =
      memory.cell<SourceConnections>(cell).count(source, *packet.connection, memory.connections());
  return (count > above) != negated;
}

bool TimeMatch::holds(std::uint16_t minute_of_week) const noexcept {
  const unsigned day = minute_of_week / kDay, minute = minute_of_week % kDay;
  const auto is_day = [&](unsigned number) { return (days >> number % 7 & 1) != 0; };
  if (from < to) return is_day(day) && from <= minute && minute < to;
  return (is_day(day) && minute >= from) || (is_day(day + 6) && minute < to);
}

}  // namespace masqgate::firewall
