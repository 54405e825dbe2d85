// Brings the ports of the configuration up on the host, and gives the host back as it was.
//
//        nics                         bridge                  tap               tun
//   NIC ─┐                      an adopted bridge ─┐
//   NIC ─┼─ br-lan ─ mg-lan          br0 ─ mg-lan ─┘        vm1 (TAP)         tun5 (TUN) network
//   side
//                       ║                     ║               ║                 ║ (masqgate)
//                      lan                   lan             lan               lan           host
//                      side
//
// The devices are made by daemon/port/tap_device; all else about them is done here: MAC, MTU,
// queue, addresses, bridge membership. A NIC in a port of ours carries nothing itself any more: its
// addresses and routes are taken away and, where the port inherits, given to the host side. Each
// change is written down first (undo.hpp), so that stop, failure and the run after a crash all lead
// back.
//
// Waits for the kernel: for start, reload and stop, on the control thread.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/control/undo.hpp"
#include "daemon/net/mac_address.hpp"
#include "daemon/net/prefix.hpp"
#include "netlink/commands.hpp"

namespace masqgate::control {

struct PortPlan {
  enum class Kind : std::uint8_t { nics, bridge, tap, tun };
  std::string name;  // and of the host side's interface
  Kind kind = Kind::nics;
  std::vector<std::string> nics;       // of nics
  std::string bridge;                  // of bridge: one that exists
  std::string device;                  // of tap and tun: the network side
  std::optional<net::MacAddress> mac;  // the router's; otherwise made of the machine and the name
  std::optional<std::uint32_t> mtu;    // otherwise the smallest NIC's
  unsigned queues = 1;                 // of each device
  std::vector<net::InterfaceAddress> addresses;
  bool inherit = false;  // of nics: the host side takes over their addresses and routes
};

std::string network_side_of(const PortPlan& plan);  // "mg-lan", or the bare device
std::string bridge_of(const PortPlan& plan);        // "br-lan", or the adopted one; empty for none

// Stays the same over restarts and differs from machine to machine. Locally administered; no group.
net::MacAddress stable_mac(std::string_view name);

class HostPorts {
 public:
  // journal: path of the undo journal. Reads what an earlier run left there. Throws
  // std::system_error.
  HostPorts(const std::string& journal, netlink::Commands& commands);

  // To be called before the devices are opened. Refuses plans that cannot be (no such NIC, a name
  // that is taken …) with state::Error, whose pointer says where in the configuration, and changes
  // nothing then. What an earlier run left is kept where it was for the same plans, else undone.
  // Answers sentences for the log.
  std::vector<std::string> prepare(std::vector<PortPlan> plans);

  // To be called when the devices are there. Where a step fails, all are undone (also those of an
  // earlier run) and state::Error is thrown.
  void bring_up();

  // Undoes everything, devices that prepare() did not find included. Answers what could not be
  // given back, in a sentence each.
  std::vector<std::string> take_down();

  // A static route of the configuration, removed by take_down(). One that is there already without
  // our doing stays. Throws netlink::CommandError.
  void add_route(const netlink::Route& route);

  // For each link event: a NIC that came (back) joins its port; MTUs follow, and so does the host
  // side's carrier, so that Linux forgets the neighbours behind a cable that was pulled.
  // Answers a sentence for the log where something was done or could not be done.
  std::optional<std::string> on_link(const netlink::Link& link);

  // 0 for a port that is not up.
  std::uint32_t mtu_of(std::string_view port) const;

 private:
  struct Nic {
    std::uint32_t index = 0;  // 0: not there
    std::uint32_t mtu = 0;
    bool running = false;  // up, with carrier
  };
  struct Port {
    PortPlan plan;
    std::map<std::string, Nic, std::less<>> nics;
    std::uint32_t mtu = 0;
    bool carrier = true;  // of the host side; on as soon as its device is open
  };

  std::vector<std::string> clear_for(const std::string& purpose);
  void bring_up(Port& port);
  void set_up_bridge(const PortPlan& plan);
  void set_up_network_side(const Port& port);
  void set_up_host_side(const Port& port);
  void inherit(const PortPlan& plan);
  void join(Port& port, const std::string& nic);
  void take_over(const netlink::Link& nic);
  std::optional<std::string> on_nic(Port& port, Nic& nic, const netlink::Link& link);
  bool follow_mtu(Port& port);
  void follow_carrier(Port& port);

  // Each of these writes down what was there before.
  void set_mtu(const std::string& link, std::uint32_t mtu);
  void set_up(const std::string& link);
  void set_master(const std::string& link, const std::string& master);
  void disable_ipv6(const std::string& link);
  void keep_netfilter_out();
  void set_sysctl(const std::string& path, const std::string& value);

  UndoLog log_;
  netlink::Commands& commands_;
  std::vector<Port> ports_;
};

}  // namespace masqgate::control
