// IRC DCC (RFC 1459, 2812; the DCC of ircII): who offers a file or a chat listens, and says where in a
// message to the other one. History 5.2.
//
//   PRIVMSG bob :^A DCC SEND name 3232235786 5000 1024 ^A      address as one decimal number
//   PRIVMSG bob :^A DCC CHAT chat 3232235786 5000 ^A           and MOVE, TSEND, SCHAT
//   PRIVMSG bob :^A DCC RESUME name 5000 512 ^A, ACCEPT        the port names the offer again
//
// Only whole messages of a client to its server open anything, and only in this form (K-11). Who
// receives may answer with RESUME: the port in it is changed back, which opens nothing.

#include <algorithm>
#include <array>

#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

enum Word : std::size_t { kHasBegun };

constexpr char kMark = '\x01';
constexpr std::array<std::string_view, 5> kFirstWords{"CAP", "PASS", "NICK", "USER", "WEBIRC"};
constexpr std::array<std::string_view, 5> kOffers{"SEND", "CHAT", "MOVE", "TSEND", "SCHAT"};

constexpr bool is_letter(char c) {
  return upper(c) >= 'A' && upper(c) <= 'Z';
}

bool may_be_line(std::string_view beginning, bool from_client, const Memory& memory) {
  const char first = beginning[0];
  if (!from_client || memory[kHasBegun] != 0)
    return is_letter(first) || first == ':' || first == '@' || first == kReturn || is_digit(first);
  return std::ranges::any_of(kFirstWords, [&](std::string_view word) {
    return may_begin(beginning.substr(0, word.size()), word);
  });
}

Measure measure(wire::Bytes bytes, bool from_client, const Memory& memory) noexcept {
  return measure_line(
      bytes, [&](std::string_view text) { return may_be_line(text, from_client, memory); });
}

// The part between "^A DCC " and the closing mark, or nothing. at: behind the command's word.
bool find_dcc(Cursor& cursor, std::string_view line) {
  if (!cursor.skip_to(':') || !cursor.take(':')) return false;
  if (!cursor.take(kMark) || !cursor.take(std::string_view{"DCC "})) return false;
  return line.size() > cursor.at() && line.back() == kMark;
}

// A name with blanks stands in quotation marks.
bool skip_name(Cursor& cursor) {
  if (!cursor.take('"')) return !cursor.word().empty();
  return cursor.skip_to('"') && cursor.take('"');
}

void read_offer(Context& context, Cursor& cursor) {
  if (cursor.skip_blanks() == 0 || !skip_name(cursor) || cursor.skip_blanks() == 0)
    return context.refuse(Refusal::malformed);
  const std::size_t from = cursor.at();
  const auto address = cursor.number(0xffffffff);
  if (!address || cursor.skip_blanks() == 0) return context.refuse(Refusal::malformed);
  const auto port = cursor.number(65535);
  const std::size_t to = cursor.at();
  if (!port || !(cursor.rest().starts_with(' ') || cursor.rest().starts_with(kMark)))
    return context.refuse(Refusal::malformed);
  if (*port == 0) return;  // the other side listens, and says so itself
  const net::Endpoint own{net::IpAddress::v4(*address), static_cast<net::Port>(*port)};
  const auto shown = context.announce({.own = own, .from_anybody = true});
  if (shown && *shown != own)
    context.replace(from, to - from,
                    std::to_string(shown->address.v4_number()) + " " + std::to_string(shown->port));
}

// RESUME comes from who receives, ACCEPT goes to him; both know the offer by its port.
void read_reference(Context& context, Cursor& cursor, bool is_own) {
  if (cursor.skip_blanks() == 0 || !skip_name(cursor) || cursor.skip_blanks() == 0) return;
  const std::size_t from = cursor.at();
  const auto port = cursor.number(65535);
  if (!port) return;
  const auto other = context.announced(static_cast<net::Port>(*port), is_own);
  if (other && other->port != *port)
    context.replace(from, cursor.at() - from, std::to_string(other->port));
}

void read_client(Context& context, std::string_view line) {
  Memory& memory = context.memory();
  const auto is_first = [&](std::string_view word) {
    return begins(line, word) && (line.size() == word.size() || line[word.size()] == ' ');
  };
  if (memory[kHasBegun] == 0 && !std::ranges::any_of(kFirstWords, is_first)) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  memory[kHasBegun] = 1;
  if (begins(line, "STARTTLS")) return context.stop();
  constexpr std::string_view kMessage = "PRIVMSG ";
  if (!begins(line, kMessage)) return;
  Cursor cursor{line, kMessage.size()};
  if (!find_dcc(cursor, line)) return;
  const std::string_view kind = cursor.word();
  if (std::ranges::find(kOffers, kind) != kOffers.end())
    read_offer(context, cursor);
  else if (kind == "ACCEPT")
    read_reference(context, cursor, true);
}

// :bob!user@host PRIVMSG alice :^A DCC RESUME …
void read_server(Context& context, std::string_view line) {
  Cursor cursor{line};
  if (!cursor.take(':') || cursor.word().empty() || !cursor.take(std::string_view{" PRIVMSG "}) ||
      !find_dcc(cursor, line))
    return;
  if (cursor.word() == "RESUME") read_reference(context, cursor, false);
}

void parse(Context& context) noexcept {
  const std::string_view line = without_end(characters(context.message()));
  if (line.empty()) return;
  if (!may_be_line(line, false, context.memory())) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  context.from_client() ? read_client(context, line) : read_server(context, line);
}

constexpr net::Port kPorts[] = {6667};

}  // namespace

const Helper kIrc{.name = "irc",
                  .protocol = net::Protocol::tcp,
                  .ports = kPorts,
                  .on_by_default = true,
                  .measure = measure,
                  .parse = parse,
                  .most_expected = 8,
                  .replaces = false};

}  // namespace masqgate::helper
