#include "daemon/nat/mfw.hpp"

#include <algorithm>

namespace masqgate::nat {

MarkForwards::Row* MarkForwards::find(std::uint32_t mark) {
  Bucket& bucket = bucket_of(mark);
  const auto found = std::ranges::find(bucket, mark, &Row::mark);
  return found == bucket.end() ? nullptr : &*found;
}

ForwardProblem MarkForwards::add(const MarkForward& host) {
  return put(host, false);
}

ForwardProblem MarkForwards::insert(const MarkForward& host) {
  return put(host, true);
}

ForwardProblem MarkForwards::put(const MarkForward& host, bool first) {
  if (host.mark == 0 || host.preference < 0 || !host.remote.address.is_v4() ||
      host.remote.address.is_unspecified())
    return ForwardProblem::invalid;
  if (size_ >= kMost) return ForwardProblem::full;
  Row* row = find(host.mark);
  if (row == nullptr) {
    Bucket& bucket = bucket_of(host.mark);
    row = &*bucket.insert(bucket.begin(), Row{host.mark, {}});
  }
  MarkForward added = host;
  added.count = added.preference;
  row->hosts.insert(first ? row->hosts.begin() : row->hosts.end(), added);
  ++size_;
  return ForwardProblem::none;
}

// An unknown mark is an invalid one here, as in the kernel; remove() calls it not found.
ForwardProblem MarkForwards::edit(const MarkForward& host) {
  if (host.mark == 0 || host.preference < 0) return ForwardProblem::invalid;
  Row* row = find(host.mark);
  if (row == nullptr) return ForwardProblem::invalid;
  bool edited = false;
  for (MarkForward& there : row->hosts) {
    if (!fits(host.remote, there.remote)) continue;
    there.preference = there.count = host.preference;
    edited = true;
  }
  return edited ? ForwardProblem::none : ForwardProblem::not_found;
}

ForwardProblem MarkForwards::remove(const MarkForward& host) {
  Row* row = find(host.mark);
  if (row == nullptr) return ForwardProblem::not_found;
  const std::size_t removed = std::erase_if(
      row->hosts, [&](const MarkForward& there) { return fits(host.remote, there.remote); });
  size_ -= removed;
  if (row->hosts.empty())
    std::erase_if(bucket_of(host.mark), [&](const Row& r) { return r.mark == host.mark; });
  return removed == 0 ? ForwardProblem::not_found : ForwardProblem::none;
}

ForwardProblem MarkForwards::schedule(std::uint32_t mark) {
  Row* row = find(mark);
  if (row == nullptr) return ForwardProblem::invalid;
  take_turn(*row, true);
  return ForwardProblem::none;
}

void MarkForwards::flush() {
  for (Bucket& bucket : buckets_) bucket.clear();
  size_ = 0;
}

// The host that is first now serves, even where it goes to the end.
net::Endpoint MarkForwards::take_turn(Row& row, bool forced) noexcept {
  MarkForward& first = row.hosts.front();
  const net::Endpoint remote = first.remote;
  if (row.hosts.size() == 1) return remote;
  if ((first.preference != 0 && --first.count <= 0) || forced) {
    first.count = first.preference;
    std::rotate(row.hosts.begin(), row.hosts.begin() + 1, row.hosts.end());
  }
  return remote;
}

std::optional<net::Endpoint> MarkForwards::use(std::uint32_t mark, net::Endpoint destination,
                                               bool bare_ack) noexcept {
  Row* row = bare_ack ? nullptr : find(mark);
  if (row == nullptr) return std::nullopt;
  net::Endpoint remote = take_turn(*row, false);
  if (remote.port == 0) remote.port = destination.port;
  return remote;
}

std::vector<MarkForward> MarkForwards::list() const {
  std::vector<MarkForward> all;
  for (const Bucket& bucket : buckets_)
    for (const Row& row : bucket) all.insert(all.end(), row.hosts.begin(), row.hosts.end());
  return all;
}

}  // namespace masqgate::nat
