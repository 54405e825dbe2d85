// An address or a route kept as the message the kernel described it with, so that it can be given
// back with every attribute it had, also those that masqgate does not know.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/messages.hpp"

namespace masqgate::netlink {

class Saved {
 public:
  // Empty for what is neither an address nor a route.
  static std::optional<Saved> from_message(Bytes message);
  static std::optional<Saved> from_hex(std::string_view hex);

  std::string hex() const;
  std::string text() const;
  const Event& event() const { return event_; }
  bool is_route() const { return std::holds_alternative<Route>(event_); }
  bool is_v4() const;

  // The same on another link: each mention of index `from` becomes `to`. A route taken from a next
  // hop object loses the object and keeps its next hops; an address loses its label.
  Saved moved(std::uint32_t from, std::uint32_t to) const;
  // What gives it back or takes it away: sequence number 0, no flags but NLM_F_REQUEST and _ACK.
  Message request(bool give) const;

 private:
  Saved(Message message, Event event) : message_{std::move(message)}, event_{std::move(event)} {}
  Message message_;
  Event event_;
};

// What a link carries, without what the kernel makes again by itself: the local table, connected
// routes, and what it learns from router advertisements.
// In the order in which giving back restores the kernel's order and each route finds its gateway.
std::vector<Saved> saved_addresses(std::uint32_t ifindex);
std::vector<Saved> saved_routes(std::uint32_t ifindex);

}  // namespace masqgate::netlink
