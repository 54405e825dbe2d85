#include "daemon/proc/handles.hpp"

namespace masqgate::proc {

Handles::Id Handles::open() {
  if (snapshots_.size() >= limits_.handles) {
    ++counters_.refused_handles;
    return 0;
  }
  snapshots_.emplace(++last_, std::string{});
  return last_;
}

bool Handles::fill(Id id, std::string snapshot) {
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end()) return false;
  const std::size_t others = bytes_ - found->second.size();
  if (snapshot.size() > limits_.snapshot_bytes - others) {
    ++counters_.refused_memory;
    return false;
  }
  bytes_ = others + snapshot.size();
  found->second = std::move(snapshot);
  return true;
}

std::string_view Handles::read(Id id, std::uint64_t offset, std::size_t size) const {
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end() || offset >= found->second.size()) return {};
  return std::string_view{found->second}.substr(offset, size);
}

void Handles::close(Id id) {
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end()) return;
  bytes_ -= found->second.size();
  snapshots_.erase(found);
}

void Handles::clear() {
  snapshots_.clear();
  bytes_ = 0;
}

}  // namespace masqgate::proc
