// Two hosts that speak TCP through a router in memory: each sends text in segments of any size, sends
// again what was not acknowledged, puts together what it gets, and acknowledges as RFC 9293 asks.
//
//   Conversation talk{router, client end, server end};
//   talk.open(); talk.say(talk.client, "USER a\r\n"); CHECK(talk.server.received == "USER a\r\n");

#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemon/wire/describe.hpp"
#include "tests/support/test_router.hpp"

namespace masqgate::test {

struct Arrived {
  Tuple tuple;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  wire::TcpFlags flags;
  std::string text;
  std::size_t ip_size = 0;
  wire::VnetHeader offload;
};

inline Arrived read_segment(const MemoryInterface::Stored& stored) {
  FramePool pool{1};
  Packet packet;
  packet.frame = pool.take();
  packet.frame.set_ip_size(stored.bytes.size());
  std::ranges::copy(stored.bytes, packet.frame.ip().begin());
  if (parse(packet)) throw std::logic_error{"a packet left that does not parse"};
  wire::VnetHeader offload = stored.offload;
  if (const auto problem = checksum_problem(stored.bytes, offload); !problem.empty())
    throw std::logic_error{problem + ": " + wire::describe_ip(stored.bytes)};
  Arrived arrived;
  arrived.tuple = packet.tuple;
  arrived.ip_size = stored.bytes.size();
  arrived.offload = offload;
  if (packet.tuple.protocol != net::Protocol::tcp) return arrived;
  const wire::Tcp tcp = *wire::Tcp::parse(packet.transport());
  arrived.sequence = tcp.sequence();
  arrived.acknowledgement = tcp.acknowledgement();
  arrived.flags = tcp.flags();
  for (const std::byte b : tcp.payload()) arrived.text += static_cast<char>(b);
  return arrived;
}

struct End {
  PortIndex port = kLan;
  net::Endpoint own, peer;
  std::uint32_t first = 1000;  // the SYN's number
  std::string sent;            // all that was ever said
  std::string received;
  std::uint32_t acked = 0;   // of sent, with the FIN
  std::uint32_t wanted = 0;  // the peer's next number
  bool has_fin = false, got_fin = false, was_reset = false;
  std::map<std::uint32_t, std::string> early;  // by number

  std::uint32_t number(std::size_t position) const {
    return first + 1 + static_cast<std::uint32_t>(position);
  }
  PacketBuilder segment(std::size_t from, std::size_t size) const {
    const bool last = has_fin && from + size == sent.size();
    return tcp()
        .from(own)
        .to(peer)
        .seq(number(from))
        .ack(wanted)
        .flags(last ? "FP." : "P.")
        .payload(sent.substr(from, size));
  }
  PacketBuilder acknowledgement() const {
    const std::size_t next = sent.size() + (has_fin ? 1 : 0);
    return tcp().from(own).to(peer).seq(number(next)).ack(wanted).flags(".");
  }
  bool is_done() const { return acked == sent.size() + (has_fin ? 1 : 0); }

  // Whether an acknowledgement is due.
  bool take(const Arrived& arrived) {
    if (arrived.flags.rst()) was_reset = true;
    if (arrived.flags.ack()) {
      const std::uint32_t now_acked = arrived.acknowledgement - number(0);
      if (now_acked > sent.size() + 1)
        throw std::logic_error{"what was never said is acknowledged"};
      acked = std::max(acked, now_acked);
    }
    if (arrived.text.empty() && !arrived.flags.fin()) return false;
    if (static_cast<std::int32_t>(arrived.sequence - wanted) <= 0 &&
        arrived.sequence + arrived.text.size() + (arrived.flags.fin() ? 1 : 0) == wanted)
      return true;  // all of it is here
    early[arrived.sequence] = arrived.text;
    for (auto found = early.begin(); found != early.end();) {
      const auto known = static_cast<std::int32_t>(wanted - found->first);
      if (known >= 0 && static_cast<std::size_t>(known) < found->second.size()) {
        received += found->second.substr(static_cast<std::size_t>(known));
        wanted = found->first + static_cast<std::uint32_t>(found->second.size());
        found = early.begin();
      } else {
        ++found;
      }
    }
    if (arrived.flags.fin() && !got_fin && arrived.sequence + arrived.text.size() == wanted) {
      got_fin = true;
      ++wanted;
    }
    return true;
  }
};

class Conversation {
 public:
  // The server as the client knows it.
  Conversation(TestRouter& router, PortIndex client_port, net::Endpoint client_end,
               PortIndex server_port, net::Endpoint server_end)
      : router_{router} {
    client.port = client_port;
    client.own = client_end;
    client.peer = server_end;
    server.port = server_port;
    server.own = server_end;
    server.first = 4'000'000'000u;
  }

  // Handshake; the server learns both its own address and the client's from the SYN.
  void open() {
    router_.arrive(client.port,
                   tcp().from(client.own).to(client.peer).seq(client.first).flags("S"));
    const Arrived syn = one(server.port);
    server.own = syn.tuple.destination();
    server.peer = syn.tuple.source();
    server.wanted = syn.sequence + 1;
    router_.arrive(
        server.port,
        tcp().from(server.own).to(server.peer).seq(server.first).ack(server.wanted).flags("S."));
    const Arrived answer = one(client.port);
    client.wanted = answer.sequence + 1;
    router_.arrive(client.port, client.acknowledgement());
    one(server.port);
  }

  // Says it in one segment, and lets both sides answer until all is quiet.
  void say(End& speaker, const std::string& text) { say(speaker, text, {}); }
  // The same in segments that end at these places of the text.
  void say(End& speaker, const std::string& text, const std::vector<std::size_t>& cuts) {
    const std::size_t base = speaker.sent.size();
    speaker.sent += text;
    std::size_t from = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
      const std::size_t to = i < cuts.size() ? cuts[i] : text.size();
      if (to > from) send(speaker, base + from, to - from);
      from = std::max(from, to);
    }
  }
  void send(End& speaker, std::size_t from, std::size_t size) {
    router_.arrive(speaker.port, speaker.segment(from, size));
    settle();
  }
  // Sends what was not acknowledged again, in segments of this size.
  void repeat(End& speaker, std::size_t size = 1000) {
    for (std::size_t at = speaker.acked; at < speaker.sent.size(); at += size) {
      router_.arrive(speaker.port, speaker.segment(at, std::min(size, speaker.sent.size() - at)));
      settle();
      if (speaker.acked > at + size) at = speaker.acked - size;
    }
    if (speaker.has_fin && !speaker.is_done()) {
      router_.arrive(speaker.port, speaker.segment(speaker.sent.size(), 0));
      settle();
    }
  }
  void settle() {
    for (int round = 0; round < 100; ++round) {
      bool quiet = true;
      for (End* end : {&client, &server})
        for (const auto& stored : router_.left(end->port)) {
          const Arrived arrived = read_segment(stored);
          if (arrived.tuple != Tuple{end->peer.address, end->own.address, end->peer.port,
                                     end->own.port, net::Protocol::tcp, 0}) {
            others.push_back(arrived);
            continue;
          }
          last = arrived;
          quiet = false;
          if (lose && lose()) continue;
          if (end->take(arrived)) router_.arrive(end->port, end->acknowledgement());
        }
      if (quiet) return;
    }
    throw std::logic_error{"they never stop"};
  }
  Arrived one(PortIndex port) {
    const auto frames = router_.left(port);
    if (frames.size() != 1)
      throw std::logic_error{std::to_string(frames.size()) + " packets instead of one\n" +
                             router_.trace.text()};
    return read_segment(frames.front());
  }

  End client, server;
  Arrived last;
  std::vector<Arrived> others;  // what left for somebody else
  std::function<bool()> lose;   // whether the next packet gets lost behind the router

 private:
  TestRouter& router_;
};

}  // namespace masqgate::test
