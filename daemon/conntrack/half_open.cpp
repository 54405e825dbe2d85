#include "daemon/conntrack/half_open.hpp"

namespace masqgate::conntrack {

HalfOpen::HalfOpen(Table& table)
    : table_{table}, places_{static_cast<Place*>(map_zeros(kPlaces * sizeof(Place)))} {}

void HalfOpen::put(Place* ring, std::uint32_t& next, std::uint32_t size,
                   const Connection& connection) {
  next = next + 1 < size ? next + 1 : 0;
  Place& place = ring[next];
  Connection& oldest = table_.at(place.record);
  const bool is_half_open =
      place.serial != 0 && oldest.serial == place.serial && oldest.has(Connection::kConfirmed) &&
      (oldest.tcp_state == TcpState::syn_sent || oldest.tcp_state == TcpState::syn_recv);
  if (is_half_open) {
    ++pushed_out_;
    table_.remove(oldest);
  }
  place = {table_.index_of(connection), connection.serial};
}

void HalfOpen::entered(const Connection& connection, const Limits& limits) {
  if (limits.each != 0) {
    SipHash hash{table_.key()};
    const net::Endpoint to = connection.reply.source();
    hash.add(to.address.high()).add(to.address.low()).add(to.port);
    const std::size_t ring = hash.finish() % kRings;
    put(&places_[ring * kMostEach], next_[ring], limits.each, connection);
  }
  if (limits.in_all != 0)
    put(&places_[std::size_t{kRings} * kMostEach], next_[kRings], limits.in_all, connection);
}

}  // namespace masqgate::conntrack
