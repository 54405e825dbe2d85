#include "daemon/fragment/flows.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::fragment {
namespace {

template <typename Note>
void give_ports(const Note& note, Packet& packet) {
  packet.tuple.source_port = note.source_port;
  packet.tuple.destination_port = note.destination_port;
  packet.tuple.is_icmp_reply = note.is_icmp_reply;
}

}  // namespace

Flows::Flows(HashKey key) : key_{key}, index_{kMostNotes} {
  notes_.reserve(kMostNotes);
}

Flows::Key Flows::key_of(const Packet& packet) {
  return {packet.tuple.source_address, packet.tuple.destination_address, packet.fragment_id,
          packet.tuple.protocol};
}

std::uint32_t Flows::hash(const Key& key) const {
  SipHash hash{key_};
  hash.add(key.source.high()).add(key.source.low());
  hash.add(key.destination.high()).add(key.destination.low());
  hash.add(std::uint64_t{key.identification} << 8 | net::number(key.protocol));
  return static_cast<std::uint32_t>(hash.finish());
}

std::optional<std::uint32_t> Flows::find(const Key& key) const {
  return index_.find(hash(key), [&](std::uint32_t note) { return notes_[note].key == key; });
}

// The notes are a ring: a new one takes the oldest one's place.
void Flows::note(const Key& key, const Packet& first, Time now) {
  const Tuple& tuple = first.tuple;
  const Note fresh{key, tuple.source_port, tuple.destination_port, tuple.is_icmp_reply,
                   now + kNoteLife};
  if (const auto known = find(key)) {
    notes_[*known] = fresh;
    return;
  }
  const auto place = static_cast<std::uint32_t>(next_note_);
  next_note_ = (next_note_ + 1) % kMostNotes;
  if (place < notes_.size()) {
    index_.erase(hash(notes_[place].key), place);
    notes_[place] = fresh;
  } else {
    notes_.push_back(fresh);
  }
  index_.insert(hash(key), place);
}

void Flows::release(const Key& key) {
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    if (waiting.key == key) {
      give_ports(notes_[*find(key)], waiting.packet);
      released_.push_back(std::move(waiting.packet));
    } else {
      waiting_.push_back(std::move(waiting));
    }
  }
}

Flows::Fate Flows::pass(Packet& packet, Time now) {
  const Key key = key_of(packet);
  if (packet.fragment_offset == 0) {
    note(key, packet, now);
    if (!waiting_.empty()) release(key);
    return Fate::known;
  }
  const auto known = find(key);
  if (known && notes_[*known].until > now) {
    give_ports(notes_[*known], packet);
    return Fate::known;
  }
  const auto same = std::ranges::count_if(waiting_, [&](const Waiting& w) { return w.key == key; });
  if (waiting() >= kMostWaiting || static_cast<std::size_t>(same) >= kMostWaitingEach)
    return Fate::refused;
  waiting_.push_back({key, now, std::move(packet)});
  return Fate::parked;
}

std::optional<Packet> Flows::unpark() {
  if (released_.empty()) return std::nullopt;
  std::optional<Packet> packet{std::move(released_.front())};
  released_.pop_front();
  return packet;
}

std::optional<Packet> Flows::give_up(Time now) {
  if (waiting_.empty() || now - waiting_.front().since < kWait) return std::nullopt;
  std::optional<Packet> packet{std::move(waiting_.front().packet)};
  waiting_.pop_front();
  return packet;
}

}  // namespace masqgate::fragment
