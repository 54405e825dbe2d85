#include "daemon/firewall/memory.hpp"

#include <algorithm>
#include <unordered_map>

#include "daemon/firewall/ruleset.hpp"

namespace masqgate::firewall {

bool TokenBucket::take(Time now, std::int64_t cost, std::int64_t cap) noexcept {
  if (since == Time{}) {
    credit = cap;
  } else {
    // Long silence fills the bucket, however long it was.
    const std::int64_t gained = std::min<std::int64_t>((now - since).count(), cap);
    credit = std::min(credit + gained, cap);
  }
  since = now;
  if (credit < cost) return false;
  credit -= cost;
  return true;
}

// Walks a chain of entries, throws out the dead, counts those of the source; where the chain ends.
std::uint32_t* SourceConnections::find_end(std::uint32_t* link, net::IpAddress source,
                                           const conntrack::Connection& own,
                                           const conntrack::Table& table, std::size_t& count,
                                           bool& known) noexcept {
  while (*link != kNone) {
    Entry& entry = entries_[*link];
    const conntrack::Connection& connection = table.at(entry.record);
    const bool is_own = &connection == &own && entry.serial == own.serial;
    const bool lives = is_own || (entry.serial == connection.serial &&
                                  connection.has(conntrack::Connection::kConfirmed));
    if (!lives) {
      const std::uint32_t dead = *link;
      *link = entry.next;
      entry.next = free_;
      free_ = dead;
      continue;
    }
    known = known || is_own;
    if (entry.source == source) ++count;
    link = &entry.next;
  }
  return link;
}

std::size_t SourceConnections::count(net::IpAddress source, const conntrack::Connection& connection,
                                     const conntrack::Table& table) noexcept {
  const std::uint64_t hash = SipHash{key_}.add(source.high()).add(source.low()).finish();
  std::size_t count = 0;
  bool known = false;
  std::uint32_t* link = find_end(&heads_[hash % kMost], source, connection, table, count, known);
  if (known) return count;
  std::uint32_t place = free_;
  if (place != kNone) {
    free_ = entries_[place].next;
  } else if (entries_.size() < kMost) {
    place = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    return kMost;
  }
  entries_[place] = {source, table.index_of(connection), connection.serial, kNone};
  *link = place;
  return count + 1;
}

namespace {

std::unique_ptr<Cell> make_cell(CellKind kind, HashKey key) {
  switch (kind) {
    case CellKind::bucket:
      return std::make_unique<Cell>(TokenBucket{});
    case CellKind::buckets:
      return std::make_unique<Cell>(SourceTable<TokenBucket>{key});
    case CellKind::quota:
      return std::make_unique<Cell>(Quota{});
    case CellKind::scans:
      return std::make_unique<Cell>(SourceTable<Scan>{key});
    case CellKind::connections:
      break;
  }
  return std::make_unique<Cell>(SourceConnections{key});
}

}  // namespace

void Memory::adopt(const Ruleset& ruleset) {
  std::unordered_map<std::uint64_t, std::unique_ptr<Cell>> known;
  for (std::size_t i = 0; i < cells_.size(); ++i)
    if (fingerprints_[i] != 0) known.emplace(fingerprints_[i], std::move(cells_[i]));
  cells_.clear();
  fingerprints_.clear();
  for (const Ruleset::CellWish& wish : ruleset.cells()) {
    const auto found = known.find(wish.fingerprint);
    cells_.push_back(found != known.end() ? std::move(found->second) : make_cell(wish.kind, key_));
    fingerprints_.push_back(wish.fingerprint);
  }
  log.begin_generation();
}

}  // namespace masqgate::firewall
