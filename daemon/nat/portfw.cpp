#include "daemon/nat/portfw.hpp"

#include <algorithm>

namespace masqgate::nat {
namespace {

bool is_valid(const PortForward& entry) {
  return entry.local.port != 0 && entry.local.port <= PortForwards::kLastPort &&
         entry.local.address.is_v4() && entry.remote.address.is_v4();
}

bool same(const PortForward& wanted, const PortForward& there) {
  return wanted.local.port == there.local.port && fits(wanted.local.address, there.local.address) &&
         fits(wanted.remote, there.remote);
}

}  // namespace

std::vector<PortForward>* PortForwards::list_of(net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::udp:
      return &lists_[0];
    case net::Protocol::tcp:
      return &lists_[1];
    default:
      return nullptr;
  }
}

ForwardProblem PortForwards::add(const PortForward& entry) {
  auto* list = list_of(entry.protocol);
  if (list == nullptr || !is_valid(entry) || entry.preference <= 0) return ForwardProblem::invalid;
  bool edited = false;
  for (PortForward& there : *list) {
    if (!same(entry, there)) continue;
    there.preference = there.count = entry.preference;
    edited = true;
  }
  if (edited) return ForwardProblem::none;
  // The kernel took entries that can never match, or lead to nowhere.
  if (entry.local.address.is_unspecified() || entry.remote.address.is_unspecified() ||
      entry.remote.port == 0)
    return ForwardProblem::invalid;
  if (size() >= kMost) return ForwardProblem::full;
  PortForward added = entry;
  added.count = added.preference;
  list->insert(list->begin(), added);
  return ForwardProblem::none;
}

ForwardProblem PortForwards::remove(const PortForward& entry) {
  auto* list = list_of(entry.protocol);
  if (list == nullptr || !is_valid(entry)) return ForwardProblem::invalid;
  const std::size_t removed =
      std::erase_if(*list, [&](const PortForward& there) { return same(entry, there); });
  return removed == 0 ? ForwardProblem::not_found : ForwardProblem::none;
}

void PortForwards::flush() {
  for (auto& list : lists_) list.clear();
}

std::optional<net::Endpoint> PortForwards::use(net::Protocol protocol,
                                               net::Endpoint destination) noexcept {
  auto* list = list_of(protocol);
  if (list == nullptr) return std::nullopt;
  const auto found = std::ranges::find(*list, destination, &PortForward::local);
  if (found == list->end()) return std::nullopt;
  const net::Endpoint remote = found->remote;
  // A single entry is never counted; of several each counts, even where no other has its endpoint.
  if (size() > 1 && --found->count <= 0) {
    found->count = found->preference;
    std::rotate(found, found + 1, list->end());
  }
  return remote;
}

bool PortForwards::has(net::Protocol protocol, net::Endpoint destination) const noexcept {
  return std::ranges::any_of(lists_, [&](const auto& list) {
    return std::ranges::any_of(list, [&](const PortForward& there) {
      return there.protocol == protocol && there.local == destination;
    });
  });
}

std::vector<PortForward> PortForwards::list() const {
  std::vector<PortForward> all = lists_[0];
  all.insert(all.end(), lists_[1].begin(), lists_[1].end());
  return all;
}

}  // namespace masqgate::nat
