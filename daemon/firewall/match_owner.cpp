#include "daemon/firewall/match_owner.hpp"

#include <algorithm>

#include "daemon/firewall/memory.hpp"

namespace masqgate::firewall {

bool OwnerMatch::matches(const Packet& packet, Memory& memory) const noexcept {
  if (packet.from != Side::host || packet.made_here || memory.owners == nullptr) return false;
  // Behind translation the packet's own tuple is no longer the socket's.
  const auto uid = memory.owners->uid_of(
      packet.connection == nullptr ? packet.tuple : packet.connection->tuple(packet.direction));
  if (!uid) return false;
  return std::ranges::any_of(uids, [&](const UidRange& range) {
           return range.first <= *uid && *uid <= range.last;
         }) != negated;
}

}  // namespace masqgate::firewall
