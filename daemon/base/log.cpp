#include "daemon/base/log.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>

#include "daemon/base/clock.hpp"
#include "daemon/base/unique_fd.hpp"

namespace masqgate::log {
namespace {

constexpr std::size_t kLimiters = 256;  // messages hashed to one limiter share it
constexpr unsigned kBurst = 20;         // lines of one message per window
constexpr auto kWindow = std::chrono::seconds{10};

struct Limiter {
  Time window_start{};
  unsigned written = 0;
  unsigned suppressed = 0;
};

Level most_verbose = Level::info;
std::array<Limiter, kLimiters> limiters;

// stderr is the journal's stream when JOURNAL_STREAM names its device and inode
// (sd_journal_print(3)).
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
  return stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

UniqueFd open_journal() {
  if (!stderr_is_journal()) return UniqueFd{};
  UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "/run/systemd/journal/socket");
  const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
  if (!socket || ::connect(socket.get(), generic, sizeof address) != 0) return UniqueFd{};
  return socket;
}

// The journal's native protocol: NAME=value lines; a value with a line break goes as a length and
// bytes.
void append(std::string& datagram, std::string_view name, std::string_view value) {
  datagram += name;
  if (value.find('\n') == std::string_view::npos) {
    datagram.append("=").append(value).append("\n");
    return;
  }
  datagram += '\n';
  for (int shift = 0; shift < 64; shift += 8)
    datagram += static_cast<char>((static_cast<std::uint64_t>(value.size()) >> shift) & 0xff);
  datagram.append(value).append("\n");
}

// A stranger's text can reach a message: control characters would forge lines in a terminal.
std::string printable(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

void emit(Level level, std::string_view message, std::initializer_list<Field> fields) {
  static const UniqueFd journal = open_journal();
  if (journal) {
    std::string datagram;
    append(datagram, "PRIORITY", std::to_string(static_cast<int>(level)));
    append(datagram, "SYSLOG_IDENTIFIER", "masqgated");
    append(datagram, "MESSAGE", message);
    for (const Field& field : fields) append(datagram, field.name, field.value);
    if (::send(journal.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return;
  }
  std::string line = "<" + std::to_string(static_cast<int>(level)) + ">" + printable(message);
  if (isatty(STDERR_FILENO) != 0) line.erase(0, 3);
  for (const Field& field : fields)
    line += " " + std::string{field.name} + "=" + printable(field.value);
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

void set_level(Level level) {
  most_verbose = level;
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (level > most_verbose) return;
  Limiter& limiter = limiters[std::hash<std::string_view>{}(message) % kLimiters];
  const Time now = BootClock::now();
  if (now - limiter.window_start >= kWindow) {
    const unsigned suppressed = std::exchange(limiter.suppressed, 0);
    limiter = {now, 0, 0};
    if (suppressed > 0)
      emit(level, std::to_string(suppressed) + " lines left out like the following", {});
  }
  if (++limiter.written > kBurst) {
    ++limiter.suppressed;
    return;
  }
  emit(level, message, fields);
}

}  // namespace masqgate::log
