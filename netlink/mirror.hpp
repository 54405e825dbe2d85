// The kernel's lists as they stand, kept by the Monitor's events.
//
// Order matters in two lists and is kept as the kernel has it: rules of one priority, and routes
// that differ in nothing that is looked up (of those the first counts).

#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "netlink/observer.hpp"

namespace masqgate::netlink {

// What has changed since the last call.
struct Changes {
  bool links = false;
  bool addresses = false;
  bool routes = false;
  bool rules = false;
  bool neighbours = false;
};

class Mirror : public Observer {
 public:
  struct RouteKey {
    std::uint32_t table = 0;
    net::Prefix destination;
    net::Prefix source;  // ::/0 for none
    std::uint8_t tos = 0;
    std::uint32_t metric = 0;
    auto operator<=>(const RouteKey&) const = default;
  };
  struct AddressKey {
    std::uint32_t ifindex = 0;
    net::InterfaceAddress address;
    net::IpAddress peer;  // :: for none
    auto operator<=>(const AddressKey&) const = default;
  };

  std::map<std::uint32_t, Link> links;  // by index
  std::map<AddressKey, Address> addresses;
  std::map<RouteKey, std::vector<Route>> routes;
  std::vector<Rule> rules;  // by family and priority
  std::map<std::pair<std::uint32_t, net::IpAddress>, Neighbour> neighbours;  // proxies left out

  // Both are called from the Monitor's thread and may be empty. `publish` only after changes.
  explicit Mirror(std::function<void(const Changes&)> publish,
                  std::function<void(const std::string&)> trouble = {})
      : publish_{std::move(publish)}, trouble_{std::move(trouble)} {}

  const Link* find_link(std::string_view name) const;

  void on_reset(Scope scope) override;
  void on_link(const Link& link) override;
  void on_address(const Address& address) override;
  bool on_route(const Route& route, Placement placement) override;
  void on_rule(const Rule& rule) override;
  void on_neighbour(const Neighbour& neighbour) override;
  void on_complete() override;
  void on_trouble(const std::string& problem) override;

 private:
  std::function<void(const Changes&)> publish_;
  std::function<void(const std::string&)> trouble_;
  Changes changes_;
  bool listing_ = false;  // what is told now is the kernel's list, in its order
};

}  // namespace masqgate::netlink
