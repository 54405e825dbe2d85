#include "tests/support/packet_builder.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace masqgate::test {
namespace {

constexpr std::size_t kNoChecksum = ~std::size_t{0};

void put8(Octets& out, unsigned value) {
  out.push_back(static_cast<std::byte>(value));
}
void put16(Octets& out, std::size_t value) {
  put8(out, static_cast<unsigned>(value >> 8 & 0xff));
  put8(out, static_cast<unsigned>(value & 0xff));
}
void put32(Octets& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void put(Octets& out, const Octets& bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
void put(Octets& out, const net::IpAddress& a) {
  if (!a.is_v4()) {
    put32(out, static_cast<std::uint32_t>(a.high() >> 32));
    put32(out, static_cast<std::uint32_t>(a.high()));
    put32(out, static_cast<std::uint32_t>(a.low() >> 32));
  }
  put32(out, static_cast<std::uint32_t>(a.low()));
}
void put(Octets& out, const net::MacAddress& a) {
  for (const std::uint8_t byte : a.bytes) put8(out, byte);
}
void set16(Octets& out, std::size_t at, std::size_t value) {
  out.at(at) = static_cast<std::byte>(value >> 8 & 0xff);
  out.at(at + 1) = static_cast<std::byte>(value & 0xff);
}

void require(bool sound, const char* what) {
  if (!sound) throw std::logic_error{what};
}

}  // namespace

Octets octets(std::string_view text) {
  Octets out;
  for (const char c : text) put8(out, static_cast<unsigned char>(c));
  return out;
}

net::IpAddress address(std::string_view text) {
  const auto parsed = net::IpAddress::parse(text);
  require(parsed.has_value(), "not an address");
  return *parsed;
}

net::MacAddress mac(std::string_view text) {
  const auto parsed = net::MacAddress::parse(text);
  require(parsed.has_value(), "not a MAC address");
  return *parsed;
}

std::uint16_t plain_sum(wire::Bytes bytes, std::uint32_t start) {
  std::uint32_t total = start;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const auto byte = std::to_integer<std::uint32_t>(bytes[at]);
    total += at % 2 == 0 ? byte << 8 : byte;
    if (total > 0xffff) total -= 0xffff;
  }
  return static_cast<std::uint16_t>(total);
}

std::uint16_t plain_pseudo_sum(net::IpAddress source, net::IpAddress destination,
                               net::Protocol protocol, std::size_t length) {
  Octets header;
  put(header, source);
  put(header, destination);
  put32(header, static_cast<std::uint32_t>(length));
  put32(header, net::number(protocol));
  return plain_sum(header);
}

PacketBuilder udp() {
  return PacketBuilder{PacketBuilder::Kind::udp};
}
PacketBuilder tcp() {
  return PacketBuilder{PacketBuilder::Kind::tcp};
}
PacketBuilder icmp_echo(std::uint16_t identifier, std::uint16_t sequence) {
  PacketBuilder out{PacketBuilder::Kind::icmp_echo};
  out.icmp_rest_ = std::uint32_t{identifier} << 16 | sequence;
  return out;
}
PacketBuilder icmp_echo_reply(std::uint16_t identifier, std::uint16_t sequence) {
  PacketBuilder out{PacketBuilder::Kind::icmp_echo_reply};
  out.icmp_rest_ = std::uint32_t{identifier} << 16 | sequence;
  return out;
}
PacketBuilder icmp_error(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  PacketBuilder out{PacketBuilder::Kind::icmp_message};
  out.icmp_type_ = type;
  out.icmp_code_ = code;
  out.icmp_rest_ = rest;
  return out;
}
PacketBuilder ip(net::Protocol protocol) {
  PacketBuilder out{PacketBuilder::Kind::other};
  out.other_ = protocol;
  return out;
}

PacketBuilder& PacketBuilder::from(const net::Endpoint& end) {
  source_ = end.address;
  source_port_ = end.port;
  return *this;
}
PacketBuilder& PacketBuilder::to(const net::Endpoint& end) {
  destination_ = end.address;
  destination_port_ = end.port;
  return *this;
}
PacketBuilder& PacketBuilder::from(std::string_view text, net::Port port) {
  return from(net::Endpoint{test::address(text), port});
}
PacketBuilder& PacketBuilder::to(std::string_view text, net::Port port) {
  return to(net::Endpoint{test::address(text), port});
}

PacketBuilder& PacketBuilder::extension(net::Protocol kind, Octets body) {
  while ((body.size() + 2) % 8 != 0) put8(body, 0);
  extensions_.push_back({kind, std::move(body)});
  return *this;
}

PacketBuilder& PacketBuilder::fragment(std::size_t offset, bool more) {
  require(offset % 8 == 0 && offset < 65536, "fragments start at multiples of eight");
  is_fragment_ = true;
  fragment_offset_ = offset;
  more_fragments_ = more;
  return *this;
}

PacketBuilder& PacketBuilder::payload_size(std::size_t size) {
  payload_.resize(size);
  for (std::size_t i = 0; i < size; ++i) payload_[i] = static_cast<std::byte>(i);
  return *this;
}

PacketBuilder& PacketBuilder::flags(std::string_view letters) {
  constexpr std::string_view kLetters = "FSRPAUEC";
  flags_ = 0;
  for (const char letter : letters) {
    const std::size_t bit = kLetters.find(letter == '.' ? 'A' : letter);
    require(bit != std::string_view::npos, "no such TCP flag");
    flags_ = static_cast<std::uint8_t>(flags_ | 1u << bit);
  }
  return *this;
}

PacketBuilder& PacketBuilder::quoting(const PacketBuilder& about, std::size_t most) {
  payload_ = about.ip_bytes();
  if (payload_.size() > most) payload_.resize(most);
  return *this;
}

PacketBuilder& PacketBuilder::gso(unsigned segment_size) {
  require(kind_ == Kind::tcp || kind_ == Kind::udp, "only TCP and UDP are cut into segments");
  gso_size_ = static_cast<std::uint16_t>(segment_size);
  return partial_checksum();
}

net::IpAddress PacketBuilder::source() const {
  if (source_) return *source_;
  return destination_ && !destination_->is_v4() ? test::address("2001:db8:1::10")
                                                : test::address("192.168.1.10");
}
net::IpAddress PacketBuilder::destination() const {
  if (destination_) return *destination_;
  return source_ && !source_->is_v4() ? test::address("2001:db8:2::1")
                                      : test::address("198.51.100.1");
}

net::Family PacketBuilder::family() const {
  require(source().family() == destination().family(), "addresses of two families");
  return source().family();
}

net::Protocol PacketBuilder::protocol() const {
  switch (kind_) {
    case Kind::udp:
      return net::Protocol::udp;
    case Kind::tcp:
      return net::Protocol::tcp;
    case Kind::other:
      return other_;
    default:
      return family() == net::Family::v4 ? net::Protocol::icmp : net::Protocol::icmpv6;
  }
}

Tuple PacketBuilder::tuple() const {
  Tuple tuple{source(), destination(), source_port_, destination_port_, protocol()};
  if (fragment_offset_ != 0) tuple.source_port = tuple.destination_port = 0;
  const auto identifier = static_cast<net::Port>(icmp_rest_ >> 16);
  const auto echo = static_cast<net::Port>(family() == net::Family::v4 ? 8 << 8 : 128 << 8);
  if (kind_ == Kind::icmp_echo) tuple = {source(), destination(), identifier, echo, protocol()};
  if (kind_ == Kind::icmp_echo_reply)
    tuple = {source(), destination(), echo, identifier, protocol(), true};
  return tuple;
}

std::size_t PacketBuilder::checksum_offset() const {
  switch (kind_) {
    case Kind::udp:
      return 6;
    case Kind::tcp:
      return 16;
    case Kind::other:
      return kNoChecksum;
    default:
      return 2;
  }
}

// The transport header, its checksum still zero.
Octets PacketBuilder::header() const {
  Octets out;
  switch (kind_) {
    case Kind::udp:
      put16(out, source_port_);
      put16(out, destination_port_);
      put16(out, 8 + payload_.size());
      put16(out, 0);
      break;
    case Kind::tcp: {
      Octets options = tcp_options_;
      while (options.size() % 4 != 0) put8(options, 0);
      put16(out, source_port_);
      put16(out, destination_port_);
      put32(out, sequence_);
      put32(out, acknowledgement_);
      put16(out, (20 + options.size()) / 4 << 12 | flags_);
      put16(out, window_);
      put32(out, 0);
      put(out, options);
      break;
    }
    case Kind::other:
      break;
    default: {
      const bool v4 = family() == net::Family::v4;
      const unsigned type = kind_ == Kind::icmp_message ? icmp_type_
                            : kind_ == Kind::icmp_echo  ? (v4 ? 8 : 128)
                                                        : (v4 ? 0 : 129);
      put8(out, type);
      put8(out, icmp_code_);
      put16(out, 0);
      put32(out, icmp_rest_);
    }
  }
  return out;
}

void PacketBuilder::finish_checksum(Octets& bytes) const {
  const std::size_t at = checksum_offset();
  if (at == kNoChecksum || (kind_ == Kind::udp && checksum_ == Checksum::none)) return;
  const bool pseudo = protocol() != net::Protocol::icmp;
  const std::uint16_t start =
      pseudo ? plain_pseudo_sum(source(), destination(), protocol(), bytes.size()) : 0;
  if (checksum_ == Checksum::partial) return set16(bytes, at, start);
  auto checksum = static_cast<std::uint16_t>(~plain_sum(bytes, start));
  if (checksum_ == Checksum::bad) checksum ^= 0x0101;
  if (kind_ == Kind::udp && checksum == 0) checksum = 0xffff;
  set16(bytes, at, checksum);
}

Octets PacketBuilder::datagram() const {
  if (fragment_offset_ != 0) return payload_;
  Octets out = header();
  put(out, payload_);
  finish_checksum(out);
  return out;
}

Octets PacketBuilder::padded_options() const {
  Octets out = ip_options_;
  while (out.size() % 4 != 0) put8(out, 0);
  require(out.size() <= 40, "IPv4 options are 40 bytes at most");
  return out;
}

// All extension headers in a row, a fragment header last.
Octets PacketBuilder::extensions() const {
  Octets out;
  for (std::size_t i = 0; i < extensions_.size(); ++i) {
    const bool last = i + 1 == extensions_.size();
    put8(out, net::number(!last          ? extensions_[i + 1].kind
                          : is_fragment_ ? net::Protocol::fragment
                                         : protocol()));
    put8(out, static_cast<unsigned>((extensions_[i].body.size() + 2) / 8 - 1));
    put(out, extensions_[i].body);
  }
  if (is_fragment_) {
    put8(out, net::number(protocol()));
    put8(out, 0);
    put16(out, fragment_offset_ | (more_fragments_ ? 1u : 0u));
    put32(out, identification_);
  }
  return out;
}

std::size_t PacketBuilder::transport_offset() const {
  return family() == net::Family::v4 ? 20 + padded_options().size() : 40 + extensions().size();
}

Octets PacketBuilder::ipv4_bytes() const {
  require(extensions_.empty(), "IPv4 has no extension headers");
  const Octets body = datagram();
  const Octets options = padded_options();
  Octets out;
  put8(out, static_cast<unsigned>(0x40 | (20 + options.size()) / 4));
  put8(out, tos_);
  put16(out, 20 + options.size() + body.size());
  put16(out, identification_);
  put16(out,
        fragment_offset_ / 8 | (dont_fragment_ ? 0x4000u : 0u) | (more_fragments_ ? 0x2000u : 0u));
  put8(out, ttl_);
  put8(out, net::number(protocol()));
  put16(out, 0);
  put(out, source());
  put(out, destination());
  put(out, options);
  set16(out, 10, static_cast<std::uint16_t>(~plain_sum(out)) ^ (bad_ip_ ? 0x0101u : 0u));
  put(out, body);
  return out;
}

Octets PacketBuilder::ipv6_bytes() const {
  require(ip_options_.empty(), "IPv6 has no header options");
  const Octets body = datagram();
  const Octets between = extensions();
  Octets out;
  put32(out, 0x6000'0000u | std::uint32_t{tos_} << 20);
  put16(out, between.size() + body.size());
  put8(out, net::number(!extensions_.empty() ? extensions_.front().kind
                        : is_fragment_       ? net::Protocol::fragment
                                             : protocol()));
  put8(out, ttl_);
  put(out, source());
  put(out, destination());
  put(out, between);
  put(out, body);
  return out;
}

Octets PacketBuilder::ip_bytes() const {
  Octets out = family() == net::Family::v4 ? ipv4_bytes() : ipv6_bytes();
  require(out.size() <= 65535, "larger than an IP packet can be");
  return out;
}

Octets PacketBuilder::frame_bytes(std::string_view destination_mac,
                                  std::string_view source_mac) const {
  Octets out;
  put(out, mac(destination_mac));
  put(out, mac(source_mac));
  if (vlan_) {
    put16(out, 0x8100);
    put16(out, *vlan_);
  }
  put16(out, family() == net::Family::v4 ? 0x0800 : 0x86dd);
  put(out, ip_bytes());
  return out;
}

wire::VnetHeader PacketBuilder::offload(std::size_t link_size) const {
  wire::VnetHeader out;
  if (checksum_ != Checksum::partial) return out;
  out.flags = wire::VnetHeader::kNeedsChecksum;
  out.checksum_start = static_cast<std::uint16_t>(link_size + transport_offset());
  out.checksum_offset = static_cast<std::uint16_t>(checksum_offset());
  if (gso_size_ == 0) return out;
  using Gso = wire::VnetHeader::Gso;
  const bool v4 = family() == net::Family::v4;
  out.gso_type = static_cast<std::uint8_t>(kind_ == Kind::udp ? Gso::udp_l4
                                           : v4               ? Gso::tcp4
                                                              : Gso::tcp6);
  out.gso_size = gso_size_;
  out.header_length = static_cast<std::uint16_t>(link_size + transport_offset() + header().size());
  return out;
}

void PacketBuilder::fill(Frame& frame) const {
  const Octets bytes = ip_bytes();
  frame.set_ip_size(bytes.size());
  std::copy(bytes.begin(), bytes.end(), frame.ip().begin());
  frame.offload = offload();
}

}  // namespace masqgate::test
