// Opens the two kinds of listening sockets, with every refusal in words.

#pragma once

#include <sys/types.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <string>

namespace masqgate::web {

// A unix socket's file, removed by whoever made it and only while it is still the same file.
class SocketFile {
 public:
  SocketFile() = default;
  explicit SocketFile(std::string path);  // remembers which file stands there now
  void remove();

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Both throw std::runtime_error.
asio::local::stream_protocol::acceptor listen_local(asio::io_context& context,
                                                    const std::string& path, mode_t mode);
asio::ip::tcp::acceptor listen_tcp(asio::io_context& context, const std::string& address);

}  // namespace masqgate::web
