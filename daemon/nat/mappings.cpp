#include "daemon/nat/mappings.hpp"

#include <algorithm>

namespace masqgate::nat {
namespace {

using conntrack::Connection;

// How many random ports are tried before the next free one behind a random port is taken; of a
// range that is shared no port is known as free, so there are more tries.
constexpr int kProbes = 16, kProbesShared = 1024;
// How many ports that seem free are looked at: forwards may hold them, or what UsedPorts forgot.
constexpr int kLook = 4096;

void add(SipHash& hash, net::IpAddress address) {
  hash.add(address.high()).add(address.low());
}
void add(SipHash& hash, net::Endpoint endpoint) {
  add(hash, endpoint.address);
  hash.add(endpoint.port);
}

// The class that a changed port stays in (U-04); identifiers of ICMP queries have none.
net::PortRange class_of(const Tuple& tuple) {
  if (!tuple.has_ports()) return {0, 65535};
  if (tuple.source_port < 512) return {1, 511};  // history 2.10 keeps rsh's ports apart
  if (tuple.source_port < 1024) return {600, 1023};
  return {1024, 65535};
}

constexpr bool is_given(net::PortRange range) {
  return range.last != 0;
}

void remember(Connection& c, const Behaviour& behaviour) {
  c.set(Connection::kMapped);
  if (behaviour.mapping == Scope::address) c.set(Connection::kMappedByAddress);
  if (behaviour.mapping == Scope::connection) c.set(Connection::kMappedByConnection);
  if (behaviour.filtering == Scope::address) c.set(Connection::kFilterByAddress);
  if (behaviour.filtering == Scope::endpoint) c.set(Connection::kFilterNobody);
  if (behaviour.overload) c.set(Connection::kShared);
}

// Of connections in one ring these are the same.
constexpr std::uint16_t kOfMapping =
    Connection::kMapped | Connection::kMappedByAddress | Connection::kMappedByConnection |
    Connection::kFilterByAddress | Connection::kFilterNobody | Connection::kShared;

bool lets_everybody_in(const Connection& c) {
  return c.original.protocol == net::Protocol::udp && c.has(Connection::kFilterNobody);
}

}  // namespace

net::Endpoint outside_of(const Connection& c) {
  return c.has(Connection::kInbound) ? c.original.destination() : c.reply.destination();
}
net::Endpoint inside_of(const Connection& c) {
  return c.has(Connection::kInbound) ? c.reply.source() : c.original.source();
}
net::Endpoint peer_of(const Connection& c) {
  return c.has(Connection::kInbound) ? c.original.source() : c.original.destination();
}

Mappings::Mappings(conntrack::Table& table, Random random)
    : table_{table},
      random_{random},
      outside_{table.capacity()},
      inside_{table.capacity()},
      peers_{table.capacity()},
      used_ports_{table.key()},
      resting_{std::make_unique<RestingPorts>(table.key())},
      links_{std::make_unique_for_overwrite<Links[]>(table.capacity())} {
  for (std::uint32_t i = 0; table.region().adopted() && i < table.capacity(); ++i)
    if (table.at(i).has(Connection::kConfirmed)) hold(table.at(i));
}

std::uint32_t Mappings::hash_outside(net::Protocol protocol, net::Endpoint outside) const {
  SipHash hash{table_.key()};
  add(hash, outside);
  return static_cast<std::uint32_t>(hash.add(net::number(protocol)).finish());
}

std::uint32_t Mappings::hash_inside(const Connection& c) const {
  SipHash hash{table_.key()};
  add(hash, inside_of(c));
  if (c.has(Connection::kMappedByAddress)) add(hash, peer_of(c).address);
  return static_cast<std::uint32_t>(hash.add(net::number(c.original.protocol)).finish());
}

std::uint32_t Mappings::hash_peer(const Connection& c) const {
  SipHash hash{table_.key()};
  add(hash, outside_of(c));
  add(hash, peer_of(c).address);
  return static_cast<std::uint32_t>(hash.add(net::number(c.original.protocol)).finish());
}

// Shared endpoints have several holders, so every one there is asked.
template <typename Objects>
bool Mappings::is_held(net::Protocol protocol, net::Endpoint outside, Objects&& objects) const {
  const auto holder = outside_.find(hash_outside(protocol, outside), [&](std::uint32_t record) {
    const Connection& c = table_.at(record);
    return c.original.protocol == protocol && outside_of(c) == outside && objects(c);
  });
  return holder.has_value();
}

// Where the inside endpoint stands already, as far as the connection's mapping scope goes.
std::optional<net::Endpoint> Mappings::mapped(const Connection& wanted,
                                              const Outside& outside) const {
  if (wanted.has(Connection::kMappedByConnection)) return std::nullopt;
  const auto is_same = [&](std::uint32_t record) {
    const Connection& c = table_.at(record);
    const net::Endpoint there = outside_of(c);
    return c.original.protocol == wanted.original.protocol && inside_of(c) == inside_of(wanted) &&
           (c.flags & kOfMapping) == (wanted.flags & kOfMapping) &&
           (!wanted.has(Connection::kMappedByAddress) ||
            peer_of(c).address == peer_of(wanted).address) &&
           std::ranges::any_of(outside.addresses, [&](const AddressRange& range) {
             return range.contains(there.address);
           });
  };
  const auto record = inside_.find(hash_inside(wanted), is_same);
  return record ? std::optional{outside_of(table_.at(*record))} : std::nullopt;
}

// Where it has announced that it stands.
std::optional<net::Endpoint> Mappings::promised(const Connection& c, const Outside& outside) const {
  if (reserved_ == nullptr) return std::nullopt;
  const auto endpoint = reserved_->promised_to(c.original.protocol, inside_of(c));
  const bool fits = endpoint && std::ranges::any_of(outside.addresses, [&](const AddressRange& r) {
                      return r.contains(endpoint->address);
                    });
  return fits ? endpoint : std::nullopt;
}

// Tries an endpoint for a new mapping; on success it stands in connection.reply.
bool Mappings::fits(Connection& c, net::Endpoint outside, const Outside& given) const {
  const bool may_share = c.has(Connection::kShared);
  const bool may_rejoin =
      !c.has(Connection::kMappedByAddress) && !c.has(Connection::kMappedByConnection);
  const net::Endpoint inside = inside_of(c);
  const auto objects = [&](const Connection& other) {
    return !(may_share && other.has(Connection::kShared)) &&
           !(may_rejoin && inside_of(other) == inside);
  };
  if (is_held(c.original.protocol, outside, objects)) return false;
  if (ports_rest_ && lets_everybody_in(c) && resting_->is_resting(outside, inside.address))
    return false;
  return !is_promised(c.original.protocol, outside, given) && take(c, outside);
}

// To whoever is behind a forward, or to a connection that was announced.
bool Mappings::is_promised(net::Protocol protocol, net::Endpoint outside,
                           const Outside& given) const {
  if (given.rules != nullptr && given.rules->is_forwarded(given.egress, protocol, outside))
    return true;
  if (given.port_forwards != nullptr && given.port_forwards->has(protocol, outside)) return true;
  return reserved_ != nullptr && reserved_->is_reserved(protocol, outside);
}

std::optional<net::Endpoint> Mappings::find_free(net::Protocol protocol, net::Endpoint wanted,
                                                 const Outside& outside, const Wish& wish) {
  const auto anybody = [](const Connection&) { return true; };
  const auto is_free = [&](net::Endpoint candidate) {
    return !is_held(protocol, candidate, anybody) && !is_promised(protocol, candidate, outside);
  };
  const auto are_free = [&](std::uint32_t port) {
    if (port < wish.range.first || port + wish.count - 1 > wish.range.last) return false;
    for (std::uint32_t i = 0; i < wish.count; ++i)
      if (!is_free({wanted.address, static_cast<net::Port>(port + i)})) return false;
    return true;
  };
  if (are_free(wanted.port)) return wanted;
  const std::uint32_t pairs = (wish.range.last - wish.range.first + 1u) / 2;
  for (int i = 0; i < kProbes && !wish.exactly; ++i) {
    const std::uint32_t port =
        wish.range.first + 2 * random_.below(pairs) + ((wanted.port ^ wish.range.first) & 1u);
    if (are_free(port)) return net::Endpoint{wanted.address, static_cast<net::Port>(port)};
  }
  return std::nullopt;
}

std::optional<net::Endpoint> Mappings::find_mapped(net::Protocol protocol, net::Endpoint inside,
                                                   net::IpAddress outside,
                                                   std::uint16_t flags) const {
  Connection wanted;
  wanted.flags = flags;
  wanted.original = {inside.address, {}, inside.port, 0, protocol, 0};
  if (wanted.has(Connection::kMappedByAddress)) return std::nullopt;
  const AddressRange address{outside, outside};
  return mapped(wanted, {.addresses = {&address, 1}});
}

// False if the peer's answers would be another connection's.
bool Mappings::take(Connection& c, net::Endpoint outside) const {
  Tuple reply = c.reply;
  reply.destination_address = outside.address;
  reply.destination_port = outside.port;
  if (!table_.is_free(reply)) return false;
  c.reply = reply;
  return true;
}

// A host has one address, a socket has one, or each connection any.
net::IpAddress Mappings::pick_address(const Connection& c, const Outside& outside,
                                      const Behaviour& behaviour) {
  std::uint64_t count = 0;
  for (const AddressRange& range : outside.addresses) count += range.size();
  if (count == 1) return outside.addresses.front().first;
  SipHash hash{table_.key()};
  add(hash, inside_of(c).address);
  if (!behaviour.paired) hash.add(inside_of(c).port);
  const bool at_random = !behaviour.paired && behaviour.mapping == Scope::connection;
  std::uint64_t index = (at_random ? random_.next() : hash.finish()) % count;
  for (const AddressRange& range : outside.addresses) {
    if (index < range.size()) return range.at(index);
    index -= range.size();
  }
  return outside.addresses.front().first;
}

std::optional<DropReason> Mappings::choose(Connection& c, const Outside& outside,
                                           const Behaviour& behaviour) {
  // No port is taken from others: there is none, or many share it because the key tells them apart.
  if ((!c.original.has_ports() && !c.original.is_icmp()) || c.original.key != 0) {
    c.set(Connection::kShared);
    const net::Endpoint own{pick_address(c, outside, behaviour), c.original.source_port};
    return take(c, own) ? std::nullopt : std::optional{DropReason::tuple_clash};
  }
  remember(c, behaviour);
  for (const auto& endpoint : {promised(c, outside), mapped(c, outside)})
    if (endpoint && take(c, *endpoint)) return std::nullopt;
  if (!outside.may_take_port) return DropReason::host_ports;
  return choose_rested(c, pick_address(c, outside, behaviour), outside, behaviour);
}

// A port that has rested, or any if there is no other.
std::optional<DropReason> Mappings::choose_rested(Connection& c, net::IpAddress address,
                                                  const Outside& outside,
                                                  const Behaviour& behaviour) {
  const auto refusal = choose_port(c, address, outside, behaviour);
  if (!refusal || resting_->empty()) return refusal;
  ports_rest_ = false;
  const auto second = choose_port(c, address, outside, behaviour);
  ports_rest_ = true;
  return second;
}

std::optional<DropReason> Mappings::choose_port(Connection& c, net::IpAddress address,
                                                const Outside& outside,
                                                const Behaviour& behaviour) {
  if (behaviour.ports == PortChoice::classic) return choose_classic(c, address, outside);
  const net::PortRange range = is_given(outside.ports) ? outside.ports : class_of(c.original);
  if (behaviour.ports == PortChoice::contiguous)
    return choose_next(c, {address, range.first}, range, outside, 1);
  const net::Port wanted = c.original.source_port;
  const bool is_allowed = !is_given(outside.ports) || range.contains(wanted);
  if (behaviour.ports == PortChoice::preserve && is_allowed && fits(c, {address, wanted}, outside))
    return std::nullopt;
  return choose_random(c, address, range, outside, behaviour.parity);
}

std::optional<DropReason> Mappings::choose_random(Connection& c, net::IpAddress address,
                                                  net::PortRange range, const Outside& outside,
                                                  bool parity) {
  // Of all ports, or of those with the inside port's parity: first, first + step, …
  const std::uint32_t step = parity ? 2 : 1;
  const std::uint32_t first =
      range.first + (parity ? (range.first ^ c.original.source_port) & 1 : 0);
  if (first > range.last) return DropReason::no_free_ports;
  const std::uint32_t count = (range.last - first) / step + 1;
  const bool shared = c.has(Connection::kShared);
  const auto any = [&] { return static_cast<net::Port>(first + step * random_.below(count)); };
  for (int i = 0; i < (shared ? kProbesShared : kProbes); ++i)
    if (fits(c, {address, any()}, outside)) return std::nullopt;
  if (shared) return DropReason::no_free_ports;
  return choose_next(c, {address, any()}, range, outside, step);
}

// The first port from this one on. Who may share looks at each, because one that is used may do.
std::optional<DropReason> Mappings::choose_next(Connection& c, net::Endpoint from,
                                                net::PortRange range, const Outside& outside,
                                                unsigned step) {
  const bool shared = c.has(Connection::kShared);
  const std::uint32_t most = (range.last - range.first) / step + 1;
  net::Endpoint candidate = from;
  for (std::uint32_t i = 0; i < (shared ? most : std::min<std::uint32_t>(most, kLook)); ++i) {
    if (!shared) {
      const auto free = used_ports_.free_from(c.original.protocol, candidate.address,
                                              candidate.port, range, step);
      if (!free) break;
      candidate.port = *free;
    }
    if (fits(c, candidate, outside)) return std::nullopt;
    const std::uint32_t next = candidate.port + step;
    candidate.port = static_cast<net::Port>(
        next <= range.last ? next
                           : range.first + (step == 2 ? (range.first ^ from.port) & 1u : 0u));
  }
  return DropReason::no_free_ports;
}

std::optional<DropReason> Mappings::choose_classic(Connection& c, net::IpAddress address,
                                                   const Outside& outside) {
  const std::size_t* used = classic_count(c.original.protocol);
  if (used != nullptr && *used >= kClassicMost) return DropReason::no_free_ports;
  c.set(Connection::kClassicPort);
  for (int i = 0; i < kClassicEnd - kClassicFirst; ++i) {
    const net::Endpoint candidate{address, classic_next_};
    classic_next_ =
        classic_next_ + 1 < kClassicEnd ? static_cast<net::Port>(classic_next_ + 1) : kClassicFirst;
    if (fits(c, candidate, outside)) return std::nullopt;
  }
  return DropReason::no_free_ports;
}

bool Mappings::has_spoken_to(const Connection& holder, net::IpAddress peer) const {
  if (peer_of(holder).address == peer) return true;
  Connection wanted = holder;  // any connection of the same mapping with this peer
  (wanted.has(Connection::kInbound) ? wanted.original.source_address
                                    : wanted.original.destination_address) = peer;
  const auto is_same = [&](std::uint32_t record) {
    const Connection& c = table_.at(record);
    return c.original.protocol == wanted.original.protocol && outside_of(c) == outside_of(wanted) &&
           inside_of(c) == inside_of(wanted) && peer_of(c).address == peer;
  };
  return peers_.find(hash_peer(wanted), is_same).has_value();
}

bool Mappings::lets_in(const Connection& holder, net::IpAddress peer) const {
  if (holder.has(Connection::kFilterNobody)) return true;
  return holder.has(Connection::kFilterByAddress) && has_spoken_to(holder, peer);
}

// A stranger's connection is of the mapping by which it came in, and treated as that.
void Mappings::join(Connection& c, const Connection& holder) {
  c.flags = static_cast<std::uint16_t>(c.flags | (holder.flags & kOfMapping));
  c.set(Connection::kInbound);
  c.timeout_set = holder.timeout_set;
  c.traits = static_cast<std::uint8_t>(c.traits | (holder.traits & Connection::kOutboundRefresh));
  c.expires_ns = holder.expires_ns;
}

bool Mappings::admit(Connection& c, bool from_inside) const {
  if (!c.original.has_ports()) return false;
  const net::Protocol protocol = c.original.protocol;
  const net::Endpoint outside = c.original.destination();
  const net::IpAddress peer = c.original.source_address;
  const auto opens = [&](std::uint32_t record) {
    const Connection& holder = table_.at(record);
    return holder.original.protocol == protocol && outside_of(holder) == outside &&
           !holder.has(Connection::kLocal) && (from_inside || lets_in(holder, peer));
  };
  const auto record = outside_.find(hash_outside(protocol, outside), opens);
  if (!record) return false;
  const net::Endpoint inside = inside_of(table_.at(*record));
  Tuple reply = c.reply;
  reply.source_address = inside.address;
  reply.source_port = inside.port;
  if (!table_.is_free(reply)) return false;
  c.reply = reply;
  c.set(Connection::kAdmitted);
  // An insider's own source will be translated: it holds that mapping then, not this one.
  if (!from_inside) join(c, table_.at(*record));
  return true;
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

// Where each connection has a mapping of its own nobody looks for one by its inside endpoint.
void Mappings::insert(std::uint32_t record) {
  const Connection& c = table_.at(record);
  outside_.insert(hash_outside(c.original.protocol, outside_of(c)), record);
  if (!c.has(Connection::kMappedByConnection)) inside_.insert(hash_inside(c), record);
}

bool Mappings::erase(std::uint32_t record) {
  const Connection& c = table_.at(record);
  if (!outside_.erase(hash_outside(c.original.protocol, outside_of(c)), record)) return false;
  if (!c.has(Connection::kMappedByConnection)) inside_.erase(hash_inside(c), record);
  return true;
}

bool Mappings::leads(std::uint32_t record) const {
  return leads(table_.at(record));
}

bool Mappings::leads(const Connection& c) const {
  return c.has(Connection::kMapped) && ring_of(c) == table_.index_of(c);
}

bool Mappings::hold(const Connection& c) {
  if (!c.has(Connection::kMapped)) return false;
  if (c.has(Connection::kClassicPort))
    if (std::size_t* used = classic_count(c.original.protocol)) ++*used;
  const std::uint32_t record = table_.index_of(c);
  const auto ring = ring_of(c);
  if (!ring) {
    links_[record] = {record, record};
    used_ports_.note(c.original.protocol, outside_of(c), true);
    insert(record);
    return true;
  }
  // The ring's first connection is found without an index of peers; most rings have no other.
  if (c.has(Connection::kFilterByAddress)) peers_.insert(hash_peer(c), record);
  links_[record] = {*ring, links_[*ring].previous};
  links_[links_[record].previous].next = record;
  links_[*ring].previous = record;
  return false;
}

bool Mappings::release(const Connection& c) {
  if (!c.has(Connection::kMapped)) return false;
  if (c.has(Connection::kClassicPort))
    if (std::size_t* used = classic_count(c.original.protocol)) --*used;
  const std::uint32_t record = table_.index_of(c);
  if (c.has(Connection::kFilterByAddress)) peers_.erase(hash_peer(c), record);
  const Links links = links_[record];
  links_[links.previous].next = links.next;
  links_[links.next].previous = links.previous;
  const bool was_indexed = erase(record);
  if (links.next == record)
    end_ring(c);
  else if (was_indexed)
    insert(links.next);
  return links.next == record;
}

// Shared endpoints may have another ring.
void Mappings::end_ring(const Connection& c) {
  const auto anybody = [](const Connection&) { return true; };
  if (is_held(c.original.protocol, outside_of(c), anybody)) return;
  used_ports_.note(c.original.protocol, outside_of(c), false);
  if (lets_everybody_in(c)) resting_->put(outside_of(c), inside_of(c).address);
}

}  // namespace masqgate::nat
