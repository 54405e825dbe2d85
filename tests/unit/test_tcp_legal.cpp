// The property of TCP tracking: no segment of a legal conversation is ever refused (T-02), whatever
// the network loses, doubles and reorders, with and without window scaling, across the end of the
// sequence numbers.
//
//   client ─▶ [ … ] ─▶ router ─▶ [ … ] ─▶ server     each [ … ] loses and reorders

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "daemon/base/random.hpp"
#include "daemon/conntrack/tcp_window.hpp"
#include "tests/unit/conntrack_lab.hpp"

using namespace masqgate;
using namespace masqgate::conntrack;
using namespace masqgate::test;

namespace {

struct Wire {
  const char* flags;
  std::uint32_t seq = 0, ack = 0, size = 0, window = 0;
  int scale = -1;  // the option of a SYN; -1: none
  bool has(char letter) const { return std::string_view{flags}.find(letter) != std::string::npos; }
};

// A TCP that takes what comes in order, and decides by dice what it does next.
class Endpoint {
 public:
  Endpoint(Random& random, bool opens) : random_{random}, opens_{opens} {
    iss_ = una_ = nxt_ = 0xffffffffu - random.below(1u << random.below(17));
    remaining_ = random.below(60000);
    scale_ = random.below(4) == 0 ? -1 : static_cast<int>(random.below(10));
    buffer_ = 1000 + random.below(scale_ > 0 ? 65535u << scale_ : 65535);
  }

  bool is_finished() const { return finished_ && una_ == nxt_ && peer_finished_; }
  bool is_aborted() const { return aborted_; }

  void receive(const Wire& in, std::deque<Wire>& out) {
    if (in.has('R')) {
      aborted_ |= in.seq == rcv_nxt_;
      return;
    }
    if (in.has('S')) return receive_syn(in, out);
    if (!synchronised_ || aborted_) return;
    receive_ack(in);
    const std::uint32_t end = in.seq + in.size;
    if (!is_after(in.seq, rcv_nxt_) && !is_after(rcv_nxt_, end)) {
      const std::uint32_t taken = is_after(end, rcv_edge_) ? rcv_edge_ : end;
      if (is_after(taken, rcv_nxt_)) unread_ += taken - rcv_nxt_, rcv_nxt_ = taken;
      if (in.has('F') && rcv_nxt_ == end) ++rcv_nxt_, peer_finished_ = true;
    }
    if ((in.size != 0 || in.has('F') || in.seq != rcv_nxt_) && random_.below(4) != 0)
      out.push_back(make(".", nxt_, 0));
  }

  void act(std::deque<Wire>& out) {
    unread_ -= random_.below(unread_ + 1);
    if (aborted_ || (!opens_ && !synchronised_)) return;
    if (una_ == iss_) return send_syn(out);
    if (!synchronised_) return;
    const std::uint32_t dice = random_.below(100);
    if (dice < 50)
      send_new(out);
    else if (dice < 75)
      send_again(out, una_);
    else if (dice < 80 && nxt_ != una_)
      send_again(out, una_ + random_.below(nxt_ - una_));
    else if (dice < 85)
      out.push_back(make(".", nxt_, 0));
    else if (dice < 87 && una_ == nxt_)
      out.push_back(make(".", una_ - 1, 0));  // keep-alive
    else if (dice == 99 && random_.below(60) == 0) {
      out.push_back(make("R", nxt_, 0));
      aborted_ = true;
    }
  }

 private:
  Wire make(const char* flags, std::uint32_t seq, std::uint32_t size) {
    Wire wire{flags, seq, synchronised_ ? rcv_nxt_ : 0, size};
    const std::uint32_t free = buffer_ > unread_ ? buffer_ - unread_ : 0;
    if (wire.has('S')) {
      wire.window = std::min(buffer_, 65535u);
      wire.scale = synchronised_ && peer_scale_ < 0 ? -1 : scale_;
      if (synchronised_) rcv_edge_ = rcv_nxt_ + wire.window;
    } else if (synchronised_) {
      const int shift = peer_scale_ < 0 || scale_ < 0 ? 0 : scale_;
      if (is_after(rcv_nxt_ + free, rcv_edge_)) rcv_edge_ = rcv_nxt_ + free;
      wire.window = std::min((rcv_edge_ - rcv_nxt_) >> shift, 65535u);
    }
    return wire;
  }

  void send_syn(std::deque<Wire>& out) {
    nxt_ = iss_ + 1;
    out.push_back(make(synchronised_ ? "S." : "S", iss_, 0));
  }

  void send_new(std::deque<Wire>& out) {
    const std::uint32_t room = is_after(edge_, nxt_) ? edge_ - nxt_ : 0;
    // A closed window is probed with one byte.
    const std::uint32_t most = room == 0 && nxt_ == edge_ ? 1 : room;
    const std::uint32_t size = std::min({1 + random_.below(1500), most, remaining_});
    if (finished_ || (size == 0 && remaining_ != 0)) return;
    remaining_ -= size;
    finished_ = remaining_ == 0 && (size < most || most == 0);
    if (size == 0 && !finished_) return;
    out.push_back(make(finished_ ? "F." : "P.", nxt_, size));
    nxt_ += size + (finished_ ? 1 : 0);
  }

  void send_again(std::deque<Wire>& out, std::uint32_t from) {
    const std::uint32_t data_end = nxt_ - (finished_ ? 1 : 0);
    if (is_after(from, data_end)) from = data_end;
    const std::uint32_t size = std::min(1 + random_.below(1500), data_end - from);
    const bool last = finished_ && from + size == data_end;
    if (size != 0 || last) out.push_back(make(last ? "F." : ".", from, size));
  }

  void receive_ack(const Wire& in) {
    if (is_after(in.ack, nxt_)) return;
    if (is_after(in.ack, una_)) una_ = in.ack;
    const int shift = in.has('S') || peer_scale_ < 0 || scale_ < 0 ? 0 : peer_scale_;
    const std::uint32_t edge = in.ack + (in.window << shift);
    if (una_ == iss_ + 1 && !has_edge_) edge_ = edge, has_edge_ = true;
    if (is_after(edge, edge_)) edge_ = edge;
  }

  void receive_syn(const Wire& in, std::deque<Wire>& out) {
    if (synchronised_) {
      if (in.has('.')) receive_ack(in);
      out.push_back(una_ == iss_ ? make("S.", iss_, 0) : make(".", nxt_, 0));
      return;
    }
    if (in.has('.') && in.ack != iss_ + 1) return;
    synchronised_ = true;
    rcv_nxt_ = in.seq + 1;
    rcv_edge_ = rcv_nxt_ + std::min(buffer_, 65535u);
    peer_scale_ = in.scale;
    nxt_ = iss_ + 1;
    if (in.has('.')) receive_ack(in);
    out.push_back(una_ == iss_ ? make("S.", iss_, 0) : make(".", nxt_, 0));
  }

  Random& random_;
  bool opens_, synchronised_ = false, finished_ = false, peer_finished_ = false, aborted_ = false;
  bool has_edge_ = false;
  int scale_ = -1, peer_scale_ = -1;
  std::uint32_t iss_ = 0, una_ = 0, nxt_ = 0, edge_ = 0;
  std::uint32_t rcv_nxt_ = 0, rcv_edge_ = 0, buffer_ = 0, unread_ = 0, remaining_ = 0;
};

// A piece of the way: loses, doubles, and lets at most three packets overtake another.
class Link {
 public:
  explicit Link(Random& random) : random_{random} {}
  bool is_busy() const { return queue_.size() > 8; }
  void put(const Wire& wire) {
    if (random_.below(12) == 0) return;
    queue_.push_back({wire, 0});
    if (random_.below(30) == 0) queue_.push_back({wire, 0});
  }
  bool take(Wire& wire) {
    if (queue_.empty()) return false;
    std::size_t at = 0;
    while (at + 1 < queue_.size() && at < 2 && queue_[at].overtaken < 3 && random_.below(4) == 0)
      ++at;
    for (std::size_t i = 0; i < at; ++i) ++queue_[i].overtaken;
    wire = queue_[at].wire;
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
  }

 private:
  struct Entry {
    Wire wire;
    int overtaken;
  };
  Random& random_;
  std::deque<Entry> queue_;
};

PacketBuilder packet_from(Direction d, const Wire& wire) {
  PacketBuilder packet = d == Direction::original ? client(wire.flags) : server(wire.flags);
  packet.seq(wire.seq).ack(wire.ack).window(wire.window).payload_size(wire.size);
  if (wire.scale >= 0)
    packet.tcp_options({std::byte{3}, std::byte{3}, static_cast<std::byte>(wire.scale), {}});
  return packet;
}

}  // namespace

TEST_CASE("T-02, T-03, TS-05, X-01: no segment of a legal conversation is refused") {
  int finished = 0, aborted = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    CAPTURE(seed);
    Random random{{seed, 77}};
    Lab lab;
    const bool simultaneous = random.below(5) == 0;
    Endpoint ends[]{{random, true}, {random, simultaneous}};
    Link before[]{Link{random}, Link{random}}, behind[]{Link{random}, Link{random}};
    bool begun = false;
    for (int step = 0; step < 8000; ++step) {
      CAPTURE(step);
      const std::size_t side = random.below(2);
      std::deque<Wire> out;
      Wire wire{};
      switch (random.below(3)) {
        case 0:
          if ((side == 0 || begun) && !before[side].is_busy()) ends[side].act(out);
          break;
        case 1: {
          if (!before[side].take(wire)) break;
          begun = true;
          const auto direction = static_cast<Direction>(side);
          const Packet packet = lab.see(packet_from(direction, wire));
          CAPTURE(std::string{wire.flags});
          CAPTURE(side);
          CAPTURE(wire.seq);
          CAPTURE(wire.ack);
          CAPTURE(wire.size);
          REQUIRE(packet.state != ConnState::invalid);
          REQUIRE_FALSE(lab.problem);
          REQUIRE(packet.direction == direction);
          behind[side].put(wire);
          break;
        }
        default:
          if (behind[1 - side].take(wire)) ends[side].receive(wire, out);
      }
      for (const Wire& one : out) before[side].put(one);
      if (ends[0].is_aborted() || ends[1].is_aborted()) break;
      if (ends[0].is_finished() && ends[1].is_finished()) break;
    }
    finished += ends[0].is_finished() && ends[1].is_finished();
    aborted += ends[0].is_aborted() || ends[1].is_aborted();
  }
  CHECK(finished > 60);
  CHECK(aborted > 3);
}
