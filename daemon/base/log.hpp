// Log lines to the systemd journal or to stderr: levelled, structured, rate-limited per message.
//
// Only doors and control log (HACKING.md, "Who logs"); rooms return what happened. One call is one
// line is one event; payload bytes never go in.

#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace masqgate::log {

// The numbers are syslog's, which the journal takes as PRIORITY.
enum class Level { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

struct Field {
  std::string_view name;  // UPPER_CASE, as journal fields are named
  std::string value;
};

// Where lines go is decided once: to the journal if stderr is connected to it, else to stderr.
void set_level(Level most_verbose);
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void error(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::error, m, f);
}
inline void warning(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::warning, m, f);
}
inline void notice(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::notice, m, f);
}
inline void info(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::info, m, f);
}
inline void debug(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::debug, m, f);
}

}  // namespace masqgate::log
