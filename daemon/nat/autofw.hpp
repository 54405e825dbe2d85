// AUTOFW: ports that open for a host inside when it speaks to a control port, as Linux 2.2 kept them
// (history 4.2).
//
//   -r range    what comes to these ports goes to the host that last spoke to the control port, or to
//               the one that is named; 15 s after its last word that host and its peer are forgotten
//   -p port     one port goes to one port of one host
//   -d direct   outgoing connections to these ports keep their source port
//
// The kernel meant to check that a range is open and that the sender is the peer, but never did. Here
// the check is made, unless unchecked() asks for the kernel's behaviour.

#pragma once

#include <optional>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/nat/forward_problem.hpp"

namespace masqgate::nat {

struct AutoForward {
  enum class Kind : std::uint8_t { none = 0, range = 1, port = 2, direct = 3 };

  Kind kind = Kind::none;
  net::Protocol protocol{};  // that of the ports
  net::PortRange ports{0, 0};
  net::Port visible = 0;  // kind port: ours, and the host's
  net::Port hidden = 0;
  net::IpAddress named = kAnyAddress;  // the host inside, if it is always the same
  net::Protocol control_protocol{};
  net::Port control_port = 0;  // 0: none
  bool timed = true;           // closes 15 s after the last word to the control port
  bool secure = true;          // opens to the peer of that word only

  // What the last word to the control port has set.
  net::IpAddress where = kAnyAddress;
  net::IpAddress last_peer = kAnyAddress;
  bool active = false;
  Time closes{};

  bool operator==(const AutoForward&) const = default;
};

class AutoForwards {
 public:
  static constexpr std::size_t kMost = 256;  // each first packet, in or out, looks at each
  static constexpr Duration kOpen = std::chrono::seconds{15};

  ForwardProblem add(const AutoForward& entry);  // as the first; twice the same is two
  // Removes the first that was added with the same words, whoever it is open for now.
  ForwardProblem remove(const AutoForward& entry);
  void flush() { entries_.clear(); }

  // The kernel's missing check (true), or the documented one.
  void set_unchecked(bool unchecked) { unchecked_ = unchecked; }
  bool unchecked() const { return unchecked_; }

  // A masqueraded packet leaves.
  void on_outgoing(net::Protocol protocol, net::IpAddress inside, net::Endpoint peer,
                   Time now) noexcept;
  // Whether on_outgoing() would note such a packet.
  bool watches(net::Protocol protocol, net::Port port) const noexcept;
  // Where a new connection from this sender to this port of ours goes.
  std::optional<net::Endpoint> use(net::Protocol protocol, net::IpAddress sender, net::Port port,
                                   Time now) noexcept;
  // Whether connections to this port outside keep their source port. As in the kernel, the entry's
  // protocol does not matter.
  bool keeps_port(net::Port destination) const noexcept;

  std::size_t size() const { return entries_.size(); }
  std::vector<AutoForward> list(Time now);  // newest first

 private:
  void close_expired(Time now) noexcept;
  bool admits(const AutoForward& range, net::IpAddress sender) const noexcept;

  std::vector<AutoForward> entries_;
  bool unchecked_ = false;
};

}  // namespace masqgate::nat
