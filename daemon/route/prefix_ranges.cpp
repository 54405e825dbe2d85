#include "daemon/route/prefix_ranges.hpp"

#include <algorithm>

namespace masqgate::route {
namespace {

// The first address behind a prefix. Behind the last prefix of all it wraps to "::", where every
// search has begun already.
net::IpAddress behind(const net::Prefix& prefix) {
  const net::IpAddress first = prefix.address();
  const unsigned host_bits =
      prefix.family() == net::Family::v4 ? 32 - prefix.length() : 128 - prefix.length();
  if (host_bits >= 64) {
    const std::uint64_t step = host_bits == 128 ? 0 : std::uint64_t{1} << (host_bits - 64);
    return net::IpAddress::v6(first.high() + step, first.low());
  }
  const std::uint64_t low = first.low() + (std::uint64_t{1} << host_bits);
  return net::IpAddress::v6(first.high() + (low < first.low() ? 1 : 0), low);
}

}  // namespace

PrefixRanges::PrefixRanges(std::span<const net::Prefix> prefixes) {
  std::vector<std::uint32_t> open;  // prefixes around the place of the sweep, longest last
  parents_.reserve(prefixes.size());
  starts_.reserve(2 * prefixes.size());
  owners_.reserve(2 * prefixes.size());
  const auto innermost = [&] { return open.empty() ? kNobody : open.back(); };
  const auto close = [&] {
    const net::IpAddress next = behind(prefixes[open.back()]);
    open.pop_back();
    if (next != net::IpAddress{}) start_range(next, innermost());
  };
  for (const net::Prefix& prefix : prefixes) {
    while (!open.empty() && !prefixes[open.back()].contains(prefix)) close();
    parents_.push_back(innermost());
    open.push_back(static_cast<std::uint32_t>(parents_.size() - 1));
    start_range(prefix.address(), open.back());
  }
  while (!open.empty()) close();
}

// A later word about the same start is the truer one: a longer prefix that begins there, or a
// shorter one that ends there too.
void PrefixRanges::start_range(net::IpAddress start, std::uint32_t owner) {
  if (!starts_.empty() && starts_.back() == start) {
    owners_.back() = owner;
    return;
  }
  starts_.push_back(start);
  owners_.push_back(owner);
}

std::uint32_t PrefixRanges::find(net::IpAddress address) const noexcept {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), address);
  if (after == starts_.begin()) return kNobody;
  return owners_[static_cast<std::size_t>(after - starts_.begin() - 1)];
}

}  // namespace masqgate::route
