#include "tests/support/packet_checks.hpp"

#include <vector>

#include "daemon/wire/describe.hpp"
#include "daemon/wire/icmp.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"
#include "daemon/wire/tcp.hpp"
#include "tests/support/packet_builder.hpp"

namespace masqgate::test {
namespace {

// What the checks want to know of a packet, whole or quoted.
struct Seen {
  net::IpAddress source, destination;
  net::Protocol protocol{};
  unsigned ttl = 0, tos = 0;
  bool is_fragment = false, is_whole = false;
  std::size_t offset = 0;  // of the transport header
  wire::Bytes transport;   // empty in a later fragment
};

std::optional<Seen> look(wire::Bytes bytes) {
  if (const auto ip = wire::Ipv4::parse_header(bytes)) {
    const bool whole = ip->total_length() <= bytes.size();
    const auto all = whole ? bytes.first(ip->total_length()) : bytes;
    return Seen{ip->source(),
                ip->destination(),
                ip->protocol(),
                ip->ttl(),
                ip->tos(),
                ip->is_fragment(),
                whole,
                ip->header_length(),
                ip->fragment_offset() == 0 ? all.subspan(ip->header_length()) : wire::Bytes{}};
  }
  const auto ip = wire::Ipv6::parse_header(bytes);
  if (!ip) return std::nullopt;
  const auto walk = wire::walk_extensions(*ip);
  if (!walk) return std::nullopt;
  const std::size_t total = wire::Ipv6::kHeaderSize + ip->payload_length();
  const bool whole = total <= bytes.size();
  const auto all = whole ? bytes.first(total) : bytes;
  if (walk->offset > all.size()) return std::nullopt;
  return Seen{ip->source(),
              ip->destination(),
              walk->protocol,
              ip->hop_limit(),
              ip->traffic_class(),
              walk->is_fragment,
              whole,
              walk->offset,
              walk->fragment_offset == 0 ? all.subspan(walk->offset) : wire::Bytes{}};
}

std::string header_problem(wire::Bytes bytes) {
  const auto ip = wire::Ipv4::parse_header(bytes);
  if (ip && plain_sum(bytes.first(ip->header_length())) != 0xffff) return "IPv4 header checksum";
  return {};
}

std::size_t checksum_field(net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::tcp:
      return 16;
    case net::Protocol::udp:
      return 6;
    default:
      return 2;
  }
}

bool has_checksum(const Seen& seen) {
  return seen.protocol == net::Protocol::tcp || seen.protocol == net::Protocol::udp ||
         seen.protocol == (seen.source.is_v4() ? net::Protocol::icmp : net::Protocol::icmpv6);
}

std::string transport_problem(const Seen& seen, const wire::VnetHeader& offload) {
  if (seen.is_fragment || !seen.is_whole || !has_checksum(seen)) return {};
  const std::size_t field = checksum_field(seen.protocol);
  const std::string name = net::text(seen.protocol);
  if (seen.transport.size() < field + 2) return name + " header cut off";
  const std::uint16_t pseudo =
      seen.protocol == net::Protocol::icmp
          ? std::uint16_t{0}
          : plain_pseudo_sum(seen.source, seen.destination, seen.protocol, seen.transport.size());
  const std::uint16_t found = wire::load16(seen.transport, field);
  if (offload.needs_checksum()) {
    if (offload.checksum_start != seen.offset || offload.checksum_offset != field)
      return name + " checksum offload points elsewhere";
    // 0x0000 and 0xffff are the same number.
    return found % 0xffff == pseudo % 0xffff ? std::string{} : name + " partial checksum";
  }
  if (seen.protocol == net::Protocol::udp && found == 0)
    return seen.source.is_v4() ? std::string{} : "udp without checksum over IPv6";
  return plain_sum(seen.transport, pseudo) == 0xffff ? std::string{} : name + " checksum";
}

bool is_error(const Seen& seen) {
  return has_checksum(seen) && checksum_field(seen.protocol) == 2 &&
         seen.transport.size() >= wire::Icmp::kHeaderSize &&
         wire::icmp_kind(seen.source.family(), wire::load8(seen.transport, 0)) ==
             wire::IcmpKind::error;
}

using Judge = std::function<std::optional<std::string>(const Seen&)>;

PacketCheck check(std::string claim, Judge judge) {
  return {std::move(claim), [judge](wire::Bytes bytes) -> std::optional<std::string> {
            const auto seen = look(bytes);
            return seen ? judge(*seen) : std::optional<std::string>{"no IP packet"};
          }};
}

std::optional<std::string> same(const std::string& found, const std::string& wanted) {
  return found == wanted ? std::nullopt : std::optional{found};
}

std::optional<std::string> same(unsigned found, unsigned wanted) {
  return same(std::to_string(found), std::to_string(wanted));
}

std::string port_at(const Seen& seen, std::size_t at) {
  const auto port = wire::try_load16(seen.transport, at);
  return port ? std::to_string(*port) : "cut off";
}

std::size_t header_size(const Seen& seen) {
  if (seen.protocol != net::Protocol::tcp) return has_checksum(seen) ? 8 : 0;
  const auto tcp = wire::Tcp::parse(seen.transport);
  return tcp ? tcp->header_length() : wire::Tcp::kHeaderSize;
}

}  // namespace

std::string checksum_problem(wire::Bytes ip_packet, const wire::VnetHeader& offload) {
  const auto seen = look(ip_packet);
  if (!seen || !seen->is_whole) return "no whole IP packet";
  if (const std::string problem = header_problem(ip_packet); !problem.empty()) return problem;
  if (const std::string problem = transport_problem(*seen, offload); !problem.empty())
    return problem;
  const std::string quoted = header_problem(quote_in(ip_packet));
  return quoted.empty() ? quoted : "quoted " + quoted;
}

wire::Bytes quote_in(wire::Bytes ip_packet) {
  const auto seen = look(ip_packet);
  return seen && is_error(*seen) ? seen->transport.subspan(wire::Icmp::kHeaderSize) : wire::Bytes{};
}

PacketCheck source(std::string_view address) {
  const std::string wanted{address};
  return check("from " + wanted,
               [wanted](const Seen& seen) { return same(seen.source.text(), wanted); });
}

PacketCheck destination(std::string_view address) {
  const std::string wanted{address};
  return check("to " + wanted,
               [wanted](const Seen& seen) { return same(seen.destination.text(), wanted); });
}

PacketCheck source(std::string_view address, net::Port port) {
  const std::string wanted = std::string{address} + " port " + std::to_string(port);
  return check("from " + wanted, [wanted](const Seen& seen) {
    return same(seen.source.text() + " port " + port_at(seen, 0), wanted);
  });
}

PacketCheck destination(std::string_view address, net::Port port) {
  const std::string wanted = std::string{address} + " port " + std::to_string(port);
  return check("to " + wanted, [wanted](const Seen& seen) {
    return same(seen.destination.text() + " port " + port_at(seen, 2), wanted);
  });
}

PacketCheck protocol(net::Protocol wanted) {
  return check("protocol " + net::text(wanted), [wanted](const Seen& seen) {
    return same(net::text(seen.protocol), net::text(wanted));
  });
}

PacketCheck ttl(unsigned wanted) {
  return check("ttl " + std::to_string(wanted),
               [wanted](const Seen& seen) { return same(seen.ttl, wanted); });
}

PacketCheck tos(unsigned wanted) {
  return check("tos " + std::to_string(wanted),
               [wanted](const Seen& seen) { return same(seen.tos, wanted); });
}

PacketCheck tcp_flags(std::string_view letters) {
  const Octets wanted = tcp().flags(letters).datagram();
  return check("flags " + std::string{letters}, [wanted](const Seen& seen) {
    const auto found = wire::Tcp::parse(seen.transport);
    if (!found) return std::optional<std::string>{"no TCP header"};
    return same(found->flags().bits, wire::Tcp::parse(wire::Bytes{wanted})->flags().bits);
  });
}

PacketCheck icmp_type(unsigned type, unsigned code) {
  const auto spell = [](unsigned t, unsigned c) {
    return "type " + std::to_string(t) + " code " + std::to_string(c);
  };
  return check("icmp " + spell(type, code), [=](const Seen& seen) {
    const auto found = wire::Icmp::parse(seen.transport);
    if (!found || checksum_field(seen.protocol) != 2)
      return std::optional<std::string>{"no ICMP header"};
    return same(spell(found->type(), found->code()), spell(type, code));
  });
}

PacketCheck icmp_identifier(unsigned value) {
  return check("icmp identifier " + std::to_string(value), [value](const Seen& seen) {
    return same(port_at(seen, wire::Icmp::kIdentifierOffset), std::to_string(value));
  });
}

PacketCheck payload(std::string_view text) {
  const Octets wanted = octets(text);
  return check("payload \"" + std::string{text} + "\"", [wanted](const Seen& seen) {
    const std::size_t skip = header_size(seen);
    if (seen.transport.size() < skip) return std::optional<std::string>{"header cut off"};
    const auto found = seen.transport.subspan(skip);
    if (Octets{found.begin(), found.end()} == wanted) return std::optional<std::string>{};
    return std::optional<std::string>{std::to_string(found.size()) + " other bytes"};
  });
}

PacketCheck good_checksums(wire::VnetHeader offload) {
  return {"good checksums", [offload](wire::Bytes bytes) -> std::optional<std::string> {
            const std::string problem = checksum_problem(bytes, offload);
            return problem.empty() ? std::nullopt : std::optional{"bad " + problem};
          }};
}

PacketCheck good_checksums() {
  return good_checksums(wire::VnetHeader{});
}

PacketCheck quotes(std::initializer_list<PacketCheck> checks) {
  return {"a quoted packet", [all = std::vector<PacketCheck>{checks}](wire::Bytes bytes) {
            const auto quote = quote_in(bytes);
            const auto seen = look(quote);
            if (!seen) return std::optional<std::string>{"no quote"};
            std::string problems = header_problem(quote) + transport_problem(*seen, {});
            for (const PacketCheck& one : all)
              if (const auto found = one.problem(quote))
                problems += one.claim + ": " + *found + "; ";
            return problems.empty() ? std::nullopt : std::optional{problems};
          }};
}

std::string mismatch(wire::Bytes ip_packet, std::initializer_list<PacketCheck> checks) {
  std::string problems;
  for (const PacketCheck& one : checks)
    if (const auto found = one.problem(ip_packet))
      problems += "wanted " + one.claim + ", found " + *found + "; ";
  return problems.empty() ? problems : problems + "in " + wire::describe_ip(ip_packet);
}

}  // namespace masqgate::test
