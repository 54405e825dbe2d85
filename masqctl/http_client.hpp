// One request to masqgated over its unix socket, one answer (RFC 9112), or words why not. An answer
// that has no end is handed out as it comes.

#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace masqgate::ctl {

// Exit codes of masqctl; the manual page tells them.
enum class Exit {
  done = 0,
  refused = 1,      // the router answered, and said no
  usage = 2,        // wrong arguments, or a file that cannot be read
  unreachable = 3,  // there is no router at the socket, or it is not for us
};

// Ends masqctl with a message for people.
class Failure : public std::runtime_error {
 public:
  Failure(Exit code, const std::string& message) : std::runtime_error{message}, code_{code} {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

struct Call {
  std::string method = "GET";
  std::string target{};    // "/v1/status"
  std::string accept{};    // media type, where it is not JSON
  std::string if_match{};  // entity tag with its quotes
  std::string last_event_id{};
  std::string body{};  // JSON
};

struct Reply {
  unsigned status = 0;
  std::string content_type{};
  std::string etag{};
  std::string body{};
};

// Throws Failure{unreachable}, with what to do about it.
Reply send(const std::string& socket_path, const Call& call);

// The same for a stream of events: its bytes go to `take`, until the router ends the connection. Any
// other answer is returned at once, whole.
Reply follow(const std::string& socket_path, const Call& call,
             const std::function<void(std::string_view)>& take);

// A value of a query parameter, or a part of a path.
std::string percent_encode(std::string_view value);

}  // namespace masqgate::ctl
