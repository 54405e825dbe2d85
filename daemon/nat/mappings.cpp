#include "daemon/nat/mappings.hpp"

namespace masqgate::nat {
namespace {

using conntrack::Connection;

// How many random ports are tried before "no free ports": at 99 % fill one in 2^14 tries fails.
constexpr int kProbes = 1024;

net::Endpoint outside_of(const Connection& c) {
  return c.reply.destination();
}
net::Endpoint inside_of(const Connection& c) {
  return c.original.source();
}

void add(SipHash& hash, net::Endpoint endpoint) {
  hash.add(endpoint.address.high()).add(endpoint.address.low()).add(endpoint.port);
}

// The class that a changed port stays in (U-04); identifiers of ICMP queries have none.
net::PortRange class_of(const Tuple& tuple) {
  if (!tuple.has_ports()) return {0, 65535};
  if (tuple.source_port < 512) return {1, 511};  // history 2.10 keeps rsh's ports apart
  if (tuple.source_port < 1024) return {600, 1023};
  return {1024, 65535};
}

}  // namespace

Mappings::Mappings(conntrack::Table& table, Random random)
    : table_{table},
      random_{random},
      outside_{table.capacity()},
      inside_{table.capacity()},
      links_{std::make_unique_for_overwrite<Links[]>(table.capacity())} {
  for (std::uint32_t i = 0; table.region().adopted() && i < table.capacity(); ++i)
    if (table.at(i).has(Connection::kConfirmed)) hold(table.at(i));
}

std::uint32_t Mappings::hash_outside(net::Protocol protocol, net::Endpoint outside) const {
  SipHash hash{table_.key()};
  add(hash, outside);
  return static_cast<std::uint32_t>(hash.add(net::number(protocol)).finish());
}

std::uint32_t Mappings::hash_inside(net::Protocol protocol, net::Endpoint inside,
                                    net::IpAddress outside) const {
  SipHash hash{table_.key()};
  add(hash, inside);
  hash.add(outside.high()).add(outside.low()).add(net::number(protocol));
  return static_cast<std::uint32_t>(hash.finish());
}

// Classic mappings may share an endpoint, so every one there is asked.
template <typename Objects>
bool Mappings::is_held(const Connection& connection, net::Endpoint outside,
                       Objects&& objects) const {
  const net::Protocol protocol = connection.original.protocol;
  const auto holder = outside_.find(hash_outside(protocol, outside), [&](std::uint32_t record) {
    const Connection& c = table_.at(record);
    return c.original.protocol == protocol && outside_of(c) == outside && objects(c);
  });
  return holder.has_value();
}

std::optional<std::uint32_t> Mappings::mapped(const Connection& connection,
                                              net::IpAddress outside) const {
  const net::Endpoint inside = inside_of(connection);
  const net::Protocol protocol = connection.original.protocol;
  return inside_.find(hash_inside(protocol, inside, outside), [&](std::uint32_t record) {
    const Connection& c = table_.at(record);
    return c.original.protocol == protocol && inside_of(c) == inside &&
           outside_of(c).address == outside && !c.has(Connection::kClassicPort);
  });
}

// Tries the endpoint; on success it stands in connection.reply.
bool Mappings::fits(Connection& c, net::Endpoint outside, bool may_share) const {
  const auto is_another = [&](const Connection& other) { return inside_of(other) != inside_of(c); };
  if (!may_share && is_held(c, outside, is_another)) return false;
  Tuple reply = c.reply;
  reply.destination_address = outside.address;
  reply.destination_port = outside.port;
  if (!table_.is_free(reply)) return false;
  c.reply = reply;
  return true;
}

std::optional<DropReason> Mappings::choose(Connection& c, net::IpAddress outside,
                                           PortAllocation allocation) {
  if (!c.original.has_ports() && !c.original.is_icmp())
    return fits(c, {outside, 0}, true) ? std::nullopt : std::optional{DropReason::tuple_clash};
  c.set(Connection::kMapped);
  return allocation == PortAllocation::classic ? choose_classic(c, outside)
                                               : choose_rfc(c, outside);
}

std::optional<DropReason> Mappings::choose_rfc(Connection& c, net::IpAddress outside) {
  if (const auto record = mapped(c, outside))
    return fits(c, outside_of(table_.at(*record)), false) ? std::nullopt
                                                          : std::optional{DropReason::tuple_clash};
  const net::Port wanted = c.original.source_port;
  if (fits(c, {outside, wanted}, false)) return std::nullopt;
  const net::PortRange range = class_of(c.original);
  const std::uint32_t pairs = (range.last - range.first + 1u) / 2;
  for (int i = 0; i < kProbes; ++i) {
    // Even and odd ports come in pairs from the first even one on: parity is kept (U-05).
    const std::uint32_t even = (range.first + 1u) & ~1u;
    const std::uint32_t port = even + 2 * random_.below(pairs) + (wanted & 1u);
    if (port <= range.last && fits(c, {outside, static_cast<net::Port>(port)}, false))
      return std::nullopt;
  }
  return DropReason::no_free_ports;
}

std::optional<DropReason> Mappings::choose_classic(Connection& c, net::IpAddress outside) {
  const std::size_t* used = classic_count(c.original.protocol);
  if (used != nullptr && *used >= kClassicMost) return DropReason::no_free_ports;
  c.set(Connection::kClassicPort);
  for (int i = 0; i < kClassicEnd - kClassicFirst; ++i) {
    const net::Endpoint candidate{outside, classic_next_};
    classic_next_ =
        classic_next_ + 1 < kClassicEnd ? static_cast<net::Port>(classic_next_ + 1) : kClassicFirst;
    // Classic ports are shared among themselves, never with the router or an rfc mapping.
    const auto is_alone = [](const Connection& other) {
      return !other.has(Connection::kClassicPort);
    };
    if (!is_held(c, candidate, is_alone) && fits(c, candidate, true)) return std::nullopt;
  }
  return DropReason::no_free_ports;
}

std::size_t* Mappings::classic_count(net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::udp:
      return &classic_used_[0];
    case net::Protocol::tcp:
      return &classic_used_[1];
    case net::Protocol::icmp:
      return &classic_used_[2];
    default:
      return nullptr;
  }
}

std::size_t Mappings::classic_free(net::Protocol protocol) const {
  const std::size_t* used = const_cast<Mappings*>(this)->classic_count(protocol);
  return used == nullptr ? 0 : kClassicMost - *used;
}

std::optional<std::uint32_t> Mappings::ring_of(const Connection& wanted) const {
  const net::Protocol protocol = wanted.original.protocol;
  return outside_.find(hash_outside(protocol, outside_of(wanted)), [&](std::uint32_t record) {
    const Connection& c = table_.at(record);
    return c.original.protocol == protocol && outside_of(c) == outside_of(wanted) &&
           inside_of(c) == inside_of(wanted);
  });
}

void Mappings::insert(std::uint32_t record) {
  const Connection& c = table_.at(record);
  const net::Protocol protocol = c.original.protocol;
  outside_.insert(hash_outside(protocol, outside_of(c)), record);
  inside_.insert(hash_inside(protocol, inside_of(c), outside_of(c).address), record);
}

bool Mappings::erase(std::uint32_t record) {
  const Connection& c = table_.at(record);
  const net::Protocol protocol = c.original.protocol;
  return outside_.erase(hash_outside(protocol, outside_of(c)), record) &&
         inside_.erase(hash_inside(protocol, inside_of(c), outside_of(c).address), record);
}

void Mappings::hold(const Connection& c) {
  if (!c.has(Connection::kMapped)) return;
  if (c.has(Connection::kClassicPort))
    if (std::size_t* used = classic_count(c.original.protocol)) ++*used;
  const std::uint32_t record = table_.index_of(c);
  const auto ring = ring_of(c);
  if (!ring) {
    links_[record] = {record, record};
    return insert(record);
  }
  links_[record] = {*ring, links_[*ring].previous};
  links_[links_[record].previous].next = record;
  links_[*ring].previous = record;
}

void Mappings::release(const Connection& c) {
  if (!c.has(Connection::kMapped)) return;
  if (c.has(Connection::kClassicPort))
    if (std::size_t* used = classic_count(c.original.protocol)) --*used;
  const std::uint32_t record = table_.index_of(c);
  const Links links = links_[record];
  links_[links.previous].next = links.next;
  links_[links.next].previous = links.previous;
  const bool was_indexed = erase(record);
  if (was_indexed && links.next != record) insert(links.next);
}

}  // namespace masqgate::nat
