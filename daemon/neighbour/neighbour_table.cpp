#include "daemon/neighbour/neighbour_table.hpp"

#include <utility>

namespace masqgate::neighbour {

Table::Table(HashKey key, Asker& asker) : key_{key}, asker_{asker}, index_{kMost} {
  entries_.reserve(kMost);
}

std::uint32_t Table::hash(PortIndex port, net::IpAddress address) const {
  SipHash hash{key_};
  return static_cast<std::uint32_t>(hash.add(address.high()).add(address.low()).add(port).finish());
}

std::optional<std::uint32_t> Table::find(PortIndex port, net::IpAddress address) const {
  return index_.find(hash(port, address), [&](std::uint32_t entry) {
    return entries_[entry].port == port && entries_[entry].address == address;
  });
}

// An entry that means nothing to anybody now: failed, or never answered, and nobody waits for it.
std::optional<std::uint32_t> Table::reusable() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    reuse_cursor_ = static_cast<std::uint32_t>((reuse_cursor_ + 1) % entries_.size());
    const Neighbour& entry = entries_[reuse_cursor_];
    if (entry.waiting > 0 || entry.state == State::usable || entry.state == State::stale) continue;
    return reuse_cursor_;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> Table::add(PortIndex port, net::IpAddress address) {
  std::uint32_t entry = static_cast<std::uint32_t>(entries_.size());
  if (entries_.size() < kMost) {
    entries_.emplace_back();
  } else {
    const auto old = reusable();
    if (!old) return std::nullopt;
    entry = *old;
    if (entries_[entry].was_usable) ++generation_;
    index_.erase(hash(entries_[entry].port, entries_[entry].address), entry);
  }
  entries_[entry] = Neighbour{.address = address, .port = port};
  index_.insert(hash(port, address), entry);
  return entry;
}

std::optional<std::uint32_t> Table::resolve(PortIndex port, net::IpAddress address, Time now) {
  auto entry = find(port, address);
  if (!entry) entry = add(port, address);
  if (!entry) return std::nullopt;
  Neighbour& neighbour = entries_[*entry];
  if (neighbour.waiting == 0) neighbour.waits_since = now;
  if (neighbour.state != State::usable && now - neighbour.asked >= kAskAgain) {
    // A failed one gets another chance with each question. A stale one is good until Linux, which
    // probes it now, says otherwise: it reports a failure, but not that it has begun to probe.
    if (neighbour.state == State::failed) neighbour.state = State::unresolved;
    if (neighbour.state == State::stale) neighbour.state = State::usable;
    neighbour.asked = now;
    asker_.ask(port, address);
  }
  return entry;
}

bool Table::park(std::uint32_t entry, Packet& packet) {
  Neighbour& neighbour = entries_[entry];
  if (neighbour.waiting == kMostWaitingEach || waiting() >= kMostWaiting) return false;
  ++neighbour.waiting;
  packet.neighbour = entry;
  waiting_.push_back(std::move(packet));
  return true;
}

void Table::release(std::uint32_t entry) {
  if (entries_[entry].waiting == 0) return;
  entries_[entry].waiting = 0;
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    Packet packet = std::move(waiting_.front());
    waiting_.pop_front();
    (packet.neighbour == entry ? released_ : waiting_).push_back(std::move(packet));
  }
}

std::optional<Packet> Table::unpark() {
  if (released_.empty()) return std::nullopt;
  std::optional<Packet> packet{std::move(released_.front())};
  released_.pop_front();
  return packet;
}

void Table::update(PortIndex port, net::IpAddress address, std::optional<net::MacAddress> mac,
                   State state) {
  auto entry = find(port, address);
  if (!entry && state != State::failed && mac) entry = add(port, address);
  if (!entry) return;
  Neighbour& neighbour = entries_[*entry];
  if (mac) neighbour.mac = *mac;
  neighbour.state = mac || state == State::failed ? state : State::unresolved;
  if (neighbour.state == State::usable || neighbour.state == State::stale)
    neighbour.was_usable = true;
  if (neighbour.state != State::unresolved) release(*entry);
}

void Table::forget_all() {
  for (Neighbour& neighbour : entries_) neighbour.state = State::unresolved;
}

void Table::expire(Time now) {
  if (waiting_.empty()) return;
  for (std::uint32_t entry = 0; entry < entries_.size(); ++entry) {
    Neighbour& neighbour = entries_[entry];
    if (neighbour.waiting == 0) continue;
    if (now - neighbour.waits_since >= kGiveUp) {
      neighbour.state = State::failed;
      release(entry);
    } else if (now - neighbour.asked >= kAskAgain) {  // the question, or its answer, was lost
      neighbour.asked = now;
      asker_.ask(neighbour.port, neighbour.address);
    }
  }
}

}  // namespace masqgate::neighbour
