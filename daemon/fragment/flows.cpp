#include "daemon/fragment/flows.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::fragment {

Flows::Flows(HashKey key) : key_{key}, identifications_{key}, index_{kMostNotes} {
  notes_.reserve(kMostNotes);
}

void Flows::give_ports(const Note& note, Packet& packet) {
  packet.tuple.protocol = note.protocol;
  packet.tuple.source_port = note.source_port;
  packet.tuple.destination_port = note.destination_port;
  packet.tuple.is_icmp_reply = note.is_icmp_reply;
  packet.tuple.key = note.tuple_key;
  packet.fresh_id = note.fresh_id;
}

std::optional<std::uint32_t> Flows::find(const DatagramKey& key) const {
  return index_.find(hash(key_, key), [&](std::uint32_t note) { return notes_[note].key == key; });
}

std::uint16_t& Flows::begun_by(const net::IpAddress& source) {
  SipHash hash{key_};
  return begun_[hash.add(source.high()).add(source.low()).finish() % kBuckets];
}

void Flows::end_oldest() {
  const Note& note = notes_[oldest_];
  index_.erase(hash(key_, note.key), static_cast<std::uint32_t>(oldest_));
  if (!note.pieces.complete()) --begun_by(note.key.source);
  oldest_ = (oldest_ + 1) % kMostNotes;
  --count_;
}

Flows::Note* Flows::begin(const DatagramKey& key, Time now) {
  while (count_ > 0 && (count_ == kMostNotes || notes_[oldest_].until <= now)) end_oldest();
  std::uint16_t& begun = begun_by(key.source);
  if (begun == kMostOfSource) return nullptr;
  ++begun;
  const std::size_t place = (oldest_ + count_) % kMostNotes;
  if (place == notes_.size()) notes_.emplace_back();
  Note& note = notes_[place];
  note = Note{};
  note.key = key;
  note.fresh_id = identifications_.next();
  note.until = now + kNoteLife;
  ++count_;
  index_.insert(hash(key_, key), static_cast<std::uint32_t>(place));
  return &note;
}

void Flows::release(const Note& note) {
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    if (waiting.key == note.key) {
      give_ports(note, waiting.packet);
      released_.push_back(std::move(waiting.packet));
    } else {
      waiting_.push_back(std::move(waiting));
    }
  }
}

Flows::Fate Flows::park(const DatagramKey& key, Packet& packet, Time now) {
  const auto same = std::ranges::count_if(
      waiting_, [&](const Waiting& one) { return one.key.source == key.source; });
  if (waiting() >= kMostWaiting || static_cast<std::size_t>(same) >= kMostWaitingOfSource)
    return Fate::refused;
  waiting_.push_back({key, now, std::move(packet)});
  return Fate::parked;
}

// A number that is used again when its datagram is complete names another datagram: at full speed
// 16 bits are used up in seconds.
Piece Flows::add(Note& note, const Packet& packet) {
  const wire::Bytes content = wire::Bytes{packet.frame.ip()}.subspan(parts_of(packet).payload);
  const std::uint32_t name = digest(key_, content);
  const auto add_to = [&](Pieces& pieces) {
    return pieces.add(packet.fragment_offset, content.size(), packet.more_fragments, name);
  };
  const bool was_complete = note.pieces.complete();
  Piece piece = add_to(note.pieces);
  if (was_complete && piece != Piece::again) {
    note.pieces = Pieces{};
    ++begun_by(note.key.source);
    piece = add_to(note.pieces);
  }
  if (!was_complete && note.pieces.complete()) --begun_by(note.key.source);
  return piece;
}

Flows::Fate Flows::pass(Packet& packet, Time now) {
  const DatagramKey key = key_of(packet);
  const auto known = find(key);
  Note* note = known && notes_[*known].until > now ? &notes_[*known] : nullptr;
  if (note == nullptr) note = begin(key, now);
  if (note == nullptr) return Fate::limit;
  if (note->spoilt) return Fate::overlaps;
  const Piece piece = add(*note, packet);
  if (piece == Piece::too_many) return Fate::limit;
  if (piece == Piece::overlaps) {
    note->spoilt = true;
    return Fate::overlaps;
  }
  if (packet.fragment_offset == 0) {
    note->protocol = packet.tuple.protocol;
    note->source_port = packet.tuple.source_port;
    note->destination_port = packet.tuple.destination_port;
    note->is_icmp_reply = packet.tuple.is_icmp_reply;
    note->tuple_key = packet.tuple.key;
    give_ports(*note, packet);
    if (!waiting_.empty()) release(*note);
    return Fate::known;
  }
  if (!note->pieces.has_first()) return park(key, packet, now);
  give_ports(*note, packet);
  return Fate::known;
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
