#include "daemon/control/shard_access.hpp"

#include <algorithm>

namespace masqgate::control {

Slice copy_slice(path::Shard& shard, std::uint32_t from, std::size_t most) {
  Slice slice;
  const conntrack::Table& table = shard.connections();
  const auto capacity = static_cast<std::uint32_t>(table.capacity());
  const std::uint32_t end = from < capacity ? std::min(capacity, from + Slice::kRecords) : capacity;
  std::uint32_t record = std::min(from, capacity);
  for (; record < end && slice.entries.size() < most; ++record) {
    const conntrack::Connection& connection = table.at(record);
    if (!connection.has(conntrack::Connection::kConfirmed)) continue;
    slice.entries.push_back({conntrack::connection_id(record, connection.serial), connection});
  }
  slice.next = record;
  slice.last = record >= capacity;
  slice.now = shard.now();
  return slice;
}

asio::awaitable<std::vector<Slice::Entry>> copy_connections(ShardAccess access) {
  std::vector<Slice::Entry> all;
  std::uint32_t from = 0;
  for (bool last = false; !last;) {
    const auto question = [from](path::Shard& shard) {
      return copy_slice(shard, from, Slice::kRecords);
    };
    const Slice slice = co_await access.ask(question);
    all.insert(all.end(), slice.entries.begin(), slice.entries.end());
    from = slice.next;
    last = slice.last;
  }
  co_return all;
}

}  // namespace masqgate::control
