#include "netlink/commands.hpp"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <new>

#include "netlink/address_bytes.hpp"
#include "netlink/attributes.hpp"
#include "netlink/dump.hpp"

namespace masqgate::netlink {
namespace {

template <typename T, void (*free)(T*)>
struct Free {
  void operator()(T* value) const noexcept { free(value); }
};
template <typename T, void (*free)(T*)>
using Handle = std::unique_ptr<T, Free<T, free>>;
using Built = Handle<nl_msg, nlmsg_free>;
using LinuxAddress = Handle<nl_addr, nl_addr_put>;
using LinuxRoute = Handle<rtnl_route, rtnl_route_put>;
using InterfaceEntry = Handle<rtnl_addr, rtnl_addr_put>;

template <typename T>
T* or_no_memory(T* value) {
  if (value == nullptr) throw std::bad_alloc{};
  return value;
}

void require_room(int result) {
  if (result < 0) throw std::bad_alloc{};
}

LinuxAddress linux_address(const net::IpAddress& address, unsigned length) {
  const AddressBytes bytes{address};
  LinuxAddress out{or_no_memory(
      nl_addr_build(address.is_v4() ? AF_INET : AF_INET6, bytes.data(), bytes.size()))};
  nl_addr_set_prefixlen(out.get(), static_cast<int>(length));
  return out;
}

LinuxAddress linux_address(const net::IpAddress& address) {
  return linux_address(address, address.is_v4() ? 32 : 128);
}

void put(const Built& message, int type, std::string_view text) {
  require_room(nla_put_string(message.get(), type, std::string{text}.c_str()));
}

Built link_message(std::string_view name, unsigned flags, unsigned change, int options) {
  Built message{or_no_memory(nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_REQUEST | options))};
  ifinfomsg header{};
  header.ifi_flags = flags;
  header.ifi_change = change;
  require_room(nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO));
  put(message, IFLA_IFNAME, name);
  return message;
}

// Runs `fill` between the start and the end of a nest of attributes.
template <typename Fill>
void nest(const Built& message, int type, Fill fill) {
  nlattr* start = or_no_memory(nla_nest_start(message.get(), type));
  fill();
  nla_nest_end(message.get(), start);
}

// VLAN filtering is off unless asked for; kernels without it refuse to be told.
void put_bridge_options(const Built& message) {
  require_room(nla_put_u32(message.get(), IFLA_BR_STP_STATE, 0));
  require_room(nla_put_u32(message.get(), IFLA_BR_FORWARD_DELAY, 0));
  for (int off : {IFLA_BR_MCAST_SNOOPING, IFLA_BR_NF_CALL_IPTABLES, IFLA_BR_NF_CALL_IP6TABLES,
                  IFLA_BR_NF_CALL_ARPTABLES})
    require_room(nla_put_u8(message.get(), off, 0));
}

unsigned index_of(const std::string& link, const std::string& doing) {
  const unsigned index = if_nametoindex(link.c_str());
  if (index == 0) throw CommandError("cannot " + doing + ": there is no " + link, ENODEV);
  return index;
}

InterfaceEntry linux_entry(unsigned index, const net::InterfaceAddress& address) {
  InterfaceEntry entry{or_no_memory(rtnl_addr_alloc())};
  rtnl_addr_set_ifindex(entry.get(), static_cast<int>(index));
  rtnl_addr_set_local(entry.get(), linux_address(address.address, address.length).get());
  // Without one, IPv4 sends no directed broadcast (RFC 919); /31 and /32 have none (RFC 3021).
  if (address.address.is_v4() && address.length < 31) {
    const std::uint32_t hosts = ~0u >> address.length;
    const auto broadcast = net::IpAddress::v4(address.address.v4_number() | hosts);
    rtnl_addr_set_broadcast(entry.get(), linux_address(broadcast).get());
  }
  return entry;
}

void add_next_hop(rtnl_route* route, const NextHop& hop, net::Family family) {
  rtnl_nexthop* out = or_no_memory(rtnl_route_nh_alloc());
  rtnl_route_add_nexthop(route, out);  // which owns it from here on
  rtnl_route_nh_set_ifindex(out, static_cast<int>(hop.ifindex));
  rtnl_route_nh_set_weight(out, static_cast<std::uint8_t>(hop.weight > 0 ? hop.weight - 1 : 0));
  if (hop.onlink) rtnl_route_nh_set_flags(out, RTNH_F_ONLINK);
  if (!hop.gateway) return;
  const LinuxAddress gateway = linux_address(*hop.gateway);
  if (hop.gateway->family() == family)
    rtnl_route_nh_set_gateway(out, gateway.get());
  else
    require_room(rtnl_route_nh_set_via(out, gateway.get()));
}

LinuxRoute linux_route(const Route& route) {
  const net::Family family = route.destination.family();
  LinuxRoute out{or_no_memory(rtnl_route_alloc())};
  rtnl_route_set_family(out.get(), family == net::Family::v4 ? AF_INET : AF_INET6);
  const auto destination = linux_address(route.destination.address(), route.destination.length());
  rtnl_route_set_dst(out.get(), destination.get());
  if (route.source)
    rtnl_route_set_src(out.get(),
                       linux_address(route.source->address(), route.source->length()).get());
  rtnl_route_set_table(out.get(), route.table);
  rtnl_route_set_type(out.get(), static_cast<std::uint8_t>(route.type));
  rtnl_route_set_protocol(out.get(), static_cast<std::uint8_t>(route.origin));
  rtnl_route_set_scope(out.get(), static_cast<std::uint8_t>(route.scope));
  rtnl_route_set_tos(out.get(), route.tos);
  if (route.metric != 0) rtnl_route_set_priority(out.get(), route.metric);
  if (route.preferred_source)
    rtnl_route_set_pref_src(out.get(), linux_address(*route.preferred_source).get());
  if (route.mtu != 0) require_room(rtnl_route_set_metric(out.get(), RTAX_MTU, route.mtu));
  for (const NextHop& hop : route.next_hops) add_next_hop(out.get(), hop, family);
  return out;
}

// Takes over what a libnl-route builder made.
template <typename Build>
Built built(Build build) {
  nl_msg* message = nullptr;
  require_room(build(&message));
  return Built{message};
}

constexpr std::initializer_list<int> kNone = {};
constexpr std::initializer_list<int> kThere = {EEXIST};
// The kernel's ways to say that an address, a route or its link is not there.
constexpr std::initializer_list<int> kGone = {ESRCH, EADDRNOTAVAIL, ENODEV, ENOENT};

}  // namespace

// One question, one answer. The kernel's own words (NETLINK_EXT_ACK) come along with its error.
class Commands::Transaction {
 public:
  Transaction() : socket_{or_no_memory(nl_socket_alloc())} {
    const int problem = nl_connect(socket_.get(), NETLINK_ROUTE);
    if (problem < 0)
      throw CommandError(std::string{"cannot open a netlink socket: "} + nl_geterror(problem),
                         EPROTO);
    int on = 1;
    const int fd = nl_socket_get_fd(socket_.get());
    ::setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    ::setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    nl_socket_modify_err_cb(socket_.get(), NL_CB_CUSTOM, &Transaction::on_error, this);
  }

  void run(nl_msg* message, const std::string& doing, std::initializer_list<int> fine) {
    error_ = 0;
    words_.clear();
    int result = nl_send_auto(socket_.get(), message);
    if (result >= 0) result = nl_wait_for_ack(socket_.get());
    if (error_ == 0 && result < 0)
      throw CommandError("cannot " + doing + ": " + nl_geterror(result), EPROTO);
    if (error_ == 0 || std::find(fine.begin(), fine.end(), error_) != fine.end()) return;
    std::string what = "cannot " + doing + ": " + std::strerror(error_);
    if (!words_.empty()) what += " (the kernel says: " + words_ + ")";
    throw CommandError(what, error_);
  }

 private:
  static int on_error(sockaddr_nl*, nlmsgerr* error, void* self) {
    auto* transaction = static_cast<Transaction*>(self);
    transaction->error_ = -error->error;
    // The answer is this struct in a message; with NETLINK_CAP_ACK attributes follow it at once.
    const auto* bytes = static_cast<const std::uint8_t*>(static_cast<const void*>(error));
    nlmsghdr header;
    std::memcpy(&header, bytes - NLMSG_HDRLEN, sizeof header);
    if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return NL_STOP;
    const Bytes attributes = after({bytes, header.nlmsg_len - NLMSG_HDRLEN}, sizeof *error);
    walk(attributes, [&](const Attribute& a) {
      if (a.type == NLMSGERR_ATTR_MSG) transaction->words_ = a.text();
    });
    return NL_STOP;
  }

  Handle<nl_sock, nl_socket_free> socket_;
  int error_ = 0;
  std::string words_;
};

void Commands::run(nl_msg* message, const std::string& doing, std::initializer_list<int> fine) {
  permit(doing);
  transaction_->run(message, doing, fine);
}

Commands::Commands() : transaction_{std::make_unique<Transaction>()} {}
Commands::~Commands() = default;

void Commands::create_bridge(const std::string& name, net::MacAddress mac) {
  const Built message = link_message(name, 0, 0, NLM_F_CREATE | NLM_F_EXCL);
  require_room(
      nla_put(message.get(), IFLA_ADDRESS, static_cast<int>(mac.bytes.size()), mac.bytes.data()));
  nest(message, IFLA_LINKINFO, [&] {
    put(message, IFLA_INFO_KIND, "bridge");
    nest(message, IFLA_INFO_DATA, [&] { put_bridge_options(message); });
  });
  run(message.get(), "create bridge " + name, kNone);
}

void Commands::delete_link(const std::string& name) {
  Built message{or_no_memory(nlmsg_alloc_simple(RTM_DELLINK, NLM_F_REQUEST))};
  const ifinfomsg header{};
  require_room(
      nlmsg_append(message.get(), const_cast<ifinfomsg*>(&header), sizeof header, NLMSG_ALIGNTO));
  put(message, IFLA_IFNAME, name);
  run(message.get(), "delete " + name, kGone);
}

void Commands::set_up(const std::string& name, bool up) {
  run(link_message(name, up ? IFF_UP : 0, IFF_UP, 0).get(),
      "bring " + name + (up ? " up" : " down"), kNone);
}

void Commands::set_master(const std::string& name, const std::string& master) {
  const std::string doing = "put " + name + " into " + master;
  const Built message = link_message(name, 0, 0, 0);
  require_room(nla_put_u32(message.get(), IFLA_MASTER, index_of(master, doing)));
  run(message.get(), doing, kNone);
}

void Commands::clear_master(const std::string& name) {
  const Built message = link_message(name, 0, 0, 0);
  require_room(nla_put_u32(message.get(), IFLA_MASTER, 0));
  run(message.get(), "take " + name + " out of its bridge", kNone);
}

void Commands::set_mac(const std::string& name, net::MacAddress mac) {
  const Built message = link_message(name, 0, 0, 0);
  require_room(
      nla_put(message.get(), IFLA_ADDRESS, static_cast<int>(mac.bytes.size()), mac.bytes.data()));
  run(message.get(), "give " + name + " the MAC " + mac.text(), kNone);
}

void Commands::set_mtu(const std::string& name, std::uint32_t mtu) {
  const Built message = link_message(name, 0, 0, 0);
  require_room(nla_put_u32(message.get(), IFLA_MTU, mtu));
  run(message.get(), "set the MTU of " + name + " to " + std::to_string(mtu), kNone);
}

void Commands::set_carrier(const std::string& name, bool on) {
  const Built message = link_message(name, 0, 0, 0);
  require_room(nla_put_u8(message.get(), IFLA_CARRIER, on ? 1 : 0));
  run(message.get(), "switch the carrier of " + name + (on ? " on" : " off"), kNone);
}

void Commands::set_queue_length(const std::string& name, std::uint32_t frames) {
  const Built message = link_message(name, 0, 0, 0);
  require_room(nla_put_u32(message.get(), IFLA_TXQLEN, frames));
  run(message.get(), "set the queue length of " + name, kNone);
}

void Commands::add_address(const std::string& link, const net::InterfaceAddress& address,
                           Detection detection) {
  const std::string doing = "give " + link + " the address " + address.text();
  const InterfaceEntry entry = linux_entry(index_of(link, doing), address);
  if (detection == Detection::at_once && !address.address.is_v4())
    rtnl_addr_set_flags(entry.get(), IFA_F_NODAD);
  const Built message = built(
      [&](nl_msg** out) { return rtnl_addr_build_add_request(entry.get(), NLM_F_EXCL, out); });
  run(message.get(), doing, kThere);
}

void Commands::remove_address(const std::string& link, const net::InterfaceAddress& address) {
  const unsigned index = if_nametoindex(link.c_str());
  if (index == 0) return;
  const InterfaceEntry entry = linux_entry(index, address);
  const Built message =
      built([&](nl_msg** out) { return rtnl_addr_build_delete_request(entry.get(), 0, out); });
  run(message.get(), "take the address " + address.text() + " from " + link, kGone);
}

namespace {

Built new_route(const Route& route, int options) {
  const LinuxRoute entry = linux_route(route);
  return built([&](nl_msg** out) {
    return rtnl_route_build_add_request(entry.get(), NLM_F_CREATE | options, out);
  });
}

}  // namespace

Saved Commands::saved(const Route& route) {
  const Built message = new_route(route, 0);
  const nlmsghdr* header = nlmsg_hdr(message.get());
  const auto* bytes = static_cast<const std::uint8_t*>(static_cast<const void*>(header));
  auto saved = Saved::from_message({bytes, header->nlmsg_len});
  if (!saved) throw CommandError("cannot say the route " + text(route) + " in netlink", EINVAL);
  return std::move(*saved);
}

void Commands::add_route(const Route& route) {
  const Built message = new_route(route, NLM_F_EXCL);
  run(message.get(), "add the route " + text(route), kThere);
}

void Commands::replace_route(const Route& route) {
  const Built message = new_route(route, NLM_F_REPLACE);
  run(message.get(), "set the route " + text(route), kNone);
}

void Commands::delete_route(const Route& route) {
  const LinuxRoute entry = linux_route(route);
  const Built message =
      built([&](nl_msg** out) { return rtnl_route_build_del_request(entry.get(), 0, out); });
  run(message.get(), "delete the route " + text(route), kGone);
}

namespace {

Built request_of(const Saved& saved, bool give) {
  Message bytes = saved.request(give);
  // libnl copies the message and gives it a number of its own.
  return Built{
      or_no_memory(nlmsg_convert(static_cast<nlmsghdr*>(static_cast<void*>(bytes.data()))))};
}

}  // namespace

void Commands::give(const Saved& saved) {
  run(request_of(saved, true).get(), "give back " + saved.text(), kThere);
}

void Commands::take(const Saved& saved) {
  run(request_of(saved, false).get(), "take away " + saved.text(), kGone);
}

std::optional<Link> find_link(std::string_view name) {
  for (Link& link : fetch<Link>(List::links))
    if (link.name == name) return std::move(link);
  return std::nullopt;
}

std::string disable_ipv6_path(const std::string& link) {
  return "net/ipv6/conf/" + link + "/disable_ipv6";
}

std::optional<std::string> read_sysctl(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{
      std::fopen(("/proc/sys/" + path).c_str(), "re"), &std::fclose};
  if (!file) return std::nullopt;
  char text[256] = {};
  if (std::fgets(text, sizeof text, file.get()) == nullptr) return std::nullopt;
  std::string value{text};
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

void Commands::write_sysctl(const std::string& path, std::string_view value) {
  permit("write " + std::string{value} + " to " + path);
  std::FILE* file = std::fopen(("/proc/sys/" + path).c_str(), "we");
  // The write reaches the kernel when the file is closed.
  const bool written = file != nullptr && std::fwrite(value.data(), 1, value.size(), file) > 0;
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!written || !closed)
    throw CommandError("cannot write " + std::string{value} + " to /proc/sys/" + path + ": " +
                           std::strerror(errno),
                       errno);
}

}  // namespace masqgate::netlink
