#include "netlink/messages.hpp"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "netlink/attributes.hpp"

namespace masqgate::netlink {
namespace {

// FRA_SPORT_MASK and FRA_DPORT_MASK, younger than Debian 12's headers.
constexpr std::uint16_t kSourcePortMask = 28;
constexpr std::uint16_t kDestinationPortMask = 29;
constexpr unsigned kLowerUp = 1u << 16;  // IFF_LOWER_UP, which <net/if.h> does not know

std::optional<net::Family> read_family(std::uint8_t family) {
  if (family == AF_INET) return net::Family::v4;
  if (family == AF_INET6) return net::Family::v6;
  return std::nullopt;
}

// An absent destination is the default route of the message's family.
std::optional<net::Prefix> read_prefix(net::Family family, Bytes bytes, unsigned length) {
  const net::IpAddress any = family == net::Family::v4 ? net::IpAddress::v4(0) : net::IpAddress{};
  const auto address = bytes.empty() ? any : read_address(bytes);
  if (!address || address->family() != family) return std::nullopt;
  if (length > (family == net::Family::v4 ? 32u : 128u)) return std::nullopt;
  return net::Prefix{*address, length};
}

std::optional<net::MacAddress> read_mac(Bytes bytes) {
  net::MacAddress mac;
  if (bytes.size() != mac.bytes.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), mac.bytes.begin());
  return mac;
}

std::string read_kind(Bytes link_info) {
  std::string kind;
  walk(link_info, [&](const Attribute& a) {
    if (a.type == IFLA_INFO_KIND) kind = a.text();
  });
  return kind;
}

std::optional<Event> parse_link(Bytes payload) {
  const auto header = read<ifinfomsg>(payload);
  // A bridge repeats each of its ports' events in its own family.
  if (!header || header->ifi_family != AF_UNSPEC || header->ifi_index <= 0) return std::nullopt;
  Link link;
  link.index = static_cast<std::uint32_t>(header->ifi_index);
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.running = (header->ifi_flags & IFF_RUNNING) != 0 && (header->ifi_flags & kLowerUp) != 0;
  const bool whole = walk(after(payload, sizeof *header), [&](const Attribute& a) {
    switch (a.type) {
      case IFLA_IFNAME:
        link.name = a.text();
        break;
      case IFLA_ADDRESS:
        link.mac = read_mac(a.value);
        break;
      case IFLA_MTU:
        link.mtu = a.number<std::uint32_t>();
        break;
      case IFLA_TXQLEN:
        link.queue_length = a.number<std::uint32_t>();
        break;
      case IFLA_MASTER:
        link.master = a.number<std::uint32_t>();
        break;
      case IFLA_LINKINFO:
        link.kind = read_kind(a.value);
        break;
      default:
        break;
    }
  });
  if (!whole || link.name.empty()) return std::nullopt;
  return link;
}

void set_flags(Address& address, std::uint32_t flags) {
  address.tentative = (flags & IFA_F_TENTATIVE) != 0;
  address.duplicate = (flags & IFA_F_DADFAILED) != 0;
  address.deprecated = (flags & IFA_F_DEPRECATED) != 0;
  address.secondary = (flags & IFA_F_SECONDARY) != 0;
  address.permanent = (flags & IFA_F_PERMANENT) != 0;
  address.autoconfigured = (flags & IFA_F_MANAGETEMPADDR) != 0;
}

std::optional<Event> parse_address(Bytes payload) {
  const auto header = read<ifaddrmsg>(payload);
  const auto family = header ? read_family(header->ifa_family) : std::nullopt;
  if (!family || header->ifa_prefixlen > (*family == net::Family::v4 ? 32 : 128))
    return std::nullopt;
  Address address;
  address.ifindex = header->ifa_index;
  address.scope = static_cast<Scope>(header->ifa_scope);
  std::optional<net::IpAddress> local;
  std::optional<net::IpAddress> other;  // the peer, or the address itself where there is none
  set_flags(address, header->ifa_flags);
  const bool whole = walk(after(payload, sizeof *header), [&](const Attribute& a) {
    switch (a.type) {
      case IFA_LOCAL:
        local = read_address(a.value);
        break;
      case IFA_ADDRESS:
        other = read_address(a.value);
        break;
      case IFA_BROADCAST:
        address.broadcast = read_address(a.value);
        break;
      case IFA_LABEL:
        address.label = a.text();
        break;
      case IFA_FLAGS:
        set_flags(address, a.number<std::uint32_t>());
        break;
      default:
        break;
    }
  });
  const auto own = local ? local : other;
  if (!whole || !own || own->family() != *family) return std::nullopt;
  address.address = {*own, header->ifa_prefixlen};
  if (other && other->family() == *family && *other != *own) address.peer = other;
  return address;
}

// RTA_VIA: a gateway of another family (struct rtvia: family, then the address).
std::optional<net::IpAddress> read_via(Bytes bytes) {
  const auto family = read<std::uint16_t>(bytes);
  return family ? read_address(after(bytes, sizeof *family)) : std::nullopt;
}

// What stands both beside a single next hop and inside each of several.
void read_next_hop(const Attribute& a, NextHop& hop, Route& route) {
  switch (a.type) {
    case RTA_GATEWAY:
      hop.gateway = read_address(a.value);
      break;
    case RTA_VIA:
      hop.gateway = read_via(a.value);
      break;
    case RTA_OIF:
      hop.ifindex = a.number<std::uint32_t>();
      break;
    case RTA_ENCAP:
      route.unsupported = true;
      break;
    default:
      break;
  }
}

bool read_next_hops(Bytes bytes, Route& route) {
  while (!bytes.empty()) {
    const auto header = read<rtnexthop>(bytes);
    if (!header || header->rtnh_len < sizeof(rtnexthop) || header->rtnh_len > bytes.size())
      return false;
    NextHop hop;
    hop.ifindex = static_cast<std::uint32_t>(header->rtnh_ifindex);
    hop.weight = header->rtnh_hops + 1u;
    hop.onlink = (header->rtnh_flags & RTNH_F_ONLINK) != 0;
    const Bytes attributes = bytes.first(header->rtnh_len).subspan(sizeof *header);
    if (!walk(attributes, [&](const Attribute& a) { read_next_hop(a, hop, route); })) return false;
    route.next_hops.push_back(hop);
    bytes = after(bytes, NLMSG_ALIGN(header->rtnh_len));
  }
  return true;
}

std::uint32_t read_metric(Bytes metrics, std::uint16_t which) {
  std::uint32_t value = 0;
  walk(metrics, [&](const Attribute& a) {
    if (a.type == which) value = a.number<std::uint32_t>();
  });
  return value;
}

std::optional<Event> parse_route(Bytes payload) {
  const auto header = read<rtmsg>(payload);
  const auto family = header ? read_family(header->rtm_family) : std::nullopt;
  if (!family || (header->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  Route route;
  route.table = header->rtm_table;
  route.type = static_cast<RouteType>(header->rtm_type);
  route.origin = static_cast<RouteOrigin>(header->rtm_protocol);
  route.scope = static_cast<Scope>(header->rtm_scope);
  route.tos = header->rtm_tos;
  NextHop hop;
  hop.onlink = (header->rtm_flags & RTNH_F_ONLINK) != 0;
  Bytes destination;
  Bytes source;
  bool whole_hops = true;
  const bool whole = walk(after(payload, sizeof *header), [&](const Attribute& a) {
    switch (a.type) {
      case RTA_DST:
        destination = a.value;
        break;
      case RTA_SRC:
        source = a.value;
        break;
      case RTA_TABLE:
        route.table = a.number<std::uint32_t>();
        break;
      case RTA_PRIORITY:
        route.metric = a.number<std::uint32_t>();
        break;
      case RTA_PREFSRC:
        route.preferred_source = read_address(a.value);
        break;
      case RTA_METRICS:
        route.mtu = read_metric(a.value, RTAX_MTU);
        break;
      case RTA_NH_ID:
        route.next_hop_object = a.number<std::uint32_t>();
        break;
      case RTA_MULTIPATH:
        whole_hops = read_next_hops(a.value, route);
        break;
      default:
        read_next_hop(a, hop, route);
        break;
    }
  });
  const auto to = read_prefix(*family, destination, header->rtm_dst_len);
  const auto from = read_prefix(*family, source, header->rtm_src_len);
  if (!whole || !whole_hops || !to || !from) return std::nullopt;
  route.destination = *to;
  if (header->rtm_src_len != 0) route.source = *from;
  if (route.next_hops.empty() && (hop.ifindex != 0 || hop.gateway)) route.next_hops = {hop};
  if (route.next_hop_object != 0 && route.next_hops.empty()) route.unsupported = true;
  return route;
}

// A range of ports in host order, as the kernel keeps it.
std::optional<net::PortRange> read_ports(Bytes bytes) {
  const auto range = read<fib_rule_port_range>(bytes);
  if (!range || range->start > range->end) return std::nullopt;
  return net::PortRange{range->start, range->end};
}

// -1 is the kernel's "does not suppress".
std::optional<std::uint32_t> read_unless_minus_one(const Attribute& a) {
  const auto value = a.number<std::uint32_t>();
  return value == ~0u ? std::nullopt : std::optional{value};
}

// Attributes that say how a rule matches or acts.
void read_rule_attribute(const Attribute& a, Rule& rule) {
  switch (a.type) {
    case FRA_PRIORITY:
      rule.priority = a.number<std::uint32_t>();
      break;
    case FRA_TABLE:
      rule.table = a.number<std::uint32_t>();
      break;
    case FRA_GOTO:
      rule.go_to = a.number<std::uint32_t>();
      break;
    case FRA_IIFNAME:
      rule.in_link = a.text();
      break;
    case FRA_OIFNAME:
      rule.out_link = a.text();
      break;
    case FRA_FWMARK:
      rule.mark = a.number<std::uint32_t>();
      break;
    case FRA_FWMASK:
      rule.mask = a.number<std::uint32_t>();
      break;
    case FRA_SUPPRESS_PREFIXLEN:
      rule.suppress_prefix_length = read_unless_minus_one(a);
      break;
    case FRA_SUPPRESS_IFGROUP:
      rule.suppress_group = read_unless_minus_one(a);
      break;
    case FRA_L3MDEV:
      rule.l3mdev = a.number<std::uint8_t>() != 0;
      break;
    case FRA_IP_PROTO:
      rule.ip_protocol = a.number<std::uint8_t>();
      break;
    case FRA_SPORT_RANGE:
      rule.source_ports = read_ports(a.value);
      break;
    case FRA_DPORT_RANGE:
      rule.destination_ports = read_ports(a.value);
      break;
    case FRA_UID_RANGE:
      if (const auto range = read<fib_rule_uid_range>(a.value))
        rule.uids = {range->start, range->end};
      break;
    // Ranges and single ports come with a full mask.
    case kSourcePortMask:
    case kDestinationPortMask:
      rule.unsupported |= a.number<std::uint16_t>() != 0xffff;
      break;
    // Neither matches nor acts: who made the rule, realms, padding, and what is read elsewhere.
    case FRA_DST:
    case FRA_SRC:
    case FRA_PROTOCOL:
    case FRA_FLOW:
    case FRA_PAD:
      break;
    default:
      rule.unsupported = true;
      break;
  }
}

std::optional<Event> parse_rule(Bytes payload) {
  const auto header = read<fib_rule_hdr>(payload);
  const auto family = header ? read_family(header->family) : std::nullopt;
  if (!family) return std::nullopt;
  Rule rule;
  rule.family = *family;
  rule.action = static_cast<RuleAction>(header->action);
  rule.table = header->table;
  rule.tos = header->tos;
  rule.inverted = (header->flags & FIB_RULE_INVERT) != 0;
  Bytes source;
  Bytes destination;
  const bool whole = walk(after(payload, sizeof *header), [&](const Attribute& a) {
    if (a.type == FRA_SRC) source = a.value;
    if (a.type == FRA_DST) destination = a.value;
    read_rule_attribute(a, rule);
  });
  const auto from = read_prefix(*family, source, header->src_len);
  const auto to = read_prefix(*family, destination, header->dst_len);
  if (!whole || !from || !to) return std::nullopt;
  if (header->src_len != 0) rule.source = *from;
  if (header->dst_len != 0) rule.destination = *to;
  return rule;
}

std::optional<Event> parse_neighbour(Bytes payload) {
  const auto header = read<ndmsg>(payload);
  const auto family = header ? read_family(header->ndm_family) : std::nullopt;
  if (!family || header->ndm_ifindex <= 0) return std::nullopt;
  Neighbour neighbour;
  neighbour.ifindex = static_cast<std::uint32_t>(header->ndm_ifindex);
  neighbour.state = static_cast<NeighbourState>(header->ndm_state & 0xff);
  neighbour.router = (header->ndm_flags & NTF_ROUTER) != 0;
  neighbour.proxy = (header->ndm_flags & NTF_PROXY) != 0;
  std::optional<net::IpAddress> address;
  const bool whole = walk(after(payload, sizeof *header), [&](const Attribute& a) {
    if (a.type == NDA_DST) address = read_address(a.value);
    if (a.type == NDA_LLADDR) neighbour.mac = read_mac(a.value);
  });
  if (!whole || !address || address->family() != *family) return std::nullopt;
  neighbour.address = *address;
  return neighbour;
}

std::optional<Event> parse_payload(std::uint16_t type, Bytes payload) {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return parse_link(payload);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return parse_address(payload);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return parse_route(payload);
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return parse_rule(payload);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return parse_neighbour(payload);
    default:
      return std::nullopt;
  }
}

// rtnetlink numbers its verbs NEW, DEL, GET, SET, in this order, from multiples of four.
bool deletes(std::uint16_t type) {
  return type % 4 == RTM_DELLINK % 4;
}

}  // namespace

Bytes next_message(Bytes& rest) {
  const auto header = read<nlmsghdr>(rest);
  if (!header || header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > rest.size()) return {};
  const Bytes message = rest.first(header->nlmsg_len);
  rest = after(rest, NLMSG_ALIGN(std::size_t{header->nlmsg_len}));
  return message;
}

std::optional<Event> parse(Bytes message) {
  Bytes rest = message;
  const Bytes checked = next_message(rest);
  if (checked.empty()) return std::nullopt;
  const auto type = read<nlmsghdr>(checked)->nlmsg_type;
  auto event = parse_payload(type, after(checked, sizeof(nlmsghdr)));
  if (event) std::visit([&](auto& value) { value.deleted = deletes(type); }, *event);
  return event;
}

Placement placement(Bytes message) {
  const auto header = read<nlmsghdr>(message);
  const unsigned flags = header ? header->nlmsg_flags : 0u;
  if ((flags & NLM_F_REPLACE) != 0) return Placement::instead;
  return (flags & NLM_F_APPEND) != 0 ? Placement::last : Placement::first;
}

std::optional<std::uint32_t> parse_socket_owner(Bytes message) {
  const auto header = read<nlmsghdr>(message);
  if (!header || header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len > message.size())
    return std::nullopt;
  const auto socket = read<inet_diag_msg>(after(message, sizeof(nlmsghdr)));
  if (!socket || socket->idiag_state == TCP_TIME_WAIT || socket->idiag_state == TCP_SYN_RECV)
    return std::nullopt;
  return socket->idiag_uid;
}

std::string text(const Address& address) {
  return address.address.text();
}

std::string text(const Route& route) {
  std::string out = route.destination.text();
  for (const NextHop& hop : route.next_hops)
    if (hop.gateway) out += " via " + hop.gateway->text();
  if (route.table != kTableMain) out += " table " + std::to_string(route.table);
  if (route.metric != 0) out += " metric " + std::to_string(route.metric);
  return out;
}

}  // namespace masqgate::netlink
