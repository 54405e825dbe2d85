#include "daemon/control/packet_lines.hpp"

#include <array>
#include <optional>

#include "daemon/control/print.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"
#include "daemon/wire/describe.hpp"

namespace masqgate::control {
namespace {

using firewall::LogNote;
using wire::Bytes;

unsigned u8(Bytes bytes, std::size_t at) {
  return wire::load8(bytes, at);
}
unsigned u16(Bytes bytes, std::size_t at) {
  return wire::load16(bytes, at);
}

std::string address(Bytes bytes, std::size_t at) {
  return net::IpAddress::v4(wire::load32(bytes, at)).text();
}

std::string hexadecimal(Bytes bytes, const char* between) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    text += print("%s%02x", i == 0 ? "" : between, u8(bytes, i));
  return text;
}

std::string incomplete(Bytes bytes) {
  return "INCOMPLETE [" + std::to_string(bytes.size()) + " bytes] ";
}

constexpr std::size_t kIpv4Header = 20, kTcpHeader = 20;

// Header length of an IPv4 packet that has at least its header; none: it is no such thing.
std::optional<std::size_t> ipv4_header(Bytes ip) {
  if (ip.size() < kIpv4Header || u8(ip, 0) >> 4 != 4) return std::nullopt;
  const std::size_t length = (u8(ip, 0) & 15) * std::size_t{4};
  if (length < kIpv4Header || length > ip.size()) return std::nullopt;
  return length;
}

std::string tcp_text(Bytes tcp) {
  if (tcp.size() < kTcpHeader) return "PROTO=TCP " + incomplete(tcp);
  constexpr std::array<std::pair<unsigned, const char*>, 8> kFlags{{{0x80, "CWR "},
                                                                    {0x40, "ECE "},
                                                                    {0x20, "URG "},
                                                                    {0x10, "ACK "},
                                                                    {0x08, "PSH "},
                                                                    {0x04, "RST "},
                                                                    {0x02, "SYN "},
                                                                    {0x01, "FIN "}}};
  std::string text = print("PROTO=TCP SPT=%u DPT=%u WINDOW=%u RES=0x%02x ", u16(tcp, 0),
                           u16(tcp, 2), u16(tcp, 14), (u8(tcp, 12) & 15) << 2);
  for (const auto& [bit, name] : kFlags)
    if ((u8(tcp, 13) & bit) != 0) text += name;
  return text + print("URGP=%u ", u16(tcp, 18));
}

std::string udp_text(Bytes udp) {
  if (udp.size() < 8) return "PROTO=UDP " + incomplete(udp);
  return print("PROTO=UDP SPT=%u DPT=%u LEN=%u ", u16(udp, 0), u16(udp, 2), u16(udp, 4));
}

std::string ipv4_text(Bytes ip, bool quotes);

std::string icmp_text(Bytes icmp, bool quotes) {
  if (icmp.size() < 4) return "PROTO=ICMP " + incomplete(icmp);
  const unsigned type = u8(icmp, 0), code = u8(icmp, 1);
  std::string text = print("PROTO=ICMP TYPE=%u CODE=%u ", type, code);
  if (icmp.size() < 8) return text + incomplete(icmp);
  const bool is_query = type == 0 || type == 8 || (type >= 13 && type <= 18);
  if (is_query) return text + print("ID=%u SEQ=%u ", u16(icmp, 4), u16(icmp, 6));
  if (type == 12) text += print("PARAMETER=%u ", u8(icmp, 4));
  if (type == 5) text += "GATEWAY=" + address(icmp, 4) + " ";
  if (quotes && (type == 3 || type == 4 || type == 5 || type == 11 || type == 12))
    text += "[" + ipv4_text(icmp.subspan(8), false) + "] ";
  if (type == 3 && code == 4) text += print("MTU=%u ", u16(icmp, 6));
  return text;
}

std::string transport_text(unsigned protocol, Bytes rest, bool quotes) {
  switch (protocol) {
    case 6:
      return tcp_text(rest);
    case 17:
      return udp_text(rest);
    case 1:
      return icmp_text(rest, quotes);
    case 50:
    case 51: {
      const std::size_t at = protocol == 50 ? 0 : 4;
      const char* name = protocol == 50 ? "PROTO=ESP " : "PROTO=AH ";
      if (rest.size() < at + 4) return name + incomplete(rest);
      return name + print("SPI=0x%x ", wire::load32(rest, at));
    }
    default:
      return print("PROTO=%u ", protocol);
  }
}

std::string ipv4_text(Bytes ip, bool quotes) {
  const auto header = ipv4_header(ip);
  if (!header) return incomplete(ip);
  const unsigned flags = u16(ip, 6), tos = u8(ip, 1);
  std::string text = "SRC=" + address(ip, 12) + " DST=" + address(ip, 16) + " ";
  text += print("LEN=%u TOS=0x%02X PREC=0x%02X TTL=%u ID=%u ", u16(ip, 2), tos & 0x1e, tos & 0xe0,
                u8(ip, 8), u16(ip, 4));
  if ((flags & 0x8000) != 0) text += "CE ";
  if ((flags & 0x4000) != 0) text += "DF ";
  if ((flags & 0x2000) != 0) text += "MF ";
  if ((flags & 0x1fff) != 0) text += print("FRAG:%u ", flags & 0x1fff);
  const Bytes rest = ip.subspan(*header);
  if ((flags & 0x1fff) != 0) return text + print("PROTO=%u ", u8(ip, 9));
  return text + transport_text(u8(ip, 9), rest, quotes);
}

std::string ipv6_text(Bytes ip) {
  if (ip.size() < 40) return incomplete(ip);
  const std::uint32_t first = wire::load32(ip, 0);
  const auto at = [&](std::size_t offset) {
    return net::IpAddress::v6(wire::load64(ip, offset), wire::load64(ip, offset + 8)).text();
  };
  std::string text = "SRC=" + at(8) + " DST=" + at(24) + " ";
  text += print("LEN=%u TC=%u HOPLIMIT=%u FLOWLBL=%u ", u16(ip, 4) + 40, first >> 20 & 255,
                u8(ip, 7), first & 0xfffff);
  return text + transport_text(u8(ip, 6), ip.subspan(40), false);
}

Bytes packet_of(const LogNote& note) {
  return Bytes{note.head}.first(note.kept);
}

bool is_v6(Bytes ip) {
  return !ip.empty() && u8(ip, 0) >> 4 == 6;
}

}  // namespace

std::string iptables_line(std::string_view prefix, const LogNote& note,
                          const LineInterfaces& interfaces) {
  std::string text{prefix};
  text += "IN=" + std::string{interfaces.in} + " OUT=" + std::string{interfaces.out} + " ";
  if (!interfaces.in.empty() && interfaces.out.empty())
    text += "MAC=" + (note.has_link ? hexadecimal(Bytes{note.link}, ":") : "") + " ";
  const Bytes ip = packet_of(note);
  return text + (is_v6(ip) ? ipv6_text(ip) : ipv4_text(ip, true));
}

std::string ipchains_line(std::string_view prefix, const LogNote& note, std::string_view interface,
                          std::string_view number) {
  const Bytes ip = packet_of(note);
  const auto header = ipv4_header(ip);
  if (!header) return plain_line(prefix, note, {interface, {}});
  const unsigned protocol = u8(ip, 9), fragment = u16(ip, 6);
  const Bytes rest = ip.subspan(*header);
  // ICMP's type and code stand where others have ports; who has neither is told as 65535.
  unsigned from = 65535, to = 65535;
  const bool has_ports = (fragment & 0x1fff) == 0 && rest.size() >= 4;
  if (has_ports && (protocol == 6 || protocol == 17)) from = u16(rest, 0), to = u16(rest, 2);
  if (has_ports && protocol == 1) from = u8(rest, 0), to = u8(rest, 1);
  std::string text = "Packet log: " + std::string{prefix} + std::string{interface};
  text += print(" PROTO=%u ", protocol) + address(ip, 12) + print(":%u ", from) + address(ip, 16) +
          print(":%u L=%u S=0x%02X I=%u F=0x%04X T=%u", to, u16(ip, 2), u8(ip, 1), u16(ip, 4),
                fragment, u8(ip, 8));
  for (std::size_t at = kIpv4Header; at < *header; at += 4)
    text += print(" O=0x%08X", __builtin_bswap32(wire::load32(ip, at)));
  const bool is_syn =
      protocol == 6 && has_ports && rest.size() >= kTcpHeader && (u8(rest, 13) & 0x16) == 0x02;
  return text + " " + (is_syn ? "SYN " : "") + "(#" + std::string{number} + ")";
}

std::string plain_line(std::string_view prefix, const LogNote& note,
                       const LineInterfaces& interfaces) {
  std::string text{prefix};
  if (!interfaces.in.empty()) text += "in=" + std::string{interfaces.in} + " ";
  if (!interfaces.out.empty()) text += "out=" + std::string{interfaces.out} + " ";
  return text + wire::describe_ip(packet_of(note));
}

}  // namespace masqgate::control
