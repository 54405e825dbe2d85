// A desk without sockets and corridor: channels that keep what was sent, time by hand.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/divert/desk.hpp"
#include "tests/support/frames.hpp"

namespace masqgate::test {

using namespace masqgate::divert;

template <typename Header>
Octets bytes_of(const Header& header) {
  const auto bytes = std::as_bytes(std::span{&header, 1});
  return {bytes.begin(), bytes.end()};
}

// A frame of these records, as a client would send it.
inline Octets frame_of_records(std::vector<Octets> records,
                               format::Kind kind = format::Kind::verdicts) {
  format::FrameHeader header;
  header.kind = static_cast<std::uint8_t>(kind);
  header.records = static_cast<std::uint16_t>(records.size());
  std::size_t size = sizeof header;
  for (const Octets& record : records) size += record.size();
  header.length = static_cast<std::uint32_t>(size);
  Octets frame = bytes_of(header);
  for (const Octets& record : records) frame.insert(frame.end(), record.begin(), record.end());
  return frame;
}

struct FakeChannel final : Channel {
  std::vector<Octets> frames;
  bool is_full = false, closed = false;
  Sent send(format::Bytes frame) noexcept override {
    if (is_full) return Sent::full;
    frames.emplace_back(frame.begin(), frame.end());
    return Sent::sent;
  }
  void close() noexcept override { closed = true; }
};

// What a listener got: packets by their header, notices, the words of a bye.
struct Heard {
  std::vector<format::PacketHeader> packets;
  std::vector<Octets> bytes;  // of the packets
  std::vector<format::NoticeHeader> notices;
  std::vector<format::FlowHeader> flows;
  std::vector<format::ListenerHeader> listeners;
  std::vector<std::string> byes;
  std::vector<format::BoundHeader> bounds;
  unsigned lost = 0;
};

inline Heard hear(FakeChannel& channel) {
  Heard heard;
  for (const Octets& frame : std::exchange(channel.frames, {})) {
    format::Reader reader{frame};
    heard.lost += reader.header().lost;
    while (const auto record = reader.next()) {
      if (const auto packet = record->as<format::PacketHeader>(format::Type::packet)) {
        heard.packets.push_back(*packet);
        const auto data = record->rest.subspan(packet->options_length, packet->captured_length);
        heard.bytes.emplace_back(data.begin(), data.end());
      } else if (const auto notice = record->as<format::NoticeHeader>(format::Type::notice)) {
        heard.notices.push_back(*notice);
      } else if (const auto flow = record->as<format::FlowHeader>(format::Type::flow)) {
        heard.flows.push_back(*flow);
      } else if (const auto other = record->as<format::ListenerHeader>(format::Type::listener)) {
        heard.listeners.push_back(*other);
      } else if (const auto bound = record->as<format::BoundHeader>(format::Type::bound)) {
        heard.bounds.push_back(*bound);
      } else if (record->type == format::Type::bye) {
        std::string text;
        for (const std::byte b : record->rest)
          if (b != std::byte{}) text += static_cast<char>(b);
        heard.byes.push_back(text);
      }
    }
    if (reader.flaw() != format::Flaw::none)
      throw std::logic_error{std::string{"the desk sent: "} + format::sentence(reader.flaw())};
  }
  return heard;
}

struct FakeCorridor final : Corridor {
  struct Gone {
    Release release;
    std::string payload;
    std::uint32_t mark;
    std::uint64_t flow;
  };
  std::vector<Gone> gone;
  std::vector<std::pair<Injection, Octets>> injected;
  std::optional<format::Code> refuses_injection;
  int completed = 0;

  static std::string payload_of(const Packet& packet) {
    std::string text;
    for (const std::byte b : packet.frame.ip().subspan(packet.transport_offset + 8u))
      text += static_cast<char>(b);
    return text;
  }
  void go_on(Packet& packet, const Place&, const Facts& facts,
             const Release& release) noexcept override {
    gone.push_back({release, payload_of(packet), packet.mark, facts.flow});
  }
  bool replace(Packet& packet, format::Bytes bytes, bool) noexcept override {
    std::ranges::copy(bytes, packet.frame.device_room(0).subspan(10).begin());
    packet.frame.set_ip_size(bytes.size());
    return !parse(packet);
  }
  std::optional<format::Code> inject(const Injection& how, format::Bytes bytes) noexcept override {
    if (refuses_injection) return refuses_injection;
    injected.emplace_back(how, Octets{bytes.begin(), bytes.end()});
    return std::nullopt;
  }
  void complete_checksum(Packet&) noexcept override { ++completed; }
  std::string_view port_name(PortIndex port) const noexcept override {
    return port == kNoPort ? "" : port == 0 ? "lan" : "wan";
  }
  std::optional<net::IpAddress> address_of(PortIndex, net::Family) const noexcept override {
    return address("192.168.1.1");
  }
  bool tuples(const Packet& packet, Tuple& original, Tuple& reply) const noexcept override {
    original = packet.tuple;
    reply = packet.tuple.inverted();
    return true;
  }
  bool is_admitted = true;  // connections are in the table
  bool flow(const Packet& packet, FlowFacts& facts) const noexcept override {
    facts.flow = next_flow;
    facts.original = packet.tuple;
    facts.reply = packet.tuple.inverted();
    facts.packets = {3, 1};
    return next_flow != 0;
  }
  std::uint64_t next_flow = 1;  // that packets belong to; 0: to none
  bool is_flow(const Tuple&) const noexcept override { return is_admitted; }
  std::uint32_t connection_mark = 0;
  void mark_connection(const Packet&, std::uint32_t mark, std::uint32_t mask) noexcept override {
    connection_mark = (connection_mark & ~mask) | (mark & mask);
  }
  std::string_view rule_name(std::uint32_t) const noexcept override { return "look"; }
};

struct DivertLab {
  explicit DivertLab(Limits limits = {.packets = 64, .bytes = 1 << 20, .port_packets = 32})
      : desk{limits, HashKey{3, 4}, corridor, now} {
    terms.port = 2222;
    desk.set_rules({terms});
  }

  struct Client {
    FakeChannel channel;
    Member member = kNoMember;
  };
  using Bind = format::BindHeader;
  static Bind binding(std::int16_t priority = 0) {
    Bind bind;
    bind.port = 2222;
    bind.priority = priority;
    bind.permissions = format::kMayListen | format::kMaySetMark | format::kMaySteer;
    return bind;
  }
  std::unique_ptr<Client> connect(Bind bind = binding(), Peer peer = {}) {
    auto client = std::make_unique<Client>();
    client->member = desk.attach(client->channel, peer);
    alive = desk.receive(client->member, frame_of_records({bytes_of(bind)}, format::Kind::control),
                         now);
    return client;
  }
  void leave(Client& client) { desk.forget(client.member, now); }

  // A packet of this flow that carries this text.
  Desk::Fate divert(std::string_view text, std::uint64_t flow = 1) {
    Packet packet =
        packet_of(frames, udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload(text));
    packet.ingress = 0;
    return divert(packet, flow);
  }
  Desk::Fate divert(Packet& packet, std::uint64_t flow = 1) {
    Facts facts;
    facts.flow = flow;
    facts.hook = 2;
    return desk.divert(packet, terms, place, facts, now);
  }
  Heard flush(Client& client) {
    desk.flush(now);
    return hear(client.channel);
  }
  static format::VerdictHeader verdict(std::uint64_t id, format::Action action) {
    format::VerdictHeader header;
    header.id = id;
    header.action = static_cast<std::uint8_t>(action);
    return header;
  }
  void say(Client& client, const format::VerdictHeader& header) {
    alive = desk.receive(client.member, frame_of_records({bytes_of(header)}), now);
  }
  void say(Client& client, std::uint64_t id, format::Action action) {
    say(client, verdict(id, action));
  }
  void pass(Duration duration) {
    now += duration;
    desk.tick(now);
  }
  std::string texts() {
    std::string all;
    for (const auto& one : std::exchange(corridor.gone, {}))
      all += one.payload + (one.release.kind == Release::Kind::accept ? " " : "! ");
    return all;
  }

  Time now{std::chrono::seconds{1000}};
  FramePool frames{500};
  FakeCorridor corridor;
  Desk desk;
  Terms terms;
  Place place;
  bool alive = true;
};

}  // namespace masqgate::test
