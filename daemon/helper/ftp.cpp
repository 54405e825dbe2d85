// FTP (RFC 959, 2428): the data connection's endpoint in PORT and EPRT of the client, and in the
// server's answers 227 and 229 to PASV and EPSV. History 5.1.
//
//   client ── PORT h1,h2,h3,h4,p1,p2 ──▶ server connects to the client
//   client ── PASV ──▶ server ── 227 … (h1,h2,h3,h4,p1,p2) ──▶ client connects to the server
//
// Only complete lines count, each in its own direction (K-09), of a conversation that began as FTP
// (K-01). Lines inside an answer of several lines are text. A 227 that nobody asked for opens nothing.
// What follows AUTH is encrypted and ends the inspection.

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

enum Word : std::size_t {
  kHasBegun,  // the client has said a valid first word
  kCode,      // of an answer of several lines that has not ended
  kPassive,   // the client waits for an answer to PASV or EPSV …
  kAnswered,  // … and another answer has come since
};

// What a client says first; later every word of three or four letters will do.
constexpr std::array<std::string_view, 14> kFirstWords{"USER", "AUTH", "FEAT", "HOST", "CLNT",
                                                       "OPTS", "SYST", "HELP", "NOOP", "QUIT",
                                                       "PBSZ", "STAT", "LANG", "ACCT"};
constexpr std::size_t kLongestWord = 4, kShortestWord = 3;

constexpr bool is_letter(char c) {
  return upper(c) >= 'A' && upper(c) <= 'Z';
}

// Telnet commands (RFC 854) may precede ABOR.
std::string_view without_telnet(std::string_view line) {
  constexpr char kCommand = '\xff', kWill = '\xfb';
  while (line.size() >= 2 && line[0] == kCommand) {
    const bool has_option =
        static_cast<unsigned char>(line[1]) >= static_cast<unsigned char>(kWill) &&
        line[1] != kCommand;
    line.remove_prefix(std::min<std::size_t>(has_option ? 3 : 2, line.size()));
  }
  return line;
}

// The command's word: letters up to a blank or the end.
std::string_view command_word(std::string_view line) {
  std::size_t size = 0;
  while (size < line.size() && is_letter(line[size])) ++size;
  return line.substr(0, size);
}

bool is_first_word(std::string_view word) {
  return std::ranges::any_of(kFirstWords, [&](std::string_view known) {
    return word.size() == known.size() && begins(word, known);
  });
}

bool may_be_command(std::string_view beginning, const Memory& memory) {
  const std::string_view line = without_telnet(beginning);
  if (line.empty() || line[0] == kReturn || line[0] == '\xff') return true;
  const std::string_view word = command_word(line);
  if (word.size() > kLongestWord) return false;
  if (word.size() < line.size() && line[word.size()] != ' ' && line[word.size()] != kReturn)
    return false;
  if (memory[kHasBegun] != 0) return !word.empty();
  return std::ranges::any_of(kFirstWords,
                             [&](std::string_view known) { return may_begin(word, known); });
}

bool may_be_answer(std::string_view beginning, const Memory& memory) {
  return memory[kCode] != 0 || is_digit(beginning[0]);
}

Measure measure(wire::Bytes bytes, bool from_client, const Memory& memory) noexcept {
  return measure_line(bytes, [&](std::string_view text) {
    return from_client ? may_be_command(text, memory) : may_be_answer(text, memory);
  });
}

// h1,h2,h3,h4,p1,p2
std::optional<net::Endpoint> read_six(Cursor& cursor) {
  std::array<std::uint32_t, 6> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i != 0 && !cursor.take(',')) return std::nullopt;
    const auto number = cursor.number(255);
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  return net::Endpoint{
      net::IpAddress::v4(numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]),
      static_cast<net::Port>(numbers[4] << 8 | numbers[5])};
}

std::string six(net::Endpoint endpoint) {
  const std::uint32_t address = endpoint.address.v4_number();
  std::string text;
  for (const int shift : {24, 16, 8, 0}) text += std::to_string(address >> shift & 0xff) + ",";
  return text + std::to_string(endpoint.port >> 8) + "," + std::to_string(endpoint.port & 0xff);
}

// <d>1<d>192.0.2.1<d>port<d> or <d>2<d>2001:db8::1<d>port<d>; the delimiter is any printing character
// that is no digit.
std::optional<net::Endpoint> read_extended(Cursor& cursor, char& delimiter) {
  if (cursor.at_end()) return std::nullopt;
  delimiter = cursor.rest()[0];
  if (delimiter < 33 || delimiter > 126 || is_digit(delimiter)) return std::nullopt;
  cursor.take(delimiter);
  const auto kind = cursor.number(2);
  if (!kind || !cursor.take(delimiter)) return std::nullopt;
  const std::size_t from = cursor.at();
  const std::string_view rest = cursor.rest();
  if (!cursor.skip_to(delimiter)) return std::nullopt;
  const auto address = net::IpAddress::parse(rest.substr(0, cursor.at() - from));
  if (!address || address->is_v4() != (*kind == 1) || !cursor.take(delimiter)) return std::nullopt;
  const auto port = cursor.number(65535);
  if (!port || !cursor.take(delimiter)) return std::nullopt;
  return net::Endpoint{*address, static_cast<net::Port>(*port)};
}

bool ends(Cursor& cursor) {
  cursor.skip_blanks();
  return cursor.at_end();
}

// Announces the endpoint that stands at [from, to), and writes there what the peer must read instead.
template <typename Write>
void announce(Context& context, net::Endpoint own, std::size_t from, std::size_t to,
              Write&& write) {
  const auto shown = context.announce({.own = own});
  if (shown && *shown != own) context.replace(from, to - from, write(*shown));
}

void read_port(Context& context, std::string_view line) {
  Cursor cursor{line, 5};
  cursor.skip_blanks();
  const std::size_t from = cursor.at();
  const auto own = read_six(cursor);
  const std::size_t to = cursor.at();
  if (!own || !ends(cursor)) return context.refuse(Refusal::malformed);
  announce(context, *own, from, to, six);
}

void read_eprt(Context& context, std::string_view line) {
  Cursor cursor{line, 5};
  cursor.skip_blanks();
  const std::size_t from = cursor.at();
  char delimiter = '|';
  const auto own = read_extended(cursor, delimiter);
  const std::size_t to = cursor.at();
  if (!own || !ends(cursor)) return context.refuse(Refusal::malformed);
  announce(context, *own, from, to, [&](net::Endpoint shown) {
    const std::string d{delimiter};
    return d + (shown.address.is_v4() ? "1" : "2") + d + shown.address.text() + d +
           std::to_string(shown.port) + d;
  });
}

void read_command(Context& context, std::string_view whole) {
  const std::string_view line = without_telnet(whole);
  if (line.empty()) return;
  Memory& memory = context.memory();
  const std::string_view word = command_word(line);
  const bool sound = word.size() >= kShortestWord && word.size() <= kLongestWord &&
                     (word.size() == line.size() || line[word.size()] == ' ');
  if (!sound || (memory[kHasBegun] == 0 && !is_first_word(word))) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  memory[kHasBegun] = 1;
  if (memory[kAnswered] != 0) memory[kPassive] = memory[kAnswered] = 0;
  if (begins(line, "PASV") || begins(line, "EPSV")) memory[kPassive] = 1;
  if (!begins(line, "PORT") && !begins(line, "EPRT")) return;
  memory[kPassive] = 0;
  if (line.size() != whole.size() || word.size() == line.size())
    return context.refuse(Refusal::malformed);
  begins(line, "PORT") ? read_port(context, line) : read_eprt(context, line);
}

// 227 Entering Passive Mode (h1,h2,h3,h4,p1,p2): with or without brackets (RFC 1123 4.1.2.6).
void read_227(Context& context, std::string_view line) {
  const std::size_t from = line.find_first_of("0123456789", 4);
  Cursor cursor{line, std::min(from, line.size())};
  const auto own = read_six(cursor);
  if (!own) return context.refuse(Refusal::malformed);
  announce(context, *own, from, cursor.at(), six);
}

// 229 Entering Extended Passive Mode (|||port|)
void read_229(Context& context, std::string_view line) {
  Cursor cursor{line, 4};
  if (!cursor.skip_to('(') || !cursor.take('(') || cursor.at_end())
    return context.refuse(Refusal::malformed);
  const char delimiter = cursor.rest()[0];
  bool sound = delimiter >= 33 && delimiter <= 126 && !is_digit(delimiter);
  for (int i = 0; i < 3; ++i) sound = sound && cursor.take(delimiter);
  const std::size_t from = cursor.at();
  const auto port = cursor.number(65535);
  const std::size_t to = cursor.at();
  if (!sound || !port || !cursor.take(delimiter) || !cursor.take(')'))
    return context.refuse(Refusal::malformed);
  announce(context, {context.sent().source_address, static_cast<net::Port>(*port)}, from, to,
           [](net::Endpoint shown) { return std::to_string(shown.port); });
}

void read_answer(Context& context, std::string_view line) {
  Memory& memory = context.memory();
  const bool coded =
      line.size() >= 3 && is_digit(line[0]) && is_digit(line[1]) && is_digit(line[2]);
  const char separator = line.size() > 3 ? line[3] : ' ';
  const std::uint32_t code =
      coded
          ? static_cast<std::uint32_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0')
          : 0;
  if (memory[kCode] != 0) {
    if (code != memory[kCode] || separator != ' ') return;  // text
    memory[kCode] = 0;
  } else if (!coded || (separator != ' ' && separator != '-')) {
    context.refuse(Refusal::foreign);
    return context.stop();
  } else if (separator == '-') {
    memory[kCode] = code;
    return;
  }
  constexpr std::uint32_t kSecured = 234, kPassive4 = 227, kPassive6 = 229, kFirstFinal = 200;
  if (code == kSecured) return context.stop();
  if (code == kPassive4 || code == kPassive6) {
    if (std::exchange(memory[kPassive], 0) == 0) return context.refuse(Refusal::wrong_side);
    memory[kAnswered] = 0;
    code == kPassive4 ? read_227(context, line) : read_229(context, line);
  } else if (code >= kFirstFinal && memory[kPassive] != 0) {
    memory[kAnswered] = 1;
  }
}

void parse(Context& context) noexcept {
  const std::string_view line = without_end(characters(context.message()));
  context.from_client() ? read_command(context, line) : read_answer(context, line);
}

constexpr net::Port kPorts[] = {21};

}  // namespace

const Helper kFtp{.name = "ftp",
                  .protocol = net::Protocol::tcp,
                  .ports = kPorts,
                  .on_by_default = true,
                  .measure = measure,
                  .parse = parse,
                  .most_expected = 1,
                  .replaces = true};

}  // namespace masqgate::helper
