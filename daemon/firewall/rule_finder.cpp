#include "daemon/firewall/rule_finder.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "daemon/base/siphash.hpp"
#include "daemon/firewall/ruleset.hpp"

namespace masqgate::firewall {
namespace {

template <typename M>
const M* named(const Rule& rule) {
  for (const Match& one : rule.matches)
    if (const M* match = std::get_if<M>(&one)) return match->negated ? nullptr : match;
  return nullptr;
}

// The one port that the rule asks for.
template <typename M>
std::optional<net::Port> port_of(const Rule& rule) {
  const M* match = named<M>(rule);
  if (match == nullptr || match->ranges.size() != 1) return std::nullopt;
  const net::PortRange& range = match->ranges.front();
  return range.first == range.last ? std::optional{range.first} : std::nullopt;
}

}  // namespace

RuleFinder::Shape RuleFinder::shape_of(const Rule& rule) {
  Shape shape;
  if (const auto* source = named<SourceMatch>(rule)) {
    shape.source = static_cast<std::uint8_t>(source->prefix.length());
    shape.family = source->prefix.family();
  }
  if (const auto* destination = named<DestinationMatch>(rule)) {
    shape.destination = static_cast<std::uint8_t>(destination->prefix.length());
    shape.family = destination->prefix.family();
  }
  shape.source_port = port_of<SourcePortMatch>(rule).has_value();
  shape.destination_port = port_of<DestinationPortMatch>(rule).has_value();
  shape.protocol = named<ProtocolMatch>(rule) != nullptr;
  return shape;
}

Tuple RuleFinder::tuple_of(const Rule& rule) {
  Tuple tuple;
  if (const auto* source = named<SourceMatch>(rule))
    tuple.source_address = source->prefix.address();
  if (const auto* destination = named<DestinationMatch>(rule))
    tuple.destination_address = destination->prefix.address();
  tuple.source_port = port_of<SourcePortMatch>(rule).value_or(net::Port{0});
  tuple.destination_port = port_of<DestinationPortMatch>(rule).value_or(net::Port{0});
  if (const auto* protocol = named<ProtocolMatch>(rule)) tuple.protocol = protocol->protocol;
  return tuple;
}

// Rules are their owner's own: nobody else chooses what stands in the tables, so the key is no
// secret.
std::uint64_t RuleFinder::hash_of(const Shape& shape, const Tuple& tuple) noexcept {
  SipHash hash{HashKey{1, 2}};
  const auto add = [&](net::IpAddress address, std::uint8_t length) {
    const net::IpAddress network = net::Prefix{address, length}.address();
    hash.add(network.high()).add(network.low());
  };
  if (shape.source) add(tuple.source_address, *shape.source);
  if (shape.destination) add(tuple.destination_address, *shape.destination);
  std::uint64_t rest = 0;
  if (shape.protocol) rest = net::number(tuple.protocol);
  if (shape.source_port) rest |= std::uint64_t{tuple.source_port} << 16;
  if (shape.destination_port) rest |= std::uint64_t{tuple.destination_port} << 32;
  return hash.add(rest).finish();
}

bool RuleFinder::fits(const Shape& shape, const Packet& packet) noexcept {
  if (shape.family && packet.tuple.source_address.family() != *shape.family) return false;
  return (!shape.source_port && !shape.destination_port) || shows_ports(packet);
}

void RuleFinder::Table::finish() {
  std::ranges::sort(entries, {}, [](const Entry& e) { return std::pair{e.hash, e.rule}; });
  const unsigned bits = std::max(1u, static_cast<unsigned>(std::bit_width(entries.size())));
  shift = 64 - bits;
  starts.assign((std::size_t{1} << bits) + 1, static_cast<std::uint32_t>(entries.size()));
  for (std::size_t i = entries.size(); i-- > 0;)
    starts[entries[i].hash >> shift] = static_cast<std::uint32_t>(i);
  for (std::size_t i = starts.size() - 1; i-- > 0;) starts[i] = std::min(starts[i], starts[i + 1]);
}

std::span<const RuleFinder::Entry> RuleFinder::Table::find(std::uint64_t hash) const noexcept {
  const std::size_t bucket = hash >> shift;
  const Entry* first = entries.data() + starts[bucket];
  const Entry* const end = entries.data() + starts[bucket + 1];
  while (first != end && first->hash < hash) ++first;
  const Entry* last = first;
  while (last != end && last->hash == hash) ++last;
  return {first, last};
}

RuleFinder::RuleFinder(const std::vector<Rule>& rules) {
  if (rules.size() < kLeastRules) return;
  all_ = false;
  std::vector<Table> tables;
  for (std::uint32_t i = 0; i < rules.size(); ++i) {
    const Shape shape = shape_of(rules[i]);
    auto table = std::ranges::find(tables, shape, &Table::shape);
    if (table == tables.end()) table = tables.insert(tables.end(), Table{shape, {}, {}});
    table->entries.push_back({hash_of(shape, tuple_of(rules[i])), i});
  }
  // Protocols alone would not choose; rare shapes are not worth a look-up.
  const auto worth = [](const Table& t) {
    const Shape& s = t.shape;
    const bool names = s.source || s.destination || s.source_port || s.destination_port;
    return names ? t.entries.size() : 0;
  };
  std::ranges::stable_sort(tables, std::greater{}, worth);
  for (Table& table : tables) {
    if (worth(table) > 1 && tables_.size() < kMostShapes) {
      table.finish();
      tables_.push_back(std::move(table));
    } else {
      always_.insert(always_.end(), table.entries.begin(), table.entries.end());
    }
  }
  std::ranges::sort(always_, {}, &Entry::rule);
}

RuleFinder::Candidates RuleFinder::candidates(const Packet& packet) const noexcept {
  Candidates found;
  if (all_) return found;
  found.add(always_.data(), always_.data() + always_.size());
  for (const Table& table : tables_) {
    if (!fits(table.shape, packet)) continue;
    const auto entries = table.find(hash_of(table.shape, packet.tuple));
    if (!entries.empty()) found.add(entries.data(), entries.data() + entries.size());
  }
  return found;
}

}  // namespace masqgate::firewall
