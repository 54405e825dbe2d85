#include "daemon/control/port_checks.hpp"

#include <algorithm>
#include <fstream>
#include <map>

#include "daemon/base/siphash.hpp"
#include "daemon/state/json_text.hpp"

namespace masqgate::control {
namespace {

using netlink::Link;
using state::Error;
using state::Problem;
using Links = std::vector<Link>;

constexpr std::size_t kMaxName = 15;  // bytes of an interface's name (IFNAMSIZ)

const Link* find(const Links& links, std::string_view name) {
  const auto found =
      std::find_if(links.begin(), links.end(), [&](const Link& l) { return l.name == name; });
  return found == links.end() ? nullptr : &*found;
}

std::string names(const Links& links) {
  std::string out;
  for (const Link& link : links) out += (out.empty() ? "" : ", ") + link.name;
  return out;
}

[[noreturn]] void refuse(const std::string& pointer, const std::string& sentence) {
  throw Error{Problem::invalid, sentence, pointer};
}

const Link& existing(const Links& links, const std::string& name, const std::string& pointer) {
  const Link* link = find(links, name);
  if (link == nullptr)
    refuse(pointer, "no network interface \"" + name + "\"; existing: " + names(links));
  return *link;
}

void check_device(const Links& links, const std::string& name, const std::string& pointer) {
  if (name.empty() || name.size() > kMaxName)
    refuse(pointer, "the name \"" + name + "\" of an interface must have 1 to 15 bytes");
  const Link* link = find(links, name);
  if (link != nullptr && link->kind != "tun")
    throw Error{Problem::conflict,
                "an interface named " + name +
                    " exists already and is no TUN or TAP: rename it, or name the port otherwise",
                pointer};
}

void check_nics(const PortPlan& plan, const Links& links) {
  if (plan.nics.empty()) refuse(pointer_to(plan) + "/nics", "names no network interface");
  for (std::size_t i = 0; i < plan.nics.size(); ++i) {
    const std::string pointer = pointer_to(plan) + "/nics/" + std::to_string(i);
    if (existing(links, plan.nics[i], pointer).name == "lo")
      refuse(pointer, "lo is no network interface that could be bridged");
  }
  const Link* bridge = find(links, bridge_of(plan));
  if (bridge != nullptr && (bridge->kind != "bridge" || bridge->mac != bridge_mac(plan)))
    throw Error{Problem::conflict,
                "an interface named " + bridge->name +
                    " exists already and is not masqgate's: rename it, or name the port otherwise",
                pointer_to(plan)};
}

void check_bridge(const PortPlan& plan, const Links& links) {
  const std::string pointer = pointer_to(plan) + "/bridge";
  const Link& bridge = existing(links, plan.bridge, pointer);
  if (bridge.kind != "bridge")
    refuse(pointer, plan.bridge + " is no bridge: give it as one of \"nics\", or make a bridge");
  if (plan.mtu && *plan.mtu > bridge.mtu)
    refuse(pointer_to(plan) + "/mtu",
           plan.bridge + " has an MTU of only " + std::to_string(bridge.mtu));
}

// A bridge keeps frames that are for the MAC of one of its ports: masqgate would not see them.
bool shares_bridge(const PortPlan& plan, const Links& links, const Link& link) {
  if (std::count(plan.nics.begin(), plan.nics.end(), link.name) != 0) return true;
  const Link* bridge = find(links, bridge_of(plan));
  return bridge != nullptr && (link.index == bridge->index || link.master == bridge->index);
}

void check_mac(const PortPlan& plan, const Links& links) {
  const net::MacAddress mac = host_side_mac(plan);
  const std::string pointer = pointer_to(plan) + "/mac";
  if (mac.is_group() || mac.is_zero()) refuse(pointer, mac.text() + " is no interface's address");
  std::string owner;
  if (mac == network_side_mac(plan)) owner = network_side_of(plan);
  for (const Link& link : links)
    if (link.mac == mac && shares_bridge(plan, links, link)) owner = link.name;
  if (!owner.empty())
    refuse(pointer, mac.text() + " is the MAC of " + owner +
                        ", whose bridge would keep the router's frames: choose another");
}

// Each interface serves one port in one way.
void check_uses(const std::vector<PortPlan>& plans) {
  std::map<std::string, std::string> used;
  const auto use = [&](const std::string& name, const std::string& pointer) {
    const auto [where, fresh] = used.emplace(name, pointer);
    if (!fresh) refuse(pointer, name + " is in use already: " + where->second);
  };
  for (const PortPlan& plan : plans) {
    use(plan.name, pointer_to(plan));
    use(network_side_of(plan), pointer_to(plan));
    if (plan.kind == PortPlan::Kind::nics) use(bridge_of(plan), pointer_to(plan));
    for (std::size_t i = 0; i < plan.nics.size(); ++i)
      use(plan.nics[i], pointer_to(plan) + "/nics/" + std::to_string(i));
  }
}

std::string first_line(const char* path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::string pointer_to(const PortPlan& plan) {
  return "/ports/" + state::pointer_part(plan.name);
}

std::string network_side_of(const PortPlan& plan) {
  const bool bridged = plan.kind == PortPlan::Kind::nics || plan.kind == PortPlan::Kind::bridge;
  return bridged ? "mg-" + plan.name : plan.device;
}

std::string bridge_of(const PortPlan& plan) {
  return plan.kind == PortPlan::Kind::nics ? "br-" + plan.name : plan.bridge;
}

net::MacAddress stable_mac(std::string_view name) {
  static const std::string machine = [] {
    const std::string id = first_line("/etc/machine-id");
    return id.empty() ? first_line("/proc/sys/kernel/hostname") : id;
  }();
  // The key is no secret: whoever sees the MAC may know the name it was made of.
  SipHash hash{HashKey{0x6d61737167617465, 0x6d6163}};
  for (const char c : machine) hash.add(static_cast<unsigned char>(c));
  for (const char c : name) hash.add(static_cast<unsigned char>(c));
  std::uint64_t number = hash.finish();
  net::MacAddress mac;
  for (std::uint8_t& byte : mac.bytes) {
    byte = static_cast<std::uint8_t>(number);
    number >>= 8;
  }
  mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & 0xfc) | 0x02);
  return mac;
}

net::MacAddress bridge_mac(const PortPlan& plan) {
  return stable_mac("bridge " + plan.name);
}

net::MacAddress network_side_mac(const PortPlan& plan) {
  return stable_mac("network side " + plan.name);
}

net::MacAddress host_side_mac(const PortPlan& plan) {
  return plan.mac.value_or(stable_mac("host side " + plan.name));
}

void check_plans(const std::vector<PortPlan>& plans, const Links& links) {
  check_uses(plans);
  for (const PortPlan& plan : plans) {
    check_device(links, plan.name, pointer_to(plan));
    if (plan.kind == PortPlan::Kind::nics) check_nics(plan, links);
    if (plan.kind == PortPlan::Kind::bridge) check_bridge(plan, links);
    const bool bare = plan.kind == PortPlan::Kind::tap || plan.kind == PortPlan::Kind::tun;
    check_device(links, network_side_of(plan),
                 pointer_to(plan) + (!bare                              ? ""
                                     : plan.kind == PortPlan::Kind::tap ? "/tap"
                                                                        : "/tun"));
    if (plan.kind != PortPlan::Kind::tun) check_mac(plan, links);
  }
}

}  // namespace masqgate::control
