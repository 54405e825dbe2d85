// RTSP (RFC 2326) and RealAudio's older PNA: the UDP ports on which the player waits for the stream. History
// 5.3, whose off-by-one is left out.
//
//   SETUP rtsp://… RTSP/1.0      Transport: RTP/AVP;unicast;client_port=4588-4589
//   "PNA", version, options of number, length, data: 1 the UDP port, 7 the one for repair, 0 the end
//
// Text is read line by line; bodies and interleaved binary data ('$', RFC 2326 10.12) pass unread. The
// server's answer repeats the client's ports, which are told back.

#include <algorithm>
#include <array>

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

enum Word : std::size_t {
  kHasBegun,
  kClientBody,  // bytes of a body that are still to pass, of each side
  kServerBody,
  kClientLength,  // the body's size as the headers said it so far
  kServerLength,
};

constexpr std::array<std::string_view, 12> kMethods{
    "OPTIONS ",  "DESCRIBE ", "SETUP ",         "PLAY ",          "PAUSE ",    "TEARDOWN ",
    "ANNOUNCE ", "RECORD ",   "GET_PARAMETER ", "SET_PARAMETER ", "REDIRECT ", "RTSP/1."};
constexpr char kInterleaved = '$';
constexpr std::string_view kOld = "PNA";

bool may_be_first(std::string_view text) {
  return std::ranges::any_of(kMethods, [&](std::string_view method) {
    return may_begin(text.substr(0, method.size()), method);
  });
}

// Options up to number 0; 0: more must come.
std::size_t pna_size(std::string_view text, wire::Bytes bytes) {
  std::size_t at = kOld.size() + 2;
  while (at + 2 <= text.size()) {
    if (wire::load16(bytes, at) == 0) return at + 2;
    if (at + 4 > text.size()) return 0;
    at += std::size_t{4} + wire::load16(bytes, at + 2);
  }
  return 0;
}

Measure measure(wire::Bytes bytes, bool from_client, const Memory& memory) noexcept {
  const std::string_view text = characters(bytes);
  if (const std::size_t body = memory[from_client ? kClientBody : kServerBody]; body != 0)
    return {Measure::Kind::whole, std::min(body, bytes.size())};
  if (memory[kHasBegun] == 0 && from_client && may_begin(text.substr(0, kOld.size()), kOld)) {
    const std::size_t size = pna_size(text, bytes);
    return {size == 0 ? Measure::Kind::hold : Measure::Kind::whole, size};
  }
  if (text[0] == kInterleaved && memory[kHasBegun] != 0)
    return {bytes.size() < 4 ? Measure::Kind::hold : Measure::Kind::whole, std::size_t{4}};
  return measure_line(bytes, [&](std::string_view line) {
    return memory[kHasBegun] != 0 || !from_client || may_be_first(line);
  });
}

void announce_option(Context& context, std::size_t at) {
  const std::uint16_t port = wire::load16(context.message(), at);
  if (port == 0) return;
  const auto shown = context.announce(
      {.protocol = net::Protocol::udp, .own = {context.sent().source_address, port}});
  if (shown && shown->port != port) context.replace(at, 2, big16(shown->port));
}

void read_pna(Context& context) {
  constexpr std::uint16_t kPort = 1, kRepairPort = 7, kLatestVersion = 255;
  const wire::Bytes message = context.message();
  context.stop();
  if (message.size() < kOld.size() + 4 || wire::load16(message, kOld.size()) > kLatestVersion)
    return context.refuse(Refusal::malformed);
  for (std::size_t at = kOld.size() + 2; at + 4 <= message.size();) {
    const std::uint16_t option = wire::load16(message, at), size = wire::load16(message, at + 2);
    if (option == 0 || at + 4 + size > message.size()) return;
    if ((option == kPort || option == kRepairPort) && size >= 2) announce_option(context, at + 4);
    at += std::size_t{4} + size;
  }
}

// client_port=first-last or client_port=first
void read_ports(Context& context, Cursor cursor) {
  const std::size_t from = cursor.at();
  const auto first = cursor.number(65535);
  if (!first || *first == 0) return context.refuse(Refusal::malformed);
  const bool is_pair = cursor.take('-');
  const auto last = is_pair ? cursor.number(65535) : first;
  if (!last || (is_pair && *last != *first + 1)) return context.refuse(Refusal::malformed);
  const auto port = static_cast<net::Port>(*first);
  const auto shown = context.from_client()
                         ? context.announce({.protocol = net::Protocol::udp,
                                             .own = {context.sent().source_address, port},
                                             .is_pair = is_pair})
                         : context.announced(port, false);
  if (!shown || shown->port == port) return;
  std::string text = std::to_string(shown->port);
  if (is_pair) text += "-" + std::to_string(shown->port + 1);
  context.replace(from, cursor.at() - from, text);
}

void read_header(Context& context, std::string_view line) {
  constexpr std::string_view kTransport = "TRANSPORT:", kLength = "CONTENT-LENGTH:";
  constexpr std::string_view kPorts = "client_port=";
  constexpr std::uint32_t kMostBody = 1u << 30;
  if (begins(line, kTransport)) {
    const std::size_t at = line.find(kPorts);
    if (at != std::string_view::npos) read_ports(context, Cursor{line, at + kPorts.size()});
  } else if (begins(line, kLength)) {
    Cursor cursor{line, kLength.size()};
    cursor.skip_blanks();
    const auto size = cursor.number(kMostBody);
    if (!size) return context.refuse(Refusal::malformed);
    context.memory()[context.from_client() ? kClientLength : kServerLength] = *size;
  }
}

void parse(Context& context) noexcept {
  const std::string_view text = characters(context.message());
  Memory& memory = context.memory();
  const bool client = context.from_client();
  std::uint32_t& body = memory[client ? kClientBody : kServerBody];
  std::uint32_t& length = memory[client ? kClientLength : kServerLength];
  if (body != 0) {
    body -= static_cast<std::uint32_t>(std::min<std::size_t>(body, text.size()));
    return;
  }
  const bool begun = memory[kHasBegun] != 0;
  if (!begun && client && text.starts_with(kOld)) return read_pna(context);
  if (begun && text[0] == kInterleaved && text.size() == 4) {
    body = wire::load16(context.message(), 2);
    return;
  }
  const std::string_view line = without_end(text);
  if (!begun && !(client && may_be_first(line) && line.find(" RTSP/1.") != line.npos)) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  memory[kHasBegun] = 1;
  if (!line.empty()) return read_header(context, line);
  body = length;
  length = 0;
}

constexpr net::Port kPorts[] = {554, 7070};

}  // namespace

const Helper kRtsp{.name = "rtsp",
                   .protocol = net::Protocol::tcp,
                   .ports = kPorts,
                   .measure = measure,
                   .parse = parse,
                   .most_expected = 8,
                   .classic_name = "RealAudio"};

}  // namespace masqgate::helper
