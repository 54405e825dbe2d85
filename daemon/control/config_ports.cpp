// Reads "ports": what each port is made of, and that no two of them want the same.

#include <algorithm>
#include <cctype>

#include "daemon/control/config_words.hpp"

namespace masqgate::control {
namespace {

using json::Value;

constexpr std::size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1

// Linux has settings of these names beside those of interfaces.
bool is_reserved(std::string_view name) {
  return name == "lo" || name == "all" || name == "default";
}

// Port names become names of interfaces, of files in the tree, and parts of URLs.
void check_port_name(const Value& port, std::string_view name) {
  const auto is_plain = [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  };
  if (name.empty() || name.size() > kMaxPortName || !std::ranges::all_of(name, is_plain) ||
      std::isalnum(static_cast<unsigned char>(name.front())) == 0)
    port.refuse("the port name " + Value::quoted(name) + " must have 1 to " +
                std::to_string(kMaxPortName) +
                " letters, digits, \"-\", \"_\" and \".\", the first a letter or digit");
  if (is_reserved(name))
    port.refuse("the name " + Value::quoted(name) + " belongs to Linux; call the port otherwise");
}

// As dev_valid_name() of Linux, without its patterns ("%d").
std::string read_interface(const Value& value) {
  const std::string& name = value.text();
  const auto is_wrong = [](unsigned char c) {
    return c <= ' ' || c == '/' || c == ':' || c == '%' || c == 0x7f;
  };
  if (name.empty() || name.size() > kMaxInterfaceName || std::ranges::any_of(name, is_wrong) ||
      name == "." || name == ".." || is_reserved(name))
    value.refuse(Value::quoted(name) + " cannot be the name of an interface such as eth0");
  return name;
}

void read_attachment(const Value& value, PortConfig& port) {
  std::size_t found = 0;
  for (const auto& [member, attachment] : kAttachments) {
    const auto one = value.find(member);
    if (!one) continue;
    if (++found > 1)
      one->refuse("a port has one of \"nics\", \"bridge\", \"tap\" and \"tun\"; keep one");
    port.attachment = attachment;
    if (attachment != Attachment::nics) {
      port.devices.push_back(read_interface(*one));
      continue;
    }
    for (const Value& nic : one->elements()) port.devices.push_back(read_interface(nic));
    if (port.devices.empty())
      one->refuse("name at least one NIC, or use \"tap\" for a port without one");
  }
  if (found == 0)
    value.refuse(
        "say what the port is made of: \"nics\": [\"eth0\"], \"bridge\": \"br0\", "
        "\"tap\": \"vm1\" or \"tun\": \"tun5\"");
}

net::InterfaceAddress read_address(const Value& value) {
  const std::string& text = value.text();
  const auto parsed = net::InterfaceAddress::parse(text);
  if (!parsed || text.find('/') == std::string::npos)
    value.refuse(Value::quoted(text) +
                 " is no address with the length of its network such as 192.168.0.1/24");
  const net::IpAddress address = parsed->address;
  if (address.is_unspecified() || address.is_loopback() || address.is_multicast() ||
      address.is_limited_broadcast())
    value.refuse(address.text() + " cannot be an interface's address");
  const unsigned host_bits = (address.is_v4() ? 32 : 128) - parsed->length;
  if (address.is_v4() && host_bits >= 2) {
    const std::uint32_t hosts =
        address.v4_number() & static_cast<std::uint32_t>((1ull << host_bits) - 1);
    if (hosts == 0)
      value.refuse(text + " is the network itself; write the address of the router in it");
    if (hosts == (1ull << host_bits) - 1)
      value.refuse(text + " is the broadcast address; write the address of the router");
  }
  return *parsed;
}

net::MacAddress read_mac(const Value& value, const PortConfig& port) {
  if (port.attachment == Attachment::tun)
    value.refuse("a TUN device has no MAC address; remove it");
  const auto mac = net::MacAddress::parse(value.text());
  if (!mac)
    value.refuse(Value::quoted(value.text()) + " is no MAC address such as 02:00:00:00:00:01");
  if (mac->is_group() || mac->is_zero())
    value.refuse(mac->text() +
                 " is no address of one host; the lowest bit of its first byte "
                 "must be 0, and it must not be all zero");
  return *mac;
}

unsigned read_mtu(const Value& value, const PortConfig& port) {
  constexpr unsigned kLeastV4 = 68, kLeastV6 = 1280;  // RFC 791 3.2, RFC 8200 5
  const auto mtu = static_cast<unsigned>(value.number(kLeastV4, 65535));
  const bool has_v6 =
      std::ranges::any_of(port.addresses, [](const auto& one) { return !one.address.is_v4(); });
  if (has_v6 && mtu < kLeastV6)
    value.refuse("must be at least 1280, because the port has an IPv6 address");
  return mtu;
}

PortConfig read_port(const std::string& name, const Value& value) {
  check_port_name(value, name);
  value.allow({"nics", "bridge", "tap", "tun", "addresses", "mac", "mtu", "queues", "inherit",
               "source_validation"});
  PortConfig port;
  port.name = name;
  read_attachment(value, port);
  if (const auto addresses = value.find("addresses"))
    for (const Value& one : addresses->elements()) port.addresses.push_back(read_address(one));
  if (const auto mac = value.find("mac")) port.mac = read_mac(*mac, port);
  if (const auto mtu = value.find("mtu")) port.mtu = read_mtu(*mtu, port);
  if (const auto queues = value.find("queues"))
    port.queues = static_cast<unsigned>(queues->number(1, 256));  // MAX_TAP_QUEUES
  if (const auto validation = value.find("source_validation"))
    port.source_validation = validation->word(words(kSourceValidations));
  if (const auto inherit = value.find("inherit")) {
    port.inherit = inherit->boolean();
    if (port.inherit && port.attachment != Attachment::nics)
      inherit->refuse("only a port with \"nics\" can take addresses and routes over");
  }
  return port;
}

// Who has taken what, over all ports: names of interfaces, addresses.
class Claims {
 public:
  // what: "the interface eth0"; by: the place that asks for it.
  void add(const std::string& what, const Value& by, const std::string& advice) {
    const auto [owner, fresh] = owners_.emplace(what, by.pointer());
    if (fresh) return;
    by.refuse(what + " is taken by " + owner->second + " already; " + advice);
  }

 private:
  std::map<std::string, std::string> owners_;
};

void claim_interfaces(Claims& claims, const PortConfig& port, const Value& value) {
  const auto claim = [&](const std::string& name, const Value& by, const std::string& advice) {
    claims.add("the interface " + name, by, advice);
  };
  const Value at = value.at(json::word_of(words(kAttachments), port.attachment));
  if (port.attachment == Attachment::nics) {
    const std::vector<Value> nics = at.elements();
    for (std::size_t i = 0; i < nics.size(); ++i)
      claim(port.devices[i], nics[i], "a NIC belongs to one port");
    claim(bridge_of(port), value, "rename the port");
  } else {
    claim(port.devices.front(), at, "name another device");
  }
  if (port.attachment == Attachment::nics || port.attachment == Attachment::bridge)
    claim(network_side_of(port), value, "rename the port");
}

void check_together(const Value& ports, const std::vector<PortConfig>& all) {
  Claims claims;
  for (const PortConfig& port : all)
    claims.add("the interface " + port.name, ports.at(port.name), "rename the port");
  for (const PortConfig& port : all) {
    const Value value = ports.at(port.name);
    claim_interfaces(claims, port, value);
    for (std::size_t i = 0; i < port.addresses.size(); ++i)
      claims.add("the address " + port.addresses[i].address.text(),
                 value.at("addresses").elements()[i], "every address belongs to one port");
    if (port.mac)
      claims.add("the MAC address " + port.mac->text(), value.at("mac"),
                 "give each port its own, or leave it out");
  }
}

}  // namespace

std::string bridge_of(const PortConfig& port) {
  return port.attachment == Attachment::bridge ? port.devices.front() : "br-" + port.name;
}

std::string network_side_of(const PortConfig& port) {
  const bool is_bare = port.attachment == Attachment::tap || port.attachment == Attachment::tun;
  return is_bare ? port.devices.front() : "mg-" + port.name;
}

std::vector<PortConfig> read_ports(const Value& ports) {
  std::vector<PortConfig> all;
  const auto members = ports.members();
  if (members.size() > kMostPorts)
    ports.refuse("has more than " + std::to_string(kMostPorts) + " ports");
  for (const auto& [name, value] : members) all.push_back(read_port(name, value));
  check_together(ports, all);
  return all;
}

}  // namespace masqgate::control
