// A program's end of diverted packets: bind to a port, take batches, say verdicts.
//
//   masqgate::divert::client::Listener listener{2222, {.name = "demo"}};
//   while (!listener.is_gone())
//     for (auto& packet : listener.receive())
//       if (is_fine(packet.bytes())) packet.accept(); else packet.drop();
//
// Verdicts leave together, before the next batch is waited for. A packet without a verdict gets the
// default one then. Nothing is allocated for a packet. Not for several threads at once; fd() is for
// poll(2) or Asio.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "divert/format.hpp"
#include "divert/shared.hpp"

namespace masqgate::divert::client {

// masqgate closed the connection, and said why.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string name{};
  std::string socket = "/run/masqgate/divert.sock";
  std::int16_t priority = 0;
  std::uint16_t weight = 1;
  std::uint32_t credit = 0;
  std::uint32_t snapshot = 0;
  std::uint32_t options = 0;  // format::wants(…)
  std::uint32_t permissions = format::kMayListen;
  std::uint16_t flags = format::kBindSegments | format::kBindShared;
  bool drop_unanswered = false;
  bool settles = true;  // false: what has no verdict yet keeps waiting, and gets it later by its id
};

class Listener;

class Packet {
 public:
  const format::PacketHeader& header() const { return header_; }
  std::span<const std::byte> bytes() const { return bytes_; }      // the IP packet
  std::span<const std::byte> payload() const;                      // of the transport protocol
  std::span<const std::byte> options() const { return options_; }  // as the format says
  bool is_copy() const { return (header_.flags & format::kTee) != 0; }
  bool answered() const { return answered_; }

  void accept() { say(format::Action::accept); }
  void accept_marked(std::uint32_t mark, std::uint32_t mask = 0xffffffff);
  void accept_and_offload(std::uint32_t packets = 0);  // no more of this flow; 0: for its life
  void replace(std::span<const std::byte> packet);     // lengths and checksums are put right
  void drop() { say(format::Action::drop); }
  void drop_and_block(std::uint32_t packets = 0);  // the whole flow
  void reject(std::uint16_t how = format::kRejectPort);
  void repeat(std::uint32_t rule = 0);
  void say(format::VerdictHeader verdict, std::span<const std::byte> data = {});

 private:
  friend class Listener;
  void say(format::Action action);
  Listener* listener_ = nullptr;
  format::PacketHeader header_;
  std::span<const std::byte> bytes_, options_;
  bool answered_ = false;
};

class Listener {
 public:
  // Throws Refused, or std::system_error where there is no masqgate.
  explicit Listener(std::uint16_t port, const Options& options = {});
  ~Listener();
  Listener(const Listener&) = delete;

  // To be waited for once poll() has returned nothing, not before.
  int fd() const { return fd_; }
  const format::BoundHeader& bound() const { return bound_; }
  // Sends the verdicts of the batch before, waits, and returns the next one; empty when masqgate has
  // gone. Valid until the next call.
  std::span<Packet> receive();
  // Does not wait; empty if there is nothing now.
  std::span<Packet> poll();
  void flush();
  // One verdict for all packets of the batch.
  void accept_all();
  // A verdict by id, of any packet that was received and has none; a second one is a notice.
  void say(const format::VerdictHeader& verdict, std::span<const std::byte> data = {});
  // No new packets from now on; a notice `drained` comes when all have their verdict.
  void drain();
  bool is_gone() const { return gone_; }  // masqgate has closed the connection

  // Notices that have come; the caller clears them.
  std::vector<format::NoticeHeader> notices;

  // Likewise: flows that begin and end (flag kBindFlows), listeners that come and go (kBindReflect).
  std::vector<format::FlowHeader> flows;
  std::vector<format::ListenerHeader> listeners;

  // A packet out of nothing; needs the permission.
  void inject(const format::InjectHeader& how, std::span<const std::byte> packet);

 private:
  friend class Packet;
  bool read(int flags);
  bool read_shared(int flags);
  bool take(std::span<const std::byte> frame);
  void share(std::span<Descriptor, kMostPassed> passed);
  void put(std::span<const std::byte> frame);
  void wake_masqgate();
  void settle();
  void add(std::span<const std::byte> header, std::span<const std::byte> data);
  void send_frame(format::Kind kind);

  int fd_ = -1;
  bool gone_ = false;
  bool drop_unanswered_;
  bool settles_;
  format::BoundHeader bound_;
  std::unique_ptr<std::byte[]> in_, out_;
  std::size_t used_ = sizeof(format::FrameHeader);
  std::uint16_t records_ = 0;
  std::vector<Packet> packets_;
  std::unique_ptr<SharedEnd> shared_;  // where frames go through shared memory
  Descriptor bell_;                    // wakes masqgate then
};

}  // namespace masqgate::divert::client
