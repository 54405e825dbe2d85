// Whose packet it is, of those that the router's own machine sends: Linux 2.4's owner match
// (history 7.1), by the user that the kernel's socket diagnosis names.
//
// Asked once for a connection and rule; a socket stays with its user. A packet that no socket
// of the machine has sent (forwarded from a container, an ICMP message) has no owner: false,
// negated or not.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/firewall/hooks.hpp"
#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

class Memory;

// Who is asked. On the thread of the shard, which waits for the answer: it takes microseconds.
class Owners {
 public:
  // tuple: as the packet came from the host side.
  virtual std::optional<std::uint32_t> uid_of(const Tuple& tuple) noexcept = 0;

 protected:
  ~Owners() = default;
};

struct UidRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

struct OwnerMatch {
  static constexpr bool per_packet = false;
  static constexpr HookSet kHooks{Hook::output, Hook::postrouting, Hook::leaving};
  std::vector<UidRange> uids;
  bool negated = false;
  bool matches(const Packet& packet, Memory& memory) const noexcept;
};

}  // namespace masqgate::firewall
