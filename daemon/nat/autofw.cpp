#include "daemon/nat/autofw.hpp"

#include <algorithm>

namespace masqgate::nat {
namespace {

using Kind = AutoForward::Kind;

bool is_valid(const AutoForward& entry) {
  if (entry.kind == Kind::none || !entry.named.is_v4()) return false;
  if (entry.kind == Kind::port)
    return entry.visible != 0 && entry.hidden != 0 && !entry.named.is_unspecified();
  return entry.ports.first != 0 && entry.ports.first <= entry.ports.last;
}

bool is_control(const AutoForward& entry, net::Protocol protocol, net::Port port) {
  return entry.kind == Kind::range && entry.control_port != 0 && entry.control_port == port &&
         entry.control_protocol == protocol;
}

// All that was said when the entry was added, but for the checks.
bool same(const AutoForward& a, const AutoForward& b) {
  return a.kind == b.kind && a.protocol == b.protocol && a.ports == b.ports &&
         a.visible == b.visible && a.hidden == b.hidden && a.named == b.named &&
         a.control_protocol == b.control_protocol && a.control_port == b.control_port;
}

}  // namespace

ForwardProblem AutoForwards::add(const AutoForward& entry) {
  if (!is_valid(entry)) return ForwardProblem::invalid;
  if (entries_.size() >= kMost) return ForwardProblem::full;
  AutoForward added = entry;
  added.where = added.named;
  added.last_peer = kAnyAddress;
  added.active = false;
  entries_.insert(entries_.begin(), added);
  return ForwardProblem::none;
}

ForwardProblem AutoForwards::remove(const AutoForward& entry) {
  const auto found =
      std::ranges::find_if(entries_, [&](const AutoForward& e) { return same(e, entry); });
  if (found == entries_.end()) return ForwardProblem::invalid;
  entries_.erase(found);
  return ForwardProblem::none;
}

void AutoForwards::on_outgoing(net::Protocol protocol, net::IpAddress inside, net::Endpoint peer,
                               Time now) noexcept {
  if (!inside.is_v4()) return;
  for (AutoForward& entry : entries_) {
    if (!is_control(entry, protocol, peer.port)) continue;
    entry.active = true;
    entry.closes = now + kOpen;
    entry.last_peer = peer.address;
    entry.where = inside;
  }
}

bool AutoForwards::watches(net::Protocol protocol, net::Port port) const noexcept {
  return std::ranges::any_of(
      entries_, [&](const AutoForward& entry) { return is_control(entry, protocol, port); });
}

void AutoForwards::close_expired(Time now) noexcept {
  for (AutoForward& entry : entries_) {
    if (!entry.active || !entry.timed || now < entry.closes) continue;
    entry.active = false;
    entry.last_peer = kAnyAddress;
    if (entry.secure) entry.where = kAnyAddress;
  }
}

bool AutoForwards::admits(const AutoForward& range, net::IpAddress sender) const noexcept {
  if (range.where.is_unspecified()) return false;  // the kernel forwarded to 0.0.0.0
  return unchecked_ || !range.secure || (range.active && range.last_peer == sender);
}

// The kernel asks all ranges before any single port.
std::optional<net::Endpoint> AutoForwards::use(net::Protocol protocol, net::IpAddress sender,
                                               net::Port port, Time now) noexcept {
  close_expired(now);
  for (const AutoForward& entry : entries_)
    if (entry.kind == Kind::range && entry.protocol == protocol && entry.ports.contains(port) &&
        admits(entry, sender))
      return net::Endpoint{entry.where, port};
  for (const AutoForward& entry : entries_)
    if (entry.kind == Kind::port && entry.protocol == protocol && entry.visible == port)
      return net::Endpoint{entry.where, entry.hidden};
  return std::nullopt;
}

bool AutoForwards::keeps_port(net::Port destination) const noexcept {
  return std::ranges::any_of(entries_, [&](const AutoForward& entry) {
    return entry.kind == Kind::direct && entry.ports.contains(destination);
  });
}

std::vector<AutoForward> AutoForwards::list(Time now) {
  close_expired(now);
  return entries_;
}

}  // namespace masqgate::nat
