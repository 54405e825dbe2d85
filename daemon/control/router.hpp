// The Router: ports, shard, kernel and configuration put together, and taken apart again.
//
//   Config ─▶ devices ─▶ interfaces in Linux ─▶ shard on its thread ◀─ kernel's tables ─▶ Policy
//
// Lives on the control thread. Whatever changes the packet path is compiled into a Policy here and
// posted; either all of a new configuration takes effect between two packets, or nothing.

#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/control/config.hpp"
#include "daemon/control/divert_door.hpp"
#include "daemon/control/host_ports.hpp"
#include "daemon/control/kernel_sync.hpp"
#include "daemon/control/shard_access.hpp"
#include "daemon/port/tap_device.hpp"
#include "daemon/state/events.hpp"
#include "netlink/socket_owner.hpp"

namespace masqgate::control {

class Router {
 public:
  // Brings everything up. Throws state::Error (with a pointer into the configuration) or
  // std::system_error, and has then changed nothing. on_ready: the first policy is in force.
  Router(asio::io_context& context, Config config, std::function<void()> on_ready);
  // Stops the shard; the host gets back what was taken (see stop()).
  ~Router();
  Router(const Router&) = delete;

  // Ends forwarding and gives the host back what it had. Returns what could not be given back.
  std::vector<std::string> stop();

  const Config& config() const { return config_; }
  bool forwarding() const { return config_.ip_forward; }
  // Puts a new configuration in force. What only a restart can change (ports, doors, sizes) is
  // refused with its pointer; then nothing has changed.
  void apply(Config config);
  // The document as a configuration that could follow the present one. Throws state::Error.
  Config read(const state::Json& document) const;
  // What packets would be judged by, were this configuration in force.
  std::shared_ptr<const path::Policy> policy_of(const Config& config) const;
  // Throws as apply() would, changes nothing.
  void check(const Config& config) const;

  // Networks that several ports are in, a sentence each (U-08).
  const std::vector<std::string>& overlaps() const { return overlaps_; }

  ShardAccess shard() { return {*shard_, *loop_}; }
  const KernelView& kernel() const { return kernel_->view(); }
  const netlink::Monitor::Counters& kernel_counters() const { return kernel_->counters(); }
  Time started() const { return started_; }
  // Where rooms of control tell what happens.
  const std::shared_ptr<state::Events>& events() const { return events_; }

 private:
  struct PortDevices {
    std::vector<port::DeviceQueue> network;
    std::vector<port::DeviceQueue> host;
  };

  void open_devices();
  void close_devices();
  void start_shard();
  void refuse_what_needs_a_restart(const Config& next) const;
  void add_routes();
  void report_region() const;
  void on_view(const KernelView& view);
  void on_neighbour(const KernelSync::NeighbourNews& news);
  void publish_policy();
  void report_overlaps();
  void publish_divert_settings();
  void end_diverting();

  asio::io_context& context_;
  Config config_;
  std::function<void()> on_ready_;
  std::shared_ptr<state::Events> events_;
  Time started_ = BootClock::now();
  std::vector<PortDevices> devices_;
  netlink::Commands commands_;
  HostPorts host_;
  bool ready_ = false;
  std::vector<std::string> overlaps_;
  // The shard asks through this before the kernel's mirror exists.
  struct Asker final : neighbour::Asker {
    KernelSync* kernel = nullptr;
    void ask(PortIndex port, net::IpAddress address) noexcept override {
      if (kernel != nullptr) kernel->ask(port, address);
    }
  } asker_;
  // Rules about the owner of local packets ask the kernel through this.
  struct Owners final : firewall::Owners {
    netlink::SocketOwners sockets;
    std::optional<std::uint32_t> uid_of(const Tuple& tuple) noexcept override {
      return sockets.uid_of(tuple.protocol, tuple.source(), tuple.destination());
    }
  } owners_;
  std::unique_ptr<path::Shard> shard_;
  std::unique_ptr<path::Loop> loop_;
  std::unique_ptr<KernelSync> kernel_;
  std::unique_ptr<DivertDoor> divert_door_;
  bool stopped_ = false;
};

}  // namespace masqgate::control
