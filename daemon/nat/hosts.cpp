#include "daemon/nat/hosts.hpp"

#include <algorithm>

namespace masqgate::nat {
namespace {

net::IpAddress host_of(net::IpAddress address, unsigned prefix_v6) {
  return address.is_v4() ? address : net::Prefix{address, prefix_v6}.address();
}

Duration interval(const HostLimits& limits) {
  return Duration{std::chrono::seconds{1}} / limits.per_second;
}

}  // namespace

bool HostLimits::holds_for(net::IpAddress address) const {
  return std::ranges::none_of(except, [&](const net::Prefix& p) { return p.contains(address); });
}

Hosts::Hosts(HashKey key, std::size_t most_connections)
    : key_{key},
      most_{static_cast<std::uint32_t>(std::min<std::size_t>(most_connections, kMost))},
      index_{most_},
      hosts_{static_cast<Host*>(map_zeros((most_ + 1) * sizeof(Host))),
             {(most_ + 1) * sizeof(Host)}} {
  free_.reserve(most_);
}

std::uint32_t Hosts::hash(net::IpAddress host) const {
  SipHash hash{key_};
  return static_cast<std::uint32_t>(hash.add(host.high()).add(host.low()).finish());
}

Host* Hosts::find(net::IpAddress host) const {
  const auto place =
      index_.find(hash(host), [&](std::uint32_t at) { return hosts_[at].address == host; });
  return place ? &hosts_[*place] : nullptr;
}

Host& Hosts::find_or_shared(net::IpAddress address, unsigned prefix_v6) {
  Host* host = find(host_of(address, prefix_v6));
  return host != nullptr ? *host : hosts_[0];
}

Host& Hosts::find_or_make(net::IpAddress address, unsigned prefix_v6) {
  const net::IpAddress name = host_of(address, prefix_v6);
  if (Host* host = find(name)) return *host;
  std::uint32_t at = untouched_;
  if (!free_.empty()) {
    at = free_.back();
    free_.pop_back();
  } else if (untouched_ <= most_) {
    ++untouched_;
  } else {
    return hosts_[0];
  }
  hosts_[at] = {};
  hosts_[at].address = name;
  index_.insert(hash(name), at);
  return hosts_[at];
}

std::optional<DropReason> Hosts::objection(net::IpAddress address, const HostLimits& limits,
                                           Time now) {
  if (!limits.holds_for(address)) return std::nullopt;
  Host* host = find(host_of(address, limits.prefix_v6));
  if (host == nullptr) {
    if (index_.size() < most_) return std::nullopt;
    host = &hosts_[0];
  }
  if (limits.sessions != 0 && host->sessions >= limits.sessions) {
    refuse(*host, address);
    return DropReason::host_sessions;
  }
  const bool is_fast =
      limits.per_second != 0 && host->full - now > std::chrono::seconds{1} - interval(limits);
  if (!is_fast) return std::nullopt;
  refuse(*host, address);
  return DropReason::host_rate;
}

bool Hosts::may_take_port(net::IpAddress address, const HostLimits& limits) const {
  if (limits.ports == 0 || !limits.holds_for(address)) return true;
  if (const Host* host = find(host_of(address, limits.prefix_v6)))
    return host->ports < limits.ports;
  return index_.size() < most_ || hosts_[0].ports < limits.ports;
}

void Hosts::refuse_port(net::IpAddress address, unsigned prefix_v6) {
  refuse(find_or_shared(address, prefix_v6), address);
}

void Hosts::refuse(Host& host, net::IpAddress address) {
  ++host.refused;
  if (offenders_.front() == address) return;
  const auto known = std::ranges::find(offenders_, address);
  const auto end = known == offenders_.end() ? offenders_.end() - 1 : known;
  std::move_backward(offenders_.begin(), end, end + 1);
  offenders_.front() = address;
}

void Hosts::take_session(net::IpAddress address, const HostLimits& limits, Time now) {
  Host& host = find_or_make(address, limits.prefix_v6);
  ++host.sessions;
  if (limits.per_second != 0) host.full = std::max(host.full, now) + interval(limits);
}

void Hosts::take_port(net::IpAddress address, unsigned prefix_v6) {
  ++find_or_make(address, prefix_v6).ports;
}

// What was counted for all because no record was free is released there.
template <std::uint32_t Host::*member>
void Hosts::release(net::IpAddress address, unsigned prefix_v6) {
  Host* host = &find_or_shared(address, prefix_v6);
  if (host->*member == 0) host = &hosts_[0];
  if (host->*member == 0) return;
  --(host->*member);
  if (host == &hosts_[0] || host->sessions != 0 || host->ports != 0) return;
  const auto at = static_cast<std::uint32_t>(host - hosts_.get());
  index_.erase(hash(host->address), at);
  free_.push_back(at);
}

void Hosts::release_session(net::IpAddress address, unsigned prefix_v6) {
  release<&Host::sessions>(address, prefix_v6);
}
void Hosts::release_port(net::IpAddress address, unsigned prefix_v6) {
  release<&Host::ports>(address, prefix_v6);
}

void Hosts::clear() {
  for (std::uint32_t at = 0; at < untouched_; ++at) {
    const Host& host = hosts_[at];
    if (at != 0 && (host.sessions != 0 || host.ports != 0)) index_.erase(hash(host.address), at);
    hosts_[at] = {};
  }
  free_.clear();
  untouched_ = 1;
}

}  // namespace masqgate::nat
