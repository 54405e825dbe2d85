#include "daemon/nat/forwards.hpp"

#include <algorithm>

namespace masqgate::nat {

using Act = ForwardOrder::Act;

std::size_t Forwards::size(ForwardModule module) const {
  switch (module) {
    case ForwardModule::portfw:
      return port_forwards_.size();
    case ForwardModule::autofw:
      return auto_forwards_.size();
    default:
      return mark_forwards_.size();
  }
}

ForwardProblem Forwards::change(Act act, const PortForward& entry) {
  switch (act) {
    case Act::add:
      return port_forwards_.add(entry);
    case Act::remove:
      return port_forwards_.remove(entry);
    case Act::flush:
      port_forwards_.flush();
      return ForwardProblem::none;
    default:
      return ForwardProblem::invalid;
  }
}

ForwardProblem Forwards::change(Act act, const AutoForward& entry) {
  switch (act) {
    case Act::add:
    case Act::insert:
      return auto_forwards_.add(entry);
    case Act::remove:
      return auto_forwards_.remove(entry);
    case Act::flush:
      auto_forwards_.flush();
      return ForwardProblem::none;
    default:
      return ForwardProblem::invalid;
  }
}

ForwardProblem Forwards::change(Act act, const MarkForward& entry) {
  switch (act) {
    case Act::add:
      return mark_forwards_.add(entry);
    case Act::insert:
      return mark_forwards_.insert(entry);
    case Act::remove:
      return mark_forwards_.remove(entry);
    case Act::edit:
      return mark_forwards_.edit(entry);
    case Act::schedule:
      return mark_forwards_.schedule(entry.mark);
    case Act::flush:
      mark_forwards_.flush();
      return ForwardProblem::none;
    default:
      return ForwardProblem::invalid;
  }
}

// A module comes to the front when it stops being empty and leaves when it is empty again.
ForwardProblem Forwards::execute(const ForwardOrder& order) {
  const ForwardModule module = order.module();
  const bool was_asked = size(module) != 0;
  const ForwardProblem problem =
      std::visit([&](const auto& entry) { return change(order.act, entry); }, order.entry);
  const bool is_asked = size(module) != 0;
  const auto end = order_.begin() + static_cast<std::ptrdiff_t>(asked_);
  if (!was_asked && is_asked) {
    std::copy_backward(order_.begin(), end, end + 1);
    order_.front() = module;
    ++asked_;
  } else if (was_asked && !is_asked) {
    std::copy(std::find(order_.begin(), end, module) + 1, end,
              std::find(order_.begin(), end, module));
    --asked_;
  }
  return problem;
}

std::optional<net::Endpoint> Forwards::ask(ForwardModule module, const FirstPacket& packet,
                                           Time now) noexcept {
  switch (module) {
    case ForwardModule::portfw:
      return port_forwards_.use(packet.protocol, packet.destination);
    case ForwardModule::autofw:
      return auto_forwards_.use(packet.protocol, packet.source.address, packet.destination.port,
                                now);
    default:
      return mark_forwards_.use(packet.mark, packet.destination, packet.bare_ack);
  }
}

// The modules are older than IPv6 and know two protocols.
std::optional<net::Endpoint> Forwards::incoming(const FirstPacket& packet, Time now) noexcept {
  const bool has_ports =
      packet.protocol == net::Protocol::tcp || packet.protocol == net::Protocol::udp;
  if (!has_ports || !packet.destination.address.is_v4()) return std::nullopt;
  for (std::size_t i = 0; i < asked_; ++i)
    if (const auto inside = ask(order_[i], packet, now)) return inside;
  return std::nullopt;
}

}  // namespace masqgate::nat
