// Forwards: the router's tables PORTFW, AUTOFW and MFW, and in which order they are asked (history 4
// and 10).
//
//   first packet to an address of ours ─▶ mappings know nothing ─▶ the module that became non-empty
//   last ─▶ the one before ─▶ …; the first that knows a host inside has answered
//
// Tables change on the shard's thread between two bursts; what packets ask allocates nothing. They
// live as long as the shard and are not saved.

#pragma once

#include <array>
#include <variant>

#include "daemon/nat/autofw.hpp"
#include "daemon/nat/mfw.hpp"
#include "daemon/nat/portfw.hpp"

namespace masqgate::nat {

// In the order of ForwardOrder::entry.
enum class ForwardModule : std::uint8_t { portfw, autofw, mfw };

// A change, as the kernel's modules knew them.
struct ForwardOrder {
  enum class Act : std::uint8_t { add, insert, remove, edit, schedule, flush };

  Act act = Act::flush;
  std::variant<PortForward, AutoForward, MarkForward> entry;
  ForwardModule module() const { return static_cast<ForwardModule>(entry.index()); }
  bool operator==(const ForwardOrder&) const = default;
};

// What the modules look at in a connection's first packet.
struct FirstPacket {
  net::Protocol protocol{};
  net::Endpoint source;
  net::Endpoint destination;
  std::uint32_t mark = 0;
  bool bare_ack = false;  // TCP, ACK without SYN
};

class Forwards {
 public:
  // Changes a table, or says why not; an act that the module does not have is invalid.
  ForwardProblem execute(const ForwardOrder& order);

  // Where a first packet from outside goes, or nothing; counts it for the entry that serves.
  std::optional<net::Endpoint> incoming(const FirstPacket& packet, Time now) noexcept;

  std::optional<net::Endpoint> portfw(net::Protocol protocol, net::Endpoint destination) noexcept {
    return port_forwards_.use(protocol, destination);
  }
  std::optional<net::Endpoint> mfw(std::uint32_t mark, net::Endpoint destination,
                                   bool is_bare_ack) noexcept {
    return mark_forwards_.use(mark, destination, is_bare_ack);
  }

  bool empty() const { return asked_ == 0; }
  const PortForwards& port_forwards() const { return port_forwards_; }
  const MarkForwards& mark_forwards() const { return mark_forwards_; }
  AutoForwards& auto_forwards() { return auto_forwards_; }

 private:
  std::size_t size(ForwardModule module) const;
  ForwardProblem change(ForwardOrder::Act act, const PortForward& entry);
  ForwardProblem change(ForwardOrder::Act act, const AutoForward& entry);
  ForwardProblem change(ForwardOrder::Act act, const MarkForward& entry);
  std::optional<net::Endpoint> ask(ForwardModule module, const FirstPacket& packet,
                                   Time now) noexcept;

  PortForwards port_forwards_;
  AutoForwards auto_forwards_;
  MarkForwards mark_forwards_;
  std::array<ForwardModule, 3> order_{};  // the first asked_ are not empty
  std::size_t asked_ = 0;
};

}  // namespace masqgate::nat
