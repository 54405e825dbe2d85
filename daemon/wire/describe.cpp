#include "daemon/wire/describe.hpp"

#include "daemon/wire/arp.hpp"
#include "daemon/wire/ethernet.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/tcp.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::wire {
namespace {

constexpr int kMaxQuotes = 2;  // an error that quotes an error is as deep as a description goes

std::string describe_quoted(Bytes bytes, int depth);

std::string describe_tcp(const Tcp& tcp) {
  std::string flags;
  if (tcp.flags().syn()) flags += 'S';
  if (tcp.flags().fin()) flags += 'F';
  if (tcp.flags().rst()) flags += 'R';
  if (tcp.flags().psh()) flags += 'P';
  if (tcp.flags().ack()) flags += '.';
  return "tcp [" + flags + "] seq " + std::to_string(tcp.sequence()) + " ack " +
         std::to_string(tcp.acknowledgement()) + " win " + std::to_string(tcp.window()) +
         " length " + std::to_string(tcp.payload().size());
}

std::string describe_icmp(net::Family family, const Icmp& icmp, int depth) {
  std::string text = (family == net::Family::v4 ? "icmp type " : "icmpv6 type ") +
                     std::to_string(icmp.type()) + " code " + std::to_string(icmp.code());
  const IcmpKind kind = icmp_kind(family, icmp.type());
  if (kind == IcmpKind::request || kind == IcmpKind::reply)
    text += " id " + std::to_string(icmp.identifier());
  if (kind == IcmpKind::error && depth < kMaxQuotes)
    text += " {" + describe_quoted(icmp.payload(), depth + 1) + "}";
  return text;
}

std::string describe_transport(net::IpAddress source, net::IpAddress destination,
                               net::Protocol protocol, Bytes payload, int depth) {
  const auto ends = [&](net::Port from, net::Port to) {
    return net::Endpoint{source, from}.text() + " > " + net::Endpoint{destination, to}.text() +
           ": ";
  };
  if (protocol == net::Protocol::tcp)
    if (const auto tcp = Tcp::parse(payload))
      return ends(tcp->source(), tcp->destination()) + describe_tcp(*tcp);
  if (protocol == net::Protocol::udp)
    if (const auto udp = Udp::parse(payload))
      return ends(udp->source(), udp->destination()) + "udp length " +
             std::to_string(udp->payload().size());
  const std::string hosts = source.text() + " > " + destination.text() + ": ";
  if (protocol == icmp_protocol(source.family()))
    if (const auto icmp = Icmp::parse(payload))
      return hosts + describe_icmp(source.family(), *icmp, depth);
  return hosts + net::text(protocol) + " length " + std::to_string(payload.size());
}

std::string describe_ipv4(const Ipv4& ip, int depth) {
  std::string text = describe_transport(ip.source(), ip.destination(), ip.protocol(),
                                        ip.fragment_offset() == 0 ? ip.payload() : Bytes{}, depth);
  text += " ttl " + std::to_string(ip.ttl());
  if (ip.is_fragment())
    text += " frag " + std::to_string(ip.fragment_offset()) + (ip.more_fragments() ? "+" : "");
  return text;
}

std::string describe_ipv6(const Ipv6& ip, int depth) {
  const auto walk = walk_extensions(ip);
  if (!walk)
    return ip.source().text() + " > " + ip.destination().text() + ": bad extension headers";
  const Bytes payload = walk->fragment_offset == 0 ? ip.bytes().subspan(walk->offset) : Bytes{};
  return describe_transport(ip.source(), ip.destination(), walk->protocol, payload, depth) +
         " hlim " + std::to_string(ip.hop_limit()) + (walk->is_fragment ? " frag" : "");
}

// A quoted packet is cut short: its header is all that must be whole.
std::string describe_quoted(Bytes bytes, int depth) {
  if (const auto ip = Ipv4::parse_header(bytes)) return describe_ipv4(*ip, depth);
  if (const auto ip = Ipv6::parse_header(bytes)) return describe_ipv6(*ip, depth);
  return "malformed ip length " + std::to_string(bytes.size());
}

}  // namespace

std::string describe_ip(Bytes bytes) {
  if (const auto ip = Ipv4::parse(bytes)) return describe_ipv4(*ip, 0);
  if (const auto ip = Ipv6::parse(bytes)) return describe_ipv6(*ip, 0);
  return "malformed ip length " + std::to_string(bytes.size());
}

std::string describe_frame(Bytes bytes) {
  const auto ethernet = Ethernet::parse(bytes);
  if (!ethernet) return "malformed ethernet length " + std::to_string(bytes.size());
  switch (ethernet->type()) {
    case EtherType::ipv4:
    case EtherType::ipv6:
      return describe_ip(ethernet->payload());
    case EtherType::arp:
      if (const auto arp = Arp::parse(ethernet->payload()))
        return arp->operation() == Arp::Operation::request
                   ? "arp who-has " + arp->target().text() + " tell " + arp->sender().text()
                   : "arp " + arp->sender().text() + " is-at " + arp->sender_mac().text();
      return "malformed arp";
    default:
      break;
  }
  return ethernet->source().text() + " > " + ethernet->destination().text() + ": ethertype " +
         std::to_string(static_cast<unsigned>(ethernet->type())) + " length " +
         std::to_string(bytes.size());
}

}  // namespace masqgate::wire
