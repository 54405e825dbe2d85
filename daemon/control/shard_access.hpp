// How control reads a shard: questions are asked on the shard's own thread, answers are values.

#pragma once

#include <asio/awaitable.hpp>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "daemon/path/loop.hpp"

namespace masqgate::control {

class ShardAccess {
 public:
  ShardAccess(path::Shard& shard, path::Loop& loop) : shard_{shard}, loop_{loop} {}

  // Asks a question; runs between two bursts, so it must be short.
  template <std::copy_constructible Question,
            typename Answer = std::invoke_result_t<Question, path::Shard&>>
  asio::awaitable<Answer> ask(Question question) {
    const auto answer = std::make_shared<std::optional<Answer>>();
    std::function<void()> work = [&shard = shard_, question = std::move(question), answer] {
      answer->emplace(question(shard));
    };
    co_await run(std::move(work));
    co_return std::move(**answer);
  }

  // Tells the shard something and does not wait.
  template <typename Work>
  void tell(Work work) {
    loop_.post([&shard = shard_, work = std::move(work)]() mutable { work(shard); });
  }

 private:
  // Returns when the shard's thread has done the work; throws what it threw.
  asio::awaitable<void> run(std::function<void()> work);

  path::Shard& shard_;
  path::Loop& loop_;
};

// Returns when the shard has taken over all that was posted to it: whoever changed something finds
// it changed.
asio::awaitable<void> in_force(ShardAccess shard);

// A piece of the connection table: copies of the connections in some records.
struct Slice {
  // Records looked at for one slice: short enough for the packets that wait meanwhile.
  static constexpr std::uint32_t kRecords = 2048;

  struct Entry {
    std::uint64_t id;
    conntrack::Connection connection;
  };
  std::vector<Entry> entries;
  std::uint32_t next = 0;  // the record to go on with
  bool last = false;
  Time now{};
};

// Copies the connections of kRecords records from this one on, at most `most` of them.
Slice copy_slice(path::Shard& shard, std::uint32_t from, std::size_t most);

// The whole table, slice by slice.
asio::awaitable<std::vector<Slice::Entry>> copy_connections(ShardAccess access);

}  // namespace masqgate::control
