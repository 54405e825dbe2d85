#include "daemon/path/lost_addresses.hpp"

#include <algorithm>

#include "daemon/nat/mappings.hpp"

namespace masqgate::path {
namespace {

using conntrack::Connection;

// Whether its host stands behind an outside address that a rule gave it. The router's own
// connections do not: Linux knows itself that it has lost an address.
bool is_translated(const Connection& c) {
  return c.has(Connection::kConfirmed) &&
         (c.has(Connection::kSourceNat) || c.has(Connection::kInbound));
}

// The direction that leaves with the outside address.
Direction outward(const Connection& c) {
  return c.has(Connection::kInbound) ? Direction::reply : Direction::original;
}

// By which port a connection of an earlier process stood outside, as far as the rules tell.
PortIndex outer_port(const Connection& c, const Policy& policy) {
  if (c.has(Connection::kInbound)) return c.ingress;
  const auto fits = [&](const nat::SourceRule& rule) { return rule.selector.fits(c.original); };
  const auto rule = std::ranges::find_if(policy.nat.source, fits);
  return rule == policy.nat.source.end() ? kNoPort : rule->egress;
}

bool has(const Policy& policy, net::IpAddress address) {
  if (policy.owner_of(address) != kNoPort) return true;
  const auto gives = [&](const nat::SourceRule& rule) {
    return (rule.kind == nat::SourceRule::Kind::network && rule.network.contains(address)) ||
           std::ranges::any_of(rule.pool,
                               [&](const auto& range) { return range.contains(address); });
  };
  return std::ranges::any_of(policy.nat.source, gives);
}

}  // namespace

LostAddresses::LostAddresses(conntrack::Table& table) : table_{table} {
  moves_.reserve(kMostMoves);
}

std::vector<Move> LostAddresses::take_moves() {
  std::vector<Move> taken = moves_;
  moves_.clear();  // its memory stays: packets allocate nothing
  return taken;
}

void LostAddresses::update(const Policy& before, const Policy& now) {
  swept_ = 0;
  if (!now.dynaddr.is_verbose()) moves_.clear();
  std::erase_if(lost_, [&](const Lost& lost) { return has(now, lost.address); });
  for (std::size_t port = 0; port < before.ports.size(); ++port)
    for (const net::InterfaceAddress& own : before.ports[port].addresses)
      if (!has(now, own.address)) add({own.address, static_cast<PortIndex>(port)});
  if (before.ports.empty()) add_adopted(now);
}

// At the start: what an earlier process left behind addresses that are not here (yet).
void LostAddresses::add_adopted(const Policy& now) {
  for (std::uint32_t record = 0; record < table_.used_records(); ++record) {
    const Connection& c = table_.at(record);
    if (!is_translated(c)) continue;
    const net::IpAddress address = nat::outside_of(c).address;
    if (!has(now, address)) add({address, outer_port(c, now)});
  }
}

// The oldest makes room: then nothing may stand behind it.
void LostAddresses::add(Lost lost) {
  if (find(lost.address) != nullptr) return;
  if (lost_.size() == kMost) {
    forget(lost_.front().address);
    lost_.erase(lost_.begin());
  }
  lost_.push_back(lost);
}

void LostAddresses::forget(net::IpAddress address) {
  for (std::uint32_t record = 0; record < table_.used_records(); ++record) {
    Connection& c = table_.at(record);
    if (is_translated(c) && nat::outside_of(c).address == address) table_.remove(c);
  }
}

const LostAddresses::Lost* LostAddresses::find(net::IpAddress address) const {
  const auto found = std::ranges::find(lost_, address, &Lost::address);
  return found == lost_.end() ? nullptr : &*found;
}

// What the port has instead, if anything.
std::optional<net::IpAddress> LostAddresses::successor(const Lost& lost, const Policy& policy) {
  if (lost.port >= policy.ports.size()) return std::nullopt;
  for (const net::InterfaceAddress& own : policy.ports[lost.port].addresses)
    if (own.address.family() == lost.address.family() && !own.address.is_link_local())
      return own.address;
  return std::nullopt;
}

// Its next packet begins it anew.
void LostAddresses::move(Connection& c, const Lost& lost, const Policy& policy) {
  if (policy.dynaddr.is_verbose() && moves_.size() < kMostMoves)
    moves_.push_back({c.original.protocol, lost.address, *successor(lost, policy)});
  table_.remove(c);
}

std::optional<DropReason> LostAddresses::check(const Packet& packet, const Policy& policy) {
  if (packet.made_here) return std::nullopt;
  const bool is_error = packet.quoted.has_value();
  const conntrack::Found found = table_.find(is_error ? packet.quoted->inverted() : packet.tuple);
  if (found.connection == nullptr || !is_translated(*found.connection) ||
      found.direction != outward(*found.connection))
    return std::nullopt;
  Connection& c = *found.connection;
  const Lost* lost = find(nat::outside_of(c).address);
  if (lost == nullptr) return std::nullopt;
  if (!successor(*lost, policy)) return DropReason::no_outside_address;
  // An error belongs to the connection as it was: it does not move it.
  if (is_error || !policy.dynaddr.moves(c.has(Connection::kSeenReply)))
    return DropReason::address_lost;
  move(c, *lost, policy);
  return std::nullopt;
}

void LostAddresses::sweep(const Policy& policy, std::uint32_t budget) {
  if (lost_.empty() || !policy.dynaddr.moves(true)) return;
  const auto has_successor = [&](const Lost& lost) { return successor(lost, policy).has_value(); };
  const std::uint32_t end = swept_ + std::min(table_.used_records() - swept_, budget);
  for (; swept_ < end; ++swept_) {
    Connection& c = table_.at(swept_);
    if (!is_translated(c)) continue;
    const Lost* lost = find(nat::outside_of(c).address);
    if (lost != nullptr && has_successor(*lost)) move(c, *lost, policy);
  }
  if (swept_ == table_.used_records()) std::erase_if(lost_, has_successor);
}

}  // namespace masqgate::path
