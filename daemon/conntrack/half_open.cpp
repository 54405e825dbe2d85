#include "daemon/conntrack/half_open.hpp"

namespace masqgate::conntrack {

HalfOpen::HalfOpen(Table& table)
    : table_{table}, places_{static_cast<Place*>(map_zeros(kPlaces * sizeof(Place)))} {}

HalfOpen::Place& HalfOpen::advance(Place* ring, std::uint32_t& next, std::uint32_t size) {
  next = next + 1 < size ? next + 1 : 0;
  return ring[next];
}

// True if somebody was there who was half open still.
bool HalfOpen::push_out(const Place& place) {
  Connection& oldest = table_.at(place.record);
  if (place.serial == 0 || oldest.serial != place.serial || !oldest.has(Connection::kConfirmed) ||
      (oldest.tcp_state != TcpState::syn_sent && oldest.tcp_state != TcpState::syn_recv))
    return false;
  ++pushed_out_;
  table_.remove(oldest);
  return true;
}

void HalfOpen::entered(const Connection& connection, const Limits& limits) {
  Place newest{table_.index_of(connection), connection.serial, kMostInAll};
  Place* own = nullptr;
  if (limits.each != 0) {
    SipHash hash{table_.key()};
    const net::Endpoint to = connection.reply.source();
    hash.add(to.address.high()).add(to.address.low()).add(to.port);
    const std::size_t ring = hash.finish() % kRings;
    own = &advance(&places_[ring * kMostEach], next_[ring], limits.each);
    if (push_out(*own)) newest.in_all = own->in_all;
    *own = newest;
  }
  if (limits.in_all == 0) return;
  Place* all = &places_[std::size_t{kRings} * kMostEach];
  if (newest.in_all < limits.in_all) {
    all[newest.in_all] = newest;
    return;
  }
  Place& place = advance(all, next_[kRings], limits.in_all);
  push_out(place);
  newest.in_all = static_cast<std::uint32_t>(&place - all);
  place = newest;
  if (own != nullptr) own->in_all = newest.in_all;
}

}  // namespace masqgate::conntrack
