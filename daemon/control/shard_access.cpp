#include "daemon/control/shard_access.hpp"

#include <algorithm>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/use_awaitable.hpp>
#include <exception>

namespace masqgate::control {

// The handler that resumes the coroutine goes to the shard's thread and back to its own, where it is
// called and destroyed; the executor is kept from running out of work meanwhile.
asio::awaitable<void> ShardAccess::run(std::function<void()> work) {
  const auto start = [this](auto handler, const std::function<void()>& task) {
    const auto executor = asio::prefer(asio::get_associated_executor(handler),
                                       asio::execution::outstanding_work.tracked);
    loop_.post([task, executor, resume = std::move(handler)]() mutable {
      std::exception_ptr problem;
      try {
        task();
      } catch (...) {
        problem = std::current_exception();
      }
      asio::post(executor,
                 [problem, resume = std::move(resume)]() mutable { std::move(resume)(problem); });
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
      start, asio::use_awaitable, std::move(work));
}

asio::awaitable<void> in_force(ShardAccess shard) {
  const auto question = [](path::Shard&) { return true; };
  co_await shard.ask(question);
}

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
