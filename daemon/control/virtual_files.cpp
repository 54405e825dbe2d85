#include "daemon/control/virtual_files.hpp"

#include <algorithm>
#include <cinttypes>

#include "daemon/conntrack/tcp_state.hpp"
#include "daemon/control/print.hpp"
#include "daemon/nat/mappings.hpp"
#include "daemon/wire/icmp.hpp"

namespace masqgate::control {
namespace {

using conntrack::Connection;

constexpr std::size_t kMasqRecord = 128;

// A record of fixed length: text, blanks, line break.
std::string record(std::string text) {
  text.resize(kMasqRecord - 1, ' ');
  return text + '\n';
}

long long remaining(const Connection& c, Time now, long long per_second) {
  const auto left = std::max(Duration{}, c.expires() - now);
  return left.count() / (1'000'000'000 / per_second);
}

// netstat -M knows GRE and ESP by name and gives up on others.
std::string masq_name(net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::tcp:
      return "TCP";
    case net::Protocol::udp:
      return "UDP";
    case net::Protocol::icmp:
      return "ICMP";
    case net::Protocol::gre:
      return "GRE";
    case net::Protocol::esp:
      return "ESP";
    default:
      return "IP_" + std::to_string(net::number(protocol));
  }
}

unsigned masq_bucket(const Connection& c) {
  const net::Endpoint outside = nat::outside_of(c);
  return (net::number(c.reply.protocol) ^ outside.address.v4_number() ^ outside.port) & 0xffu;
}

// Inside endpoint and peer, as the masquerade files write them.
std::string masq_ends(const Connection& c) {
  const net::Endpoint inside = nat::inside_of(c), peer = nat::peer_of(c);
  return print("%08" PRIX32 ":%04X %08" PRIX32 ":%04X", inside.address.v4_number(),
               unsigned{inside.port}, peer.address.v4_number(), unsigned{peer.port});
}

// Masqueraded IPv4 connections in the order of the kernel's table: 256 buckets, newest first.
std::vector<const Connection*> masqueraded(Connections connections) {
  std::vector<const Connection*> rows;
  for (const Connection& c : connections)
    if ((c.has(Connection::kSourceNat) || c.has(Connection::kInbound)) &&
        c.original.source_address.is_v4())
      rows.push_back(&c);
  std::ranges::stable_sort(rows, [](const Connection* a, const Connection* b) {
    const unsigned bucket_a = masq_bucket(*a), bucket_b = masq_bucket(*b);
    return bucket_a != bucket_b ? bucket_a < bucket_b : a->created_ticks > b->created_ticks;
  });
  return rows;
}

std::string free_text(FreePorts free) {
  return "(free=" + std::to_string(free.udp) + "," + std::to_string(free.tcp) + "," +
         std::to_string(free.icmp) + ")";
}

std::string masq_state(const Connection& c) {
  if (c.original.protocol == net::Protocol::udp) return "UDP";
  if (c.original.protocol == net::Protocol::icmp) return "ICMP";
  return std::string{conntrack::name(c.tcp_state)};
}

// Flag bits of 2.2 (history 1.2): hashed always, no reply until there was one.
unsigned masq_flags(const Connection& c) {
  constexpr unsigned kNoReply = 0x80, kHashed = 0x100;
  return kHashed | (c.has(Connection::kSeenReply) ? 0u : kNoReply);
}

// ip_conntrack pads names to eight and calls what it has no module for "unknown".
std::string track_name(net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::tcp:
    case net::Protocol::udp:
    case net::Protocol::icmp:
    case net::Protocol::icmpv6:
      return net::text(protocol);
    default:
      return "unknown";
  }
}

// nf_conntrack spells IPv6 addresses out, without "::".
std::string track_address(net::IpAddress address) {
  if (address.is_v4()) return address.text();
  std::string text;
  for (const std::uint64_t half : {address.high(), address.low()})
    for (int shift = 48; shift >= 0; shift -= 16)
      text += print(text.empty() ? "%04x" : ":%04x", static_cast<unsigned>(half >> shift & 0xffff));
  return text;
}

}  // namespace

std::string track_tuple(const Tuple& tuple) {
  std::string text = "src=" + track_address(tuple.source_address) +
                     " dst=" + track_address(tuple.destination_address) + " ";
  if (tuple.has_ports())
    return text + print("sport=%u dport=%u ", unsigned{tuple.source_port},
                        unsigned{tuple.destination_port});
  if (!tuple.is_icmp()) return text;
  const bool reply = tuple.is_icmp_reply != 0;
  const net::Port word = reply ? tuple.source_port : tuple.destination_port;
  const net::Port id = reply ? tuple.destination_port : tuple.source_port;
  auto type = static_cast<std::uint8_t>(word >> 8);
  if (reply) type = wire::icmp_reply_of(tuple.source_address.family(), type);
  return text + print("type=%u code=%u id=%u ", unsigned{type}, word & 0xffu, unsigned{id});
}

namespace {

// From the name of the transport protocol to the flags: common to 2.4 and later.
std::string track_middle(const Connection& c, Time now) {
  std::string line = print("%-8s %u %lld ", track_name(c.original.protocol).c_str(),
                           unsigned{net::number(c.original.protocol)}, remaining(c, now, 1));
  if (c.original.protocol == net::Protocol::tcp)
    line += std::string{conntrack::name(c.tcp_state)} + " ";
  line += track_tuple(c.original);
  if (!c.has(Connection::kSeenReply)) line += "[UNREPLIED] ";
  line += track_tuple(c.reply);
  if (c.has(Connection::kAssured)) line += "[ASSURED] ";
  return line;
}

}  // namespace

std::string ip_masquerade(Connections connections, FreePorts free, Time now) {
  std::string text = record("Prc FromIP   FPrt ToIP     TPrt Masq Init-seq  Delta PDelta Expires " +
                            free_text(free));
  for (const Connection* c : masqueraded(connections))
    text += record(print("%s %s %04X %08X %6d %6d %7lld", masq_name(c->original.protocol).c_str(),
                         masq_ends(*c).c_str(), unsigned{nat::outside_of(*c).port}, 0u, 0, 0,
                         remaining(*c, now, 100)));
  return text;
}

std::string ip_masq(net::Protocol protocol, Connections connections, FreePorts free, Time now) {
  std::string text =
      record("Prot SrcIP    SPrt DstIP    DPrt MAddr    MPrt State        Flgs Ref Ctl Expires " +
             free_text(free));
  for (const Connection* c : masqueraded(connections)) {
    if (c->original.protocol != protocol) continue;
    const net::Endpoint outside = nat::outside_of(*c);
    text += record(print("%-4s %s %08" PRIX32 ":%04X %-12s %3X %4d %3d %7lld",
                         masq_name(protocol).c_str(), masq_ends(*c).c_str(),
                         outside.address.v4_number(), unsigned{outside.port},
                         masq_state(*c).c_str(), masq_flags(*c), 1, 0, remaining(*c, now, 1)));
  }
  return text;
}

std::string ip_conntrack(Connections connections, Time now) {
  std::string text;
  for (const Connection& c : connections)
    if (c.original.source_address.is_v4()) text += track_middle(c, now) + "use=1 \n";
  return text;
}

std::string nf_conntrack(Connections connections, Time now) {
  std::string text;
  for (const Connection& c : connections) {
    text += c.original.source_address.is_v4() ? "ipv4     2 " : "ipv6     10 ";
    text += track_middle(c, now) + "mark=" + std::to_string(c.mark) + " use=1\n";
  }
  return text;
}

}  // namespace masqgate::control
