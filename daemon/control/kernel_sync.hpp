// The kernel as control plane: its links, addresses, routes, rules and neighbours become what the
// packet path knows of them.
//
//   netlink ──▶ mirror ──(a little later, all at once)──▶ routes and ports for the next Policy
//                  └── each neighbour at once ──▶ shard            shard asks ──▶ kernel
//
// A port is known to the kernel by its host side: the interface named as the port. Routes through
// it are routes through the port; other interfaces are none of masqgate's.

#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/neighbour/neighbour_table.hpp"
#include "daemon/path/policy.hpp"
#include "netlink/mirror.hpp"
#include "netlink/monitor.hpp"
#include "netlink/neighbour_prober.hpp"

namespace masqgate::control {

// What the kernel contributes to a Policy.
struct KernelView {
  std::shared_ptr<const route::Table> routes = std::make_shared<route::Table>();
  std::vector<path::PortInfo> ports;
};

class KernelSync final : public neighbour::Asker, private netlink::Mirror {
 public:
  struct NeighbourNews {
    PortIndex port = kNoPort;
    net::IpAddress address;
    std::optional<net::MacAddress> mac;
    neighbour::State state = neighbour::State::unresolved;
  };
  struct Handlers {
    std::function<void(KernelView)> on_view;  // after each burst of changes
    std::function<void(const NeighbourNews&)> on_neighbour;
    std::function<void()> on_neighbours_lost;           // all are told anew
    std::function<void(const netlink::Link&)> on_link;  // each change, for the ports' NICs
  };

  // ports: names of the host sides, in the order of their PortIndex. Throws std::system_error where
  // netlink is not to be had.
  KernelSync(asio::io_context& context, std::vector<std::string> ports, Handlers handlers);

  // From any thread: the kernel is asked soon, on the control thread.
  void ask(PortIndex port, net::IpAddress address) noexcept override;

  const netlink::Monitor::Counters& counters() const { return monitor_.counters(); }
  const KernelView& view() const { return view_; }

 private:
  void on_reset(Scope scope) override;
  void on_link(const netlink::Link& link) override;
  void on_neighbour(const netlink::Neighbour& neighbour) override;

  PortIndex port_of(std::uint32_t ifindex) const;
  PortIndex port_named(const std::string& name) const;
  void pass_on(const netlink::Neighbour& neighbour);
  void publish_soon();
  void publish();
  path::PortInfo port_info(const std::string& name) const;
  std::shared_ptr<const route::Table> route_table() const;
  route::Route convert(const netlink::Route& route) const;
  route::Rule convert(const netlink::Rule& rule) const;

  asio::io_context& context_;
  std::vector<std::string> ports_;
  Handlers handlers_;
  KernelView view_;
  asio::steady_timer timer_;
  bool publishing_soon_ = false;
  netlink::Changes changes_{true, true, true, true, true};
  netlink::NeighbourProber prober_;
  netlink::Monitor monitor_;
};

}  // namespace masqgate::control
