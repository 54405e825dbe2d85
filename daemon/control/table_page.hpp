// Pages of the shard's tables, read in slices that are short enough for the packets that wait.

#pragma once

#include "daemon/control/documents.hpp"
#include "daemon/control/shard_access.hpp"

namespace masqgate::control {

// The rows that the query's filter lets pass, as many as it wants, and where the next page begins. A
// page ends at a record, so that what comes and goes meanwhile shifts nothing.
// copy(shard, from, most): a slice; document(entry, now): a row. name: of the member with the rows.
template <typename Filter, typename Copy, typename Document>
asio::awaitable<Json> table_page(ShardAccess shard, state::Query query, const char* name, Copy copy,
                                 Document document) {
  const Filter filter = Filter::parse(query);
  const std::size_t limit = page_size(query);
  std::uint32_t from = cursor_of(query);
  Json rows = Json::array();
  bool last = false;
  while (!last && rows.size() < limit) {
    const std::size_t most = limit - rows.size();
    const auto question = [from, most, copy](path::Shard& s) { return copy(s, from, most); };
    const auto slice = co_await shard.ask(question);
    for (const auto& entry : slice.entries)
      if (filter.matches(entry.connection)) rows.push_back(document(entry, slice.now));
    from = slice.next;
    last = slice.last;
  }
  Json page{{name, std::move(rows)}, {"next", nullptr}};
  if (!last) page["next"] = id_text(from);
  co_return page;
}

}  // namespace masqgate::control
