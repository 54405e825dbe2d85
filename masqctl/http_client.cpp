#include "masqctl/http_client.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <cstring>

#include "daemon/base/unique_fd.hpp"

namespace masqgate::ctl {
namespace {

namespace http = boost::beast::http;
using Parser = http::response_parser<http::string_body>;

// A large configuration takes a while to apply; a stream of events says something more often.
constexpr timeval kPatience{60, 0};
constexpr std::string_view kStream = "text/event-stream";
constexpr std::uint64_t kMaxBody = 256 << 20;  // a full connection table as text

[[noreturn]] void unreachable(const std::string& path, const std::string& why) {
  throw Failure{Exit::unreachable, path + ": " + why};
}

[[noreturn]] void explain_connect(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      unreachable(
          path,
          "there is no such socket. Either masqgated is not running (systemctl start "
          "masqgated, or masqgated --config FILE), or it listens elsewhere (--socket PATH)");
    case ECONNREFUSED:
      unreachable(path,
                  "nobody listens there any more: masqgated has ended. Its log says why "
                  "(journalctl -u masqgated); systemctl start masqgated starts it");
    case EACCES:
    case EPERM:
      unreachable(path,
                  "permission denied: the socket is for its owner and group (ls -l tells "
                  "them). Use sudo, or become a member of the group");
    case ENOTSOCK:
      unreachable(path, "this is no socket");
    default:
      unreachable(path, std::strerror(error));
  }
}

UniqueFd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    throw Failure{Exit::usage, path + ": not the path of a socket (1 to 107 bytes)"};
  path.copy(address.sun_path, path.size());
  UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!socket) unreachable(path, std::strerror(errno));
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
  if (connect(socket.get(), generic, sizeof address) != 0) {
    const int error = errno;
    struct stat status {};
    const bool other = stat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode);
    explain_connect(path, other ? ENOTSOCK : error);
  }
  return socket;
}

std::string bytes_of(const Call& call) {
  std::string bytes = call.method + " " + call.target + " HTTP/1.1\r\nHost: localhost\r\n";
  bytes += "Connection: close\r\nUser-Agent: masqctl\r\n";
  bytes +=
      "Accept: " + (call.accept.empty() ? "application/json, */*;q=0.5" : call.accept) + "\r\n";
  if (!call.last_event_id.empty()) bytes += "Last-Event-ID: " + call.last_event_id + "\r\n";
  if (!call.if_match.empty()) bytes += "If-Match: " + call.if_match + "\r\n";
  if (call.method != "GET") {
    bytes += "Content-Type: application/json\r\n";
    bytes += "Content-Length: " + std::to_string(call.body.size()) + "\r\n";
  }
  return bytes + "\r\n" + call.body;
}

// A server that has had enough answers before it has read everything: a failed write is no error,
// the answer tells.
void write_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

// Offers the parser what is there until it wants more or is done.
void parse(Parser& parser, std::string& pending, const std::string& path) {
  boost::beast::error_code error;
  while (!pending.empty() && !parser.is_done()) {
    const std::size_t used = parser.put({pending.data(), pending.size()}, error);
    pending.erase(0, used);
    if (error == http::error::need_more) return;
    if (error) unreachable(path, "what answers there is not masqgated: " + error.message());
  }
}

bool is_stream(const Parser& parser) {
  const auto type = parser.get()[http::field::content_type];
  return std::string_view{type.data(), type.size()}.starts_with(kStream);
}

// What has come of a stream goes on to whoever takes it.
void hand_out(Parser& parser, const std::function<void(std::string_view)>& take,
              const std::string& path) {
  if (!parser.is_header_done() || !is_stream(parser)) return;
  if (!take) throw Failure{Exit::usage, path + ": has no end: masqctl events prints it"};
  take(parser.get().body());
  parser.get().body().clear();
}

void receive(Parser& parser, int socket, const std::string& path,
             const std::function<void(std::string_view)>& take) {
  std::array<char, 64 << 10> bytes;
  std::string pending;
  while (!parser.is_done()) {
    const ssize_t size = recv(socket, bytes.data(), bytes.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) unreachable(path, "masqgated does not answer");
    if (size == 0 && parser.is_header_done() && is_stream(parser)) return;
    if (size <= 0) unreachable(path, "masqgated closed the connection without an answer");
    pending.append(bytes.data(), static_cast<std::size_t>(size));
    parse(parser, pending, path);
    hand_out(parser, take, path);
  }
}

}  // namespace

Reply send(const std::string& socket_path, const Call& call) {
  return follow(socket_path, call, {});
}

Reply follow(const std::string& socket_path, const Call& call,
             const std::function<void(std::string_view)>& take) {
  const UniqueFd socket = connect_to(socket_path);
  write_all(socket.get(), bytes_of(call));
  Parser parser;
  parser.body_limit(kMaxBody);
  parser.eager(true);
  receive(parser, socket.get(), socket_path, take);
  const auto& message = parser.get();
  const auto field = [&](http::field name) {
    const auto value = message[name];
    return std::string{value.data(), value.size()};
  };
  return {.status = message.result_int(),
          .content_type = field(http::field::content_type),
          .etag = field(http::field::etag),
          .body = message.body()};
}

std::string percent_encode(std::string_view value) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos)
      out += c;
    else
      out.append("%").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
  }
  return out;
}

}  // namespace masqgate::ctl
