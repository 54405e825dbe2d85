// The sockets of programs that packets are diverted to: SOCK_SEQPACKET of Unix, one frame a datagram.
//
// Control accepts a connection and hands its descriptor over; from then on the shard's thread reads
// and writes it, never waiting. Frames are sent at the end of each turn of the loop: a busy link
// fills them by itself, an idle one is not delayed by a timer.

#pragma once

#include <array>
#include <memory>

#include "daemon/base/unique_fd.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/port/poller.hpp"

namespace masqgate::path {

class DivertSockets {
 public:
  static constexpr std::uint32_t kFirstTag = 0x80000000;
  static constexpr int kFramesAtOnce = 8;      // of one program, before others get their turn
  static constexpr int kTurnsTogether = 4;     // that one frame may wait for while all are busy
  static constexpr int kSendBuffer = 2 << 20;  // bytes that the kernel keeps for one program

  DivertSockets(Shard& shard, port::Poller& poller);
  ~DivertSockets();

  static bool is_ours(std::uint32_t tag) {
    return tag >= kFirstTag && tag < kFirstTag + 2 * divert::Desk::kMostListeners;
  }
  // A program has connected. Closed at once if there are too many.
  void adopt(UniqueFd socket, const divert::Peer& peer);
  // The poller has told of this tag.
  void ready(std::uint32_t tag);
  // Reads what programs have said and sends what waits for them; true if there is more to read. busy:
  // devices have more, and there will be another turn at once; then what waits to be sent may wait
  // for it, so that programs are woken less often the more there is to do.
  bool turn(Time now, bool busy);
  // Before waiting for the poller: false if a program has put something into shared memory meanwhile.
  bool may_sleep() noexcept;

 private:
  struct Socket;

  bool read(Socket& socket, Time now);
  bool read_shared(Socket& socket, Time now);
  void remove(std::size_t place, Time now);

  Shard& shard_;
  port::Poller& poller_;
  std::array<std::unique_ptr<Socket>, divert::Desk::kMostListeners> sockets_;
  std::size_t count_ = 0;
  int unsent_turns_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace masqgate::path
