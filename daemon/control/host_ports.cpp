#include "daemon/control/host_ports.hpp"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

#include "daemon/control/port_checks.hpp"
#include "daemon/state/tree.hpp"
#include "netlink/dump.hpp"

namespace masqgate::control {
namespace {

using netlink::CommandError;
using netlink::Commands;
using netlink::Link;
using state::Error;
using state::Problem;
using Kind = PortPlan::Kind;

constexpr std::uint32_t kIpv6Metric = 1024;   // what the kernel makes of no metric
constexpr std::uint32_t kQueueLength = 1000;  // frames; shorter ones drop bursts of the kernel's

Error error_at(const std::string& pointer, const CommandError& problem) {
  if (problem.code() == EPERM || problem.code() == EACCES)
    return Error{Problem::unavailable,
                 std::string{problem.what()} + ": changing interfaces needs CAP_NET_ADMIN",
                 pointer};
  return Error{Problem::invalid, problem.what(), pointer};
}

// What the kernel refuses inside is the fault of that place in the configuration.
template <typename Action>
void located(const std::string& pointer, Action action) {
  try {
    action();
  } catch (const CommandError& problem) {
    throw error_at(pointer, problem);
  }
}

Link require_link(const std::string& name) {
  auto link = netlink::find_link(name);
  if (!link) throw CommandError("there is no interface " + name, ENODEV);
  return std::move(*link);
}

std::string name_of(std::uint32_t index) {
  char name[IF_NAMESIZE] = {};
  return index != 0 && if_indextoname(index, name) != nullptr ? name : "";
}

// Two runs with the same words for a plan want the same of the host.
std::string words_for(const PortPlan& plan) {
  std::string out = plan.name + " kind " + std::to_string(static_cast<int>(plan.kind));
  for (const auto& nic : plan.nics) out += " nic " + nic;
  out += " bridge " + plan.bridge + " device " + plan.device;
  out += " mac " + (plan.mac ? plan.mac->text() : "");
  out += " mtu " + std::to_string(plan.mtu.value_or(0));
  for (const auto& address : plan.addresses) out += " address " + address.text();
  return out + (plan.inherit ? " inherit" : "");
}

std::string words_for(const std::vector<PortPlan>& plans) {
  std::string out;
  for (const PortPlan& plan : plans) out += (out.empty() ? "" : "; ") + words_for(plan);
  return out;
}

bool has_nic(const PortPlan& plan, const std::string& link) {
  return std::count(plan.nics.begin(), plan.nics.end(), link) != 0;
}

// The host side makes its own link-local address of its own MAC.
bool stays_behind(const netlink::Saved& saved) {
  const auto* address = std::get_if<netlink::Address>(&saved.event());
  return address != nullptr && !saved.is_v4() && address->address.address.is_link_local();
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
  std::move(more.begin(), more.end(), std::back_inserter(to));
}

}  // namespace

HostPorts::HostPorts(const std::string& journal, Commands& commands)
    : log_{journal, commands}, commands_{commands} {}

std::vector<std::string> HostPorts::prepare(std::vector<PortPlan> plans) {
  const std::string purpose = words_for(plans);
  std::vector<std::string> complaints = clear_for(purpose);
  const auto links = netlink::fetch<Link>(netlink::List::links);
  check_plans(plans, links);
  std::vector<Step> steps;
  ports_.clear();
  for (PortPlan& plan : plans) {
    for (const std::string& device : {plan.name, network_side_of(plan)})
      if (if_nametoindex(device.c_str()) == 0) steps.push_back(CreatedLink{device, std::nullopt});
    ports_.push_back(Port{std::move(plan), {}, 0});
  }
  log_.begin(purpose);
  log_.record(steps);
  return complaints;
}

// What an earlier run did for other plans is in the way of these.
std::vector<std::string> HostPorts::clear_for(const std::string& purpose) {
  std::vector<std::string> complaints;
  if (!log_.damaged().empty()) complaints.push_back(log_.damaged());
  if (!log_.steps().empty() && log_.purpose() != purpose) append(complaints, log_.undo());
  return complaints;
}

void HostPorts::bring_up() {
  const auto undo = [&](const std::string& problem) {
    std::string what = problem;
    for (const std::string& complaint : take_down()) what += "; " + complaint;
    return what;
  };
  for (Port& port : ports_) {
    try {
      located(pointer_to(port.plan), [&] { bring_up(port); });
    } catch (const Error& problem) {
      throw Error{problem.problem(), undo(problem.what()), problem.pointer()};
    } catch (const std::system_error& problem) {
      throw Error{Problem::unavailable, undo(problem.what())};
    }
  }
}

std::vector<std::string> HostPorts::take_down() {
  ports_.clear();
  return log_.undo();
}

void HostPorts::bring_up(Port& port) {
  const PortPlan& plan = port.plan;
  if (!bridge_of(plan).empty()) keep_netfilter_out();
  if (plan.kind == Kind::nics) set_up_bridge(plan);
  for (std::size_t i = 0; i < plan.nics.size(); ++i)
    located(pointer_to(plan) + "/nics/" + std::to_string(i), [&] { join(port, plan.nics[i]); });
  follow_mtu(port);
  set_up_network_side(port);
  set_up_host_side(port);
  if (plan.inherit) inherit(plan);
}

void HostPorts::set_up_bridge(const PortPlan& plan) {
  const std::string bridge = bridge_of(plan);
  log_.record(CreatedLink{bridge, bridge_mac(plan)});
  if (!netlink::find_link(bridge)) commands_.create_bridge(bridge, bridge_mac(plan));
  disable_ipv6(bridge);
  // The bridge has no address, but without this it would answer ARP for those of the host side.
  set_sysctl("net/ipv4/conf/" + bridge + "/arp_ignore", "8");
  set_up(bridge);
}

// br_netfilter runs the kernel's own firewall on bridged frames when either the bridge or its
// namespace says so; the bridge's word alone does not keep it away.
void HostPorts::keep_netfilter_out() {
  for (const char* family : {"iptables", "ip6tables", "arptables"})
    set_sysctl("net/bridge/bridge-nf-call-" + std::string{family}, "0");
}

void HostPorts::join(Port& port, const std::string& name) {
  const PortPlan& plan = port.plan;
  Link nic = require_link(name);
  take_over(nic);
  disable_ipv6(name);
  if (plan.mtu && *plan.mtu > nic.mtu)
    located(pointer_to(plan) + "/mtu", [&] { set_mtu(name, nic.mtu = *plan.mtu); });
  set_master(name, bridge_of(plan));
  set_up(name);
  port.nics[name] = {nic.index, nic.mtu, nic.running};
}

// Routes go first, as they stand on the addresses; and the last first, as each may stand on the one
// before it.
void HostPorts::take_over(const Link& nic) {
  std::vector<Step> steps;
  for (auto list : {netlink::saved_routes(nic.index), netlink::saved_addresses(nic.index)}) {
    std::reverse(list.begin(), list.end());
    for (netlink::Saved& saved : list) steps.push_back(Took{nic.name, nic.index, std::move(saved)});
  }
  log_.record(steps);
  for (const Step& step : steps) commands_.take(std::get<Took>(step).what);
}

void HostPorts::set_up_network_side(const Port& port) {
  const PortPlan& plan = port.plan;
  const std::string device = network_side_of(plan);
  const std::string bridge = bridge_of(plan);
  disable_ipv6(device);
  commands_.set_queue_length(device, kQueueLength);
  if (!bridge.empty() && require_link(device).mac != network_side_mac(plan))
    commands_.set_mac(device, network_side_mac(plan));
  set_mtu(device, port.mtu);
  // An adopted bridge answers ARP for its own addresses only, not for those of the host side.
  if (plan.kind == Kind::bridge) set_sysctl("net/ipv4/conf/" + bridge + "/arp_ignore", "1");
  if (!bridge.empty())
    located(pointer_to(plan) + (plan.kind == Kind::bridge ? "/bridge" : ""),
            [&] { set_master(device, bridge); });
  set_up(device);
}

void HostPorts::set_up_host_side(const Port& port) {
  const PortPlan& plan = port.plan;
  commands_.set_queue_length(plan.name, kQueueLength);
  const net::MacAddress mac = host_side_mac(plan);
  if (plan.kind != Kind::tun && require_link(plan.name).mac != mac)
    located(pointer_to(plan) + "/mac", [&] { commands_.set_mac(plan.name, mac); });
  located(pointer_to(plan) + "/mtu", [&] { set_mtu(plan.name, port.mtu); });
  set_up(plan.name);
  // No frame passes before masqgate runs, so that waiting for a duplicate to answer would be vain.
  for (std::size_t i = 0; i < plan.addresses.size(); ++i)
    located(pointer_to(plan) + "/addresses/" + std::to_string(i), [&] {
      commands_.add_address(plan.name, plan.addresses[i], Commands::Detection::at_once);
    });
}

// From the log, because a run before this one may have taken them.
void HostPorts::inherit(const PortPlan& plan) {
  const std::uint32_t host = require_link(plan.name).index;
  std::vector<Step> given;
  for (auto step = log_.steps().rbegin(); step != log_.steps().rend(); ++step) {
    const auto* took = std::get_if<Took>(&*step);
    if (took == nullptr || !has_nic(plan, took->link) || stays_behind(took->what)) continue;
    given.push_back(Gave{plan.name, host, took->what.moved(took->index, host)});
  }
  log_.record(given);
  for (const Step& step : given) give_patiently(commands_, std::get<Gave>(step).what);
}

void HostPorts::add_route(const netlink::Route& route) {
  netlink::Route wanted = route;
  const bool v4 = route.destination.family() == net::Family::v4;
  if (!v4 && wanted.metric == 0) wanted.metric = kIpv6Metric;
  const auto all =
      netlink::fetch<netlink::Route>(v4 ? netlink::List::routes_v4 : netlink::List::routes_v6);
  if (std::count(all.begin(), all.end(), wanted) != 0) return;
  const std::uint32_t index = route.next_hops.empty() ? 0 : route.next_hops.front().ifindex;
  log_.record(Gave{index != 0 ? name_of(index) : "lo", index, Commands::saved(wanted)});
  commands_.add_route(wanted);
}

std::optional<std::string> HostPorts::on_link(const Link& link) {
  for (Port& port : ports_)
    if (port.plan.kind == Kind::nics && has_nic(port.plan, link.name))
      return on_nic(port, port.nics[link.name], link);
  return std::nullopt;
}

std::optional<std::string> HostPorts::on_nic(Port& port, Nic& nic, const Link& link) {
  const std::string subject = link.name + ", a NIC of port " + port.plan.name + ", ";
  try {
    if (link.deleted) {
      if (nic.index != link.index) return std::nullopt;
      nic = Nic{};
      follow_carrier(port);
      return subject + "is gone";
    }
    const bool came = nic.index != link.index;
    // An event may be older than the link that has the name now.
    if (came && require_link(link.name).index != link.index) return std::nullopt;
    if (came) join(port, link.name);
    if (!came) nic.mtu = link.mtu;
    nic.running = link.running;
    follow_carrier(port);
    if (came && port.plan.inherit) inherit(port.plan);
    const bool resized = follow_mtu(port);
    if (resized) {
      set_mtu(network_side_of(port.plan), port.mtu);
      set_mtu(port.plan.name, port.mtu);
    }
    if (came) return subject + "has come and is in its bridge";
    if (resized) return subject + "makes the port's MTU " + std::to_string(port.mtu);
  } catch (const std::runtime_error& problem) {
    return subject + "is not as it should be: " + problem.what();
  }
  return std::nullopt;
}

// Whether the port's MTU is another now. NICs that are not there do not count.
bool HostPorts::follow_mtu(Port& port) {
  const PortPlan& plan = port.plan;
  std::uint32_t mtu = plan.mtu.value_or(~0u);
  for (const auto& [name, nic] : port.nics)
    if (nic.index != 0) mtu = std::min(mtu, nic.mtu);
  if (plan.kind == Kind::bridge) mtu = std::min(mtu, require_link(plan.bridge).mtu);
  if (mtu == ~0u) mtu = port.mtu != 0 ? port.mtu : require_link(network_side_of(plan)).mtu;
  return std::exchange(port.mtu, mtu) != mtu;
}

void HostPorts::follow_carrier(Port& port) {
  const bool carrier = std::any_of(port.nics.begin(), port.nics.end(),
                                   [](const auto& entry) { return entry.second.running; });
  if (std::exchange(port.carrier, carrier) != carrier)
    commands_.set_carrier(port.plan.name, carrier);
}

std::uint32_t HostPorts::mtu_of(std::string_view name) const {
  for (const Port& port : ports_)
    if (port.plan.name == name) return port.mtu;
  return 0;
}

void HostPorts::set_mtu(const std::string& link, std::uint32_t mtu) {
  const std::uint32_t before = require_link(link).mtu;
  if (before == mtu) return;
  log_.record(SetMtu{link, before});
  commands_.set_mtu(link, mtu);
}

void HostPorts::set_up(const std::string& link) {
  if (require_link(link).up) return;
  log_.record(SetUp{link, false});
  commands_.set_up(link, true);
}

void HostPorts::set_master(const std::string& link, const std::string& master) {
  const std::string before = name_of(require_link(link).master);
  if (before == master) return;
  log_.record(Enslaved{link, before});
  commands_.set_master(link, master);
}

void HostPorts::disable_ipv6(const std::string& link) {
  set_sysctl(netlink::disable_ipv6_path(link), "1");
}

// What the kernel does not have (IPv6, say) needs no setting.
void HostPorts::set_sysctl(const std::string& path, const std::string& value) {
  const auto before = netlink::read_sysctl(path);
  if (!before || *before == value) return;
  log_.record(SetSysctl{path, *before});
  commands_.write_sysctl(path, value);
}

}  // namespace masqgate::control
