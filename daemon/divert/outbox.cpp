// Writes records of packets, options and padding included.

#include "daemon/divert/outbox.hpp"

#include <algorithm>

#include "daemon/wire/bytes.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/tcp.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::divert {
namespace {

using format::padded;

template <typename Header>
void put(std::span<std::byte> to, const Header& header) {
  std::memcpy(to.data(), &header, sizeof header);
}

// Options one behind the other; with no room given it only counts.
class OptionWriter {
 public:
  explicit OptionWriter(std::span<std::byte> room) : room_{room} {}
  void add(format::Option option, format::Bytes value) {
    const std::size_t size = sizeof(format::OptionHeader) + padded(value.size(), 4);
    if (!room_.empty()) {
      put(room_.subspan(used_), format::OptionHeader{static_cast<std::uint16_t>(option),
                                                     static_cast<std::uint16_t>(value.size())});
      std::ranges::copy(value, room_.subspan(used_ + sizeof(format::OptionHeader)).begin());
    }
    used_ += size;
  }
  std::size_t used() const { return used_; }

 private:
  std::span<std::byte> room_;
  std::size_t used_ = 0;
};

std::size_t store(std::span<std::byte, 16> to, net::IpAddress address) {
  if (address.is_v4()) {
    wire::store_v4(to, 0, address);
    return 4;
  }
  wire::store_v6(to, 0, address);
  return 16;
}

void add_tuple(OptionWriter& to, format::Option option, const Tuple& tuple) {
  const format::TupleValue value = tuple_value(tuple);
  to.add(option, std::as_bytes(std::span{&value, 1}));
}

std::size_t write_options(const PacketRecord::Options& options, std::span<std::byte> room) {
  OptionWriter to{room};
  const auto text = [&](format::Option option, std::string_view value) {
    if (!value.empty()) to.add(option, std::as_bytes(std::span{value}));
  };
  text(format::Option::in_name, options.in_name);
  text(format::Option::out_name, options.out_name);
  if (options.in_address) {
    std::array<std::byte, 16> bytes{};
    to.add(format::Option::in_address,
           std::span<const std::byte>{bytes}.first(store(bytes, *options.in_address)));
  }
  if (!options.link.empty()) to.add(format::Option::link_header, options.link);
  if (options.original) add_tuple(to, format::Option::original_tuple, *options.original);
  if (options.reply) add_tuple(to, format::Option::reply_tuple, *options.reply);
  if (options.user) {
    const format::U32 user{*options.user};
    to.add(format::Option::user, std::as_bytes(std::span{&user, 1}));
  }
  text(format::Option::rule_name, options.rule);
  return to.used();
}

// Where what the transport protocol carries begins.
std::size_t payload_offset(const Packet& packet) {
  if (packet.fragment_offset != 0) return packet.transport_offset;
  if (packet.tuple.protocol == net::Protocol::udp)
    return packet.transport_offset + wire::Udp::kHeaderSize;
  if (packet.tuple.protocol == net::Protocol::tcp)
    if (const auto tcp = wire::Tcp::parse(packet.transport()))
      return packet.transport_offset + tcp->header_length();
  return packet.transport_offset;
}

std::uint32_t flags_of(const Packet& packet, const Facts& facts) {
  std::uint32_t flags = packet.is_v4() ? format::kNetworkSumGood : format::kIpv6;
  const auto mark = [&](bool is, std::uint32_t flag) {
    if (is) flags |= flag;
  };
  mark(packet.is_fragment, format::kFragment);
  mark(packet.largest_fragment != 0, format::kReassembled);
  mark(facts.view == View::before, format::kAsItCame);
  mark(facts.view == View::after, format::kAsItLeaves);
  mark(packet.frame.offload.needs_checksum(), format::kTransportSumPartial);
  mark(packet.from == Side::host, format::kLocalOrigin);
  mark(facts.first_of_flow, format::kFirstOfFlow);
  mark(packet.divert_origin != 0, format::kInjected);
  mark(packet.link_group, format::kGroupDestination);
  return flags;
}

}  // namespace

format::TupleValue tuple_value(const Tuple& tuple) {
  format::TupleValue value{};
  store(std::as_writable_bytes(std::span{value.source}), tuple.source_address);
  store(std::as_writable_bytes(std::span{value.destination}), tuple.destination_address);
  value.source_port = tuple.source_port;
  value.destination_port = tuple.destination_port;
  value.protocol = net::number(tuple.protocol);
  value.version = tuple.source_address.is_v4() ? 4 : 6;
  return value;
}

Outbox::Outbox(Channel* channel)
    : channel_{channel},
      bytes_{std::make_unique<std::byte[]>(format::kLargestFrame)},
      frame_{bytes_.get()} {}

std::span<std::byte> Outbox::add(format::Kind kind, std::size_t size) {
  if (records_++ == 0) {
    std::byte* room = channel_ == nullptr ? nullptr : channel_->room();
    frame_ = room == nullptr ? bytes_.get() : room;
  }
  kind_ = kind;
  const std::span<std::byte> room{frame_ + used_, size};
  used_ += size;
  return room;
}

format::Bytes Outbox::finish(std::uint16_t lost, bool more) {
  format::FrameHeader header;
  header.kind = static_cast<std::uint8_t>(kind_);
  header.flags = more ? format::kMoreBehind : 0;
  header.length = static_cast<std::uint32_t>(used_);
  header.records = records_;
  header.lost = lost;
  put(std::span{frame_, used_}, header);
  return {frame_, used_};
}

void Outbox::clear() {
  used_ = sizeof(format::FrameHeader);
  records_ = 0;
}

format::PacketHeader describe(const Packet& packet, const Terms& terms, const Place& place,
                              const Facts& facts, std::size_t snapshot) {
  const std::size_t size = packet.frame.ip().size();
  const std::size_t captured = snapshot == 0 ? size : std::min(size, snapshot);
  format::PacketHeader header{};
  header.flow = facts.flow;
  header.original_length = static_cast<std::uint32_t>(size);
  header.captured_length = static_cast<std::uint32_t>(captured);
  header.flags = flags_of(packet, facts) | (captured < size ? format::kTruncated : 0u);
  header.mark = packet.mark;
  header.rule = place.rule().rule;
  header.in_interface = packet.ingress == kNoPort ? 0u : packet.ingress + 1u;
  header.out_interface = packet.egress == kNoPort ? 0u : packet.egress + 1u;
  header.tracking = facts.tracking;
  header.rule_position = static_cast<std::uint16_t>(place.rule().position + 1u);
  header.port = terms.port;
  header.hook = facts.hook;
  header.direction = facts.direction;
  header.hops = packet.hops;
  header.protocol = net::number(packet.tuple.protocol);
  header.transport_offset = packet.transport_offset;
  header.payload_offset = static_cast<std::uint16_t>(payload_offset(packet));
  header.ethertype = packet.is_v4() ? 0x0800 : 0x86dd;
  if (packet.frame.offload.gso() != wire::VnetHeader::Gso::none)
    header.segment_size = packet.frame.offload.gso_size;
  if (packet.is_fragment)
    header.fragment = static_cast<std::uint16_t>(packet.fragment_offset / 8 |
                                                 (packet.more_fragments ? 0x2000 : 0));
  return header;
}

std::size_t size_of(const PacketRecord& record) {
  return padded(sizeof record.header + write_options(record.options, {}) + record.packet.size());
}

void write(const PacketRecord& record, std::span<std::byte> to) {
  const std::size_t front = sizeof record.header;
  const std::size_t options = write_options(record.options, {});
  format::PacketHeader header = record.header;
  header.prefix = {static_cast<std::uint32_t>(to.size()),
                   static_cast<std::uint16_t>(format::Type::packet), sizeof header};
  header.options_length = static_cast<std::uint16_t>(options);
  put(to, header);
  if (options != 0) {
    std::ranges::fill(to.subspan(front, options), std::byte{});
    write_options(record.options, to.subspan(front, options));
  }
  std::ranges::copy(record.packet, to.subspan(front + options).begin());
  std::ranges::fill(to.subspan(front + options + record.packet.size()), std::byte{});
}

}  // namespace masqgate::divert
