#include "daemon/path/stray_syns.hpp"

#include <algorithm>

namespace masqgate::path {

StraySyns::Entry* StraySyns::find(const Tuple& tuple, std::uint32_t hash) {
  for (std::size_t i = 0; i < count_; ++i) {
    Entry& entry = entries_[(first_ + i) % kMost];
    if (entry.hash == hash && entry.size != 0 && entry.tuple == tuple) return &entry;
  }
  return nullptr;
}

void StraySyns::put(const Packet& packet, Time now) {
  const auto bytes = packet.frame.ip();
  const std::uint32_t hash = packet.tuple.hash(key_);
  if (count_ == kMost || bytes.size() > kBytes || packet.is_fragment || packet.link_group ||
      find(packet.tuple, hash) != nullptr)
    return;
  Entry& entry = entries_[(first_ + count_++) % kMost];
  entry.due = now + kWait;
  entry.hash = hash;
  entry.ingress = packet.ingress;
  entry.size = static_cast<std::uint16_t>(bytes.size());
  entry.tuple = packet.tuple;
  std::ranges::copy(bytes, entry.bytes.begin());
}

void StraySyns::cancel(const Tuple& answer) {
  if (count_ == 0) return;
  if (Entry* entry = find(answer, answer.hash(key_))) entry->size = 0;
}

bool StraySyns::take_due(Packet& packet, Time now) {
  while (is_due(now)) {
    const Entry& entry = entries_[first_];
    first_ = (first_ + 1) % kMost;
    --count_;
    if (entry.size == 0) continue;
    packet.ingress = entry.ingress;
    packet.frame.set_ip_size(entry.size);
    std::copy_n(entry.bytes.begin(), entry.size, packet.frame.ip().begin());
    return true;
  }
  return false;
}

}  // namespace masqgate::path
