// The door for programs that packets are diverted to: a Unix socket in the runtime folder.
//
// It only accepts, asks the kernel who has come (SO_PEERCRED, unix(7)) and hands the descriptor to the
// shard's thread. Everybody may open it: what he may do there is a matter of divert.access.

#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <string>

#include "daemon/path/loop.hpp"

namespace masqgate::control {

class DivertDoor {
 public:
  // Throws std::system_error. The loop outlives the door.
  DivertDoor(asio::io_context& context, const std::string& path, path::Loop& loop);
  ~DivertDoor();  // the socket is removed
  DivertDoor(const DivertDoor&) = delete;

 private:
  void wait();
  void accept_all();

  std::string path_;
  path::Loop& loop_;
  asio::posix::stream_descriptor listening_;
};

}  // namespace masqgate::control
