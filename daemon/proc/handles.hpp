// The open files of the mounted tree: each holds what its node said when it was opened.
//
// Strangers open files, so the number of handles and the memory of their snapshots are limited;
// what is refused is counted.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace masqgate::proc {

struct Limits {
  std::size_t handles = 1024;
  // A full table of 262,144 connections is about 60 MB of text; a few readers at once are fine.
  std::size_t snapshot_bytes = std::size_t{256} << 20;
  // Nodes being read or written at this moment; all run on the control thread.
  std::size_t running = 128;
  // One write(2); below what the kernel hands over in one piece, so that a longer one is seen.
  std::size_t write_bytes = std::size_t{64} << 10;
};

struct Counters {
  std::uint64_t opened = 0;
  std::uint64_t written = 0;
  std::uint64_t failed = 0;           // the node refused or broke
  std::uint64_t interrupted = 0;      // the reader or writer did not wait for the answer
  std::uint64_t refused_handles = 0;  // the rest: a limit was reached
  std::uint64_t refused_memory = 0;
  std::uint64_t refused_running = 0;
  std::uint64_t refused_size = 0;
};

class Handles {
 public:
  using Id = std::uint64_t;

  Handles(const Limits& limits, Counters& counters) : limits_{limits}, counters_{counters} {}

  // A new handle with an empty snapshot, or 0: there are too many.
  Id open();
  // Keeps the snapshot. False: too much memory, or no such handle (any more).
  bool fill(Id id, std::string snapshot);
  // At most size bytes of the snapshot from offset on; empty behind its end. Valid until close().
  std::string_view read(Id id, std::uint64_t offset, std::size_t size) const;
  void close(Id id);
  void clear();

  std::size_t size() const { return snapshots_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  const Limits& limits_;
  Counters& counters_;
  std::unordered_map<Id, std::string> snapshots_;
  Id last_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace masqgate::proc
