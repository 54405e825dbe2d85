#include "web/listen.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace masqgate::web {
namespace {

using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;

[[noreturn]] void fail(const std::string& where, const std::string& why) {
  throw std::runtime_error("cannot listen on " + where + ": " + why);
}

std::string last_error() {
  return std::strerror(errno);
}

// A socket file whose daemon is gone refuses connections; it is removed.
void remove_stale(asio::io_context& context, const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    fail(path, last_error());
  }
  if (!S_ISSOCK(status.st_mode)) fail(path, "a file that is no socket stands there");
  Local::socket probe{context};
  asio::error_code error;
  probe.connect(Local::endpoint{path}, error);
  if (!error) fail(path, "another daemon answers there");
  if (error != asio::error::connection_refused) fail(path, error.message());
  if (unlink(path.c_str()) != 0 && errno != ENOENT) fail(path, last_error());
}

Tcp::endpoint parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) fail(text, "the port is missing");
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
  if (parsed.ec != std::errc{} || parsed.ptr != end)
    fail(text, "the port is no number below 65536");
  std::string host = text.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  asio::error_code error;
  const asio::ip::address address = asio::ip::make_address(host, error);
  if (error) fail(text, "not an address with a port");
  if (!address.is_loopback())
    fail(text, "only addresses of the loopback are allowed; use a reverse proxy beyond it");
  return {address, port};
}

}  // namespace

SocketFile::SocketFile(std::string path) : path_{std::move(path)} {
  struct stat status {};
  if (lstat(path_.c_str(), &status) != 0) {
    path_.clear();
    return;
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

void SocketFile::remove() {
  struct stat status {};
  if (path_.empty()) return;
  if (lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
    unlink(path_.c_str());
  path_.clear();
}

Local::acceptor listen_local(asio::io_context& context, const std::string& path, mode_t mode) {
  if (path.empty()) fail("the unix socket", "its path is empty");
  if (path.size() >= sizeof sockaddr_un{}.sun_path) fail(path, "the path is too long for a socket");
  remove_stale(context, path);
  Local::acceptor acceptor{context, Local{}};
  // The file is born with the mode of the unbound socket less the umask: never wider than asked.
  if (fchmod(acceptor.native_handle(), mode) != 0) fail(path, last_error());
  asio::error_code error;
  acceptor.bind(Local::endpoint{path}, error);
  if (error) fail(path, error.message());
  if (chmod(path.c_str(), mode) == 0)
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  else
    error.assign(errno, asio::error::get_system_category());
  if (error) {
    unlink(path.c_str());
    fail(path, error.message());
  }
  return acceptor;
}

Tcp::acceptor listen_tcp(asio::io_context& context, const std::string& address) {
  const Tcp::endpoint endpoint = parse_endpoint(address);
  Tcp::acceptor acceptor{context, endpoint.protocol()};
  acceptor.set_option(Tcp::acceptor::reuse_address(true));
  asio::error_code error;
  acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) fail(address, error.message());
  return acceptor;
}

}  // namespace masqgate::web
