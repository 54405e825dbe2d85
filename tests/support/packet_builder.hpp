// Builds packets for tests, field by field:
//   udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("x").ip_bytes()
//
// The family is that of the addresses. Checksums are counted here with a plain loop of its own, so
// that daemon/wire is tested against something else than itself. What contradicts itself (IPv4 to
// IPv6, GSO of an ICMP packet) throws std::logic_error.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/packet/frame.hpp"
#include "daemon/packet/tuple.hpp"
#include "daemon/wire/bytes.hpp"
#include "daemon/wire/vnet_header.hpp"

namespace masqgate::test {

using Octets = std::vector<std::byte>;

Octets octets(std::string_view text);
net::IpAddress address(std::string_view text);  // throws where the text is none
net::MacAddress mac(std::string_view text);     // the same

// The one's complement sum of 16-bit words, folded: RFC 1071 word by word.
std::uint16_t plain_sum(wire::Bytes bytes, std::uint32_t start = 0);
std::uint16_t plain_pseudo_sum(net::IpAddress source, net::IpAddress destination,
                               net::Protocol protocol, std::size_t length);

class PacketBuilder {
 public:
  enum class Kind : std::uint8_t { udp, tcp, icmp_echo, icmp_echo_reply, icmp_message, other };
  explicit PacketBuilder(Kind kind) : kind_{kind} {}

  // Addresses; 192.168.1.10 and 198.51.100.1 unless told.
  PacketBuilder& from(std::string_view address, net::Port port = 0);
  PacketBuilder& to(std::string_view address, net::Port port = 0);
  PacketBuilder& from(const net::Endpoint& end);
  PacketBuilder& to(const net::Endpoint& end);

  // IP header.
  PacketBuilder& ttl(unsigned value) { return set(ttl_, value); }  // hop limit, for IPv6
  PacketBuilder& tos(unsigned value) { return set(tos_, value); }  // traffic class, for IPv6
  PacketBuilder& identification(unsigned value) { return set(identification_, value); }
  PacketBuilder& dont_fragment(bool value = true) { return set(dont_fragment_, value); }
  // IPv4: padded to words with zeros. Alignment and sense are the caller's.
  PacketBuilder& ip_options(Octets bytes) { return set(ip_options_, std::move(bytes)); }
  // IPv6: an extension header in front of the transport header. body: what follows its first two
  // bytes (next header and length), padded to eights.
  PacketBuilder& extension(net::Protocol kind, Octets body = {});
  // offset in bytes, a multiple of eight. A later fragment has the payload only, no transport
  // header.
  PacketBuilder& fragment(std::size_t offset, bool more);

  // Transport.
  PacketBuilder& payload(std::string_view text) { return set(payload_, octets(text)); }
  PacketBuilder& payload(Octets bytes) { return set(payload_, std::move(bytes)); }
  PacketBuilder& payload_size(std::size_t size);   // that many bytes, counting up
  PacketBuilder& flags(std::string_view letters);  // of "FSRPA.UEC"; '.' is A
  PacketBuilder& seq(std::uint32_t value) { return set(sequence_, value); }
  PacketBuilder& ack(std::uint32_t value) { return set(acknowledgement_, value); }
  PacketBuilder& window(unsigned value) { return set(window_, value); }
  PacketBuilder& tcp_options(Octets bytes) { return set(tcp_options_, std::move(bytes)); }
  PacketBuilder& no_checksum() { return set(checksum_, Checksum::none); }  // UDP: zero
  PacketBuilder& bad_checksum() { return set(checksum_, Checksum::bad); }  // transport
  PacketBuilder& bad_ip_checksum(bool value = true) { return set(bad_ip_, value); }
  // The packet that an ICMP error is about; at most that many of its bytes.
  PacketBuilder& quoting(const PacketBuilder& about, std::size_t most = 65535);
  PacketBuilder& quoting(Octets ip_packet) { return payload(std::move(ip_packet)); }

  // Work left to the device (virtio NEEDS_CSUM): the field holds the pseudo header's sum.
  PacketBuilder& partial_checksum() { return set(checksum_, Checksum::partial); }
  PacketBuilder& gso(unsigned segment_size);  // implies partial_checksum()

  // Link layer: an 802.1Q tag in frame_bytes().
  PacketBuilder& vlan(unsigned id) { return set(vlan_, id); }

  net::Family family() const;
  net::Protocol protocol() const;  // of the transport header
  Tuple tuple() const;             // as daemon/packet would read it
  Octets datagram() const;         // transport header and payload
  Octets ip_bytes() const;
  Octets frame_bytes(std::string_view destination_mac = "02:00:00:00:00:02",
                     std::string_view source_mac = "02:00:00:00:00:01") const;
  // Counted from the IP packet; with a link header in front for link_size 14.
  wire::VnetHeader offload(std::size_t link_size = 0) const;
  void fill(Frame& frame) const;  // packet and offload, as a port leaves them

 private:
  enum class Checksum : std::uint8_t { full, none, bad, partial };
  struct Extension {
    net::Protocol kind{};
    Octets body;
  };

  template <typename Field, typename Value>
  PacketBuilder& set(Field& field, Value value) {
    field = static_cast<Field>(std::move(value));
    return *this;
  }
  net::IpAddress source() const;
  net::IpAddress destination() const;
  std::size_t transport_offset() const;
  std::size_t checksum_offset() const;
  Octets header() const;
  Octets padded_options() const;
  Octets extensions() const;
  void finish_checksum(Octets& bytes) const;
  Octets ipv4_bytes() const;
  Octets ipv6_bytes() const;

  friend PacketBuilder icmp_error(std::uint8_t, std::uint8_t, std::uint32_t);
  friend PacketBuilder icmp_echo(std::uint16_t, std::uint16_t);
  friend PacketBuilder icmp_echo_reply(std::uint16_t, std::uint16_t);
  friend PacketBuilder ip(net::Protocol);

  Kind kind_;
  std::optional<net::IpAddress> source_, destination_;
  net::Port source_port_ = 0, destination_port_ = 0;
  net::Protocol other_{};
  std::uint8_t ttl_ = 64, tos_ = 0;
  std::uint16_t identification_ = 0;
  bool dont_fragment_ = false, is_fragment_ = false, more_fragments_ = false, bad_ip_ = false;
  std::size_t fragment_offset_ = 0;
  Octets ip_options_, tcp_options_, payload_;
  std::vector<Extension> extensions_;
  std::uint8_t flags_ = 0, icmp_type_ = 0, icmp_code_ = 0;
  std::uint32_t sequence_ = 0, acknowledgement_ = 0, icmp_rest_ = 0;
  std::uint16_t window_ = 65535, gso_size_ = 0;
  Checksum checksum_ = Checksum::full;
  std::optional<std::uint16_t> vlan_;
};

PacketBuilder udp();
PacketBuilder tcp();  // no flags unless told
PacketBuilder icmp_echo(std::uint16_t identifier, std::uint16_t sequence = 1);
PacketBuilder icmp_echo_reply(std::uint16_t identifier, std::uint16_t sequence = 1);
// An ICMP or ICMPv6 message by its numbers; rest: the second word of the header (the next hop's MTU
// in its low half).
PacketBuilder icmp_error(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);
PacketBuilder ip(net::Protocol protocol);  // payload only

}  // namespace masqgate::test
