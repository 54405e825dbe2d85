// SIP (RFC 3261) over UDP and TCP: addresses in Via, Contact and their like, and media in SDP.
// History 5.18 [M].
//
//   INVITE sip:bob@198.51.100.1 SIP/2.0
//   Via: SIP/2.0/UDP 192.168.1.10:5060;branch=…      Contact: <sip:alice@192.168.1.10:5060>
//   (SDP) c=IN IP4 192.168.1.10, m=audio 4000        ──▶ RTP and RTCP, a pair of ports
//
// Only the two ends of the connection are translated (K-02); who else is named stays. Where a Via
// or a Contact names another port of the speaker, requests are expected there, from his peer only
// (K-04). Media come from the peer's address too; from a gateway elsewhere they come by the mapping
// that the speaker's own media make, which leave from the port that was told; with "wide" from
// anybody. Off unless networks say whose servers are to be trusted (K-06).

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/helper/edits.hpp"
#include "daemon/helper/registry.hpp"
#include "daemon/helper/sdp.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

constexpr net::Port kDefaultPort = 5060;
constexpr std::size_t kMostMessage = 2048;
constexpr std::chrono::seconds kRinging{180}, kRegistered{3600};

constexpr std::string_view kEndOfHeaders = "\r\n\r\n";
constexpr std::array<std::string_view, 15> kStarts{
    "SIP/2.0 ",   "INVITE ", "ACK ",  "BYE ",   "CANCEL ",  "OPTIONS ", "REGISTER ", "PRACK ",
    "SUBSCRIBE ", "NOTIFY ", "INFO ", "REFER ", "MESSAGE ", "UPDATE ",  "PUBLISH "};

bool may_be_message(std::string_view text) {
  return std::ranges::any_of(kStarts, [&](std::string_view start) {
    return start.starts_with(text.substr(0, start.size()));
  });
}
bool is_message(std::string_view text) {
  const std::string_view line = text.substr(0, text.find(kLineFeed));
  return may_be_message(line) && line.find("SIP/2.0") != std::string_view::npos;
}

// A header's value, if the line has one of these names (the second is the short form).
std::optional<std::string_view> value_of(std::string_view line, std::string_view name, char brief) {
  std::size_t at = 0;
  if (begins(line, name))
    at = name.size();
  else if (!line.empty() && upper(line[0]) == brief)
    at = 1;
  while (at != 0 && at < line.size() && line[at] == ' ') ++at;
  if (at == 0 || at >= line.size() || line[at] != ':') return std::nullopt;
  return line.substr(at + 1);
}

std::optional<std::string_view> content_length(std::string_view line) {
  const auto value = value_of(line, "CONTENT-LENGTH", 'L');
  if (!value) return std::nullopt;
  const std::size_t from = std::min(value->find_first_not_of(' '), value->size());
  const std::size_t end = value->find_first_not_of("0123456789", from);
  return value->substr(from, end == value->npos ? end : end - from);
}

// Calls each(line) for the start line and the headers.
template <typename Each>
void for_each_line(std::string_view headers, Each&& each) {
  while (!headers.empty()) {
    const std::size_t end = std::min(headers.find(kLineFeed), headers.size());
    each(without_end(headers.substr(0, end)));
    headers.remove_prefix(std::min(end + 1, headers.size()));
  }
}

Measure measure(wire::Bytes bytes, bool, const Memory&) noexcept {
  const std::string_view text = characters(bytes);
  if (text[0] == kReturn || text[0] == kLineFeed || text[0] == '\0')
    return {Measure::Kind::whole, 1};  // to keep the connection alive (RFC 5626 3.5.1)
  if (!may_be_message(text)) return {Measure::Kind::whole, text.size()};
  const std::size_t end = text.find(kEndOfHeaders);
  if (end == std::string_view::npos) return {Measure::Kind::hold, 0};
  std::uint32_t length = 0;
  for_each_line(text.substr(0, end), [&](std::string_view line) {
    if (const auto value = content_length(line))
      length = Cursor{*value}.number(kMostMessage).value_or(kMostMessage);
  });
  const std::size_t size = end + kEndOfHeaders.size() + length;
  if (size > text.size()) return {Measure::Kind::hold, 0};
  return {Measure::Kind::whole, size};
}

// What may follow where an address stands.
enum class Place : std::uint8_t {
  named,  // only the ends of this connection are translated
  heard,  // the speaker listens there: Via, Contact
};

class Translator {
 public:
  Translator(Context& context, Edits& edits, const Helper& self, Duration life)
      : context_{context}, edits_{edits}, self_{self}, life_{life} {}

  // Each address of the two ends in this text, with its port.
  void translate(std::string_view text, Place place) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = address_size(text, at);
      if (size == 0) {
        ++at;
        continue;
      }
      const auto address = net::IpAddress::parse(bare(text.substr(at, size)));
      const std::size_t end = at + size + port_size(text.substr(at + size));
      if (address) translate_one(text.substr(at, end - at), *address, size, place);
      at = end;
    }
  }

  // ;rport=40000, which the server adds to a Via (RFC 3581).
  void translate_rport(std::string_view via) {
    constexpr std::string_view kName = ";rport=";
    const std::size_t at = via.find(kName);
    if (at == std::string_view::npos) return;
    Cursor cursor{via, at + kName.size()};
    const auto port = cursor.number(65535);
    if (port && *port == context_.sent().destination_port)
      edits_.add(via.substr(at + kName.size(), cursor.at() - at - kName.size()),
                 std::to_string(context_.received().destination_port));
  }

 private:
  static bool is_word(char c) {
    return is_digit(c) || (upper(c) >= 'A' && upper(c) <= 'Z') || c == '.' || c == '-' || c == '_';
  }
  // Of what may be an address and begins here: digits and dots, or brackets around IPv6.
  static std::size_t address_size(std::string_view text, std::size_t at) {
    if (text[at] == '[') {
      const std::size_t end = text.find(']', at);
      return end == std::string_view::npos ? 0 : end + 1 - at;
    }
    if (!is_digit(text[at]) || (at != 0 && is_word(text[at - 1]))) return 0;
    const std::size_t end = std::min(text.find_first_not_of("0123456789.", at), text.size());
    return end < text.size() && is_word(text[end]) ? 0 : end - at;
  }
  static std::string_view bare(std::string_view text) {
    return text[0] == '[' ? text.substr(1, text.size() - 2) : text;
  }
  static std::size_t port_size(std::string_view rest) {
    if (rest.size() < 2 || rest[0] != ':' || !is_digit(rest[1])) return 0;
    return std::min(rest.find_first_not_of("0123456789", 1), rest.size());
  }

  void translate_one(std::string_view whole, net::IpAddress address, std::size_t size,
                     Place place) {
    const bool has_port = whole.size() > size;
    const auto written = has_port ? Cursor{whole, size + 1}.number(65535) : kDefaultPort;
    if (!written) return context_.refuse(Refusal::malformed);
    const net::Endpoint from{address, static_cast<net::Port>(*written)};
    const auto to = receiver_of(from, place);
    if (!to || to->address.family() != address.family()) return;
    std::string text = to->address.is_v4() ? to->address.text() : "[" + to->address.text() + "]";
    if (has_port || to->port != from.port) text += ":" + std::to_string(to->port);
    edits_.add(whole, std::move(text));
  }

  std::optional<net::Endpoint> receiver_of(net::Endpoint from, Place place) {
    const Tuple& sent = context_.sent();
    const Tuple& received = context_.received();
    if (from == sent.source()) return received.source();
    if (from == sent.destination()) return received.destination();
    if (from.address == sent.source_address) {
      if (place == Place::named) return net::Endpoint{received.source_address, from.port};
      return context_.announce({.protocol = self_.protocol,
                                .own = from,
                                .is_of_call = true,
                                .child = &self_,
                                .life = life_});
    }
    if (from.address != sent.destination_address) return std::nullopt;
    if (const auto own = context_.announced(from.port, false)) return own;
    return net::Endpoint{received.destination_address, from.port};
  }

  Context& context_;
  Edits& edits_;
  const Helper& self_;
  Duration life_;
};

void read(Context& context, const Helper& self, std::string_view text) {
  const std::size_t end = std::min(text.find(kEndOfHeaders), text.size());
  const std::string_view headers = text.substr(0, end);
  const std::string_view body = text.substr(std::min(end + kEndOfHeaders.size(), text.size()));
  const bool registers = text.starts_with("REGISTER ");
  Edits edits{context};
  bool is_sdp = false;
  std::string_view length;
  for_each_line(headers, [&](std::string_view line) {
    if (const auto type = value_of(line, "CONTENT-TYPE", 'C'))
      is_sdp = type->find("application/sdp") != std::string_view::npos;
    if (const auto value = content_length(line)) length = *value;
  });
  if (is_sdp && !length.empty() && Cursor{length}.number(kMostMessage) != body.size())
    return context.refuse(Refusal::malformed);
  if (is_sdp) read_sdp(context, edits, body, kRinging);
  if (!length.empty() && edits.growth() != 0)
    edits.add(length, std::to_string(body.size() + edits.growth()));
  Translator translator{context, edits, self, registers ? Duration{kRegistered} : kRinging};
  bool is_first = true;
  for_each_line(headers, [&](std::string_view line) {
    if (std::exchange(is_first, false)) return translator.translate(line, Place::named);
    if (const auto via = value_of(line, "VIA", 'V')) {
      translator.translate(*via, Place::heard);
      translator.translate_rport(*via);
    } else if (const auto contact = value_of(line, "CONTACT", 'M')) {
      translator.translate(*contact, Place::heard);
    }
    constexpr std::pair<std::string_view, char> kNamed[] = {
        {"FROM", 'F'}, {"TO", 'T'}, {"ROUTE", '\0'}, {"RECORD-ROUTE", '\0'}};
    for (const auto& [name, brief] : kNamed)
      if (const auto value = value_of(line, name, brief))
        translator.translate(*value, Place::named);
  });
  if (!edits.apply()) context.refuse(Refusal::line_too_long);
}

void parse(Context& context, const Helper& self) {
  const std::string_view text = characters(context.message());
  if (text.find_first_not_of(std::string_view{"\r\n\0", 3}) == std::string_view::npos) return;
  if (!is_message(text)) {
    context.refuse(Refusal::foreign);
    if (self.protocol == net::Protocol::tcp) context.stop();
    return;
  }
  read(context, self, text);
}

constexpr net::Port kPorts[] = {kDefaultPort};

}  // namespace

const Helper kSip{.name = "sip",
                  .protocol = net::Protocol::udp,
                  .ports = kPorts,
                  .parse = [](Context& context) noexcept { parse(context, kSip); },
                  .most_expected = 16,
                  .timeout = kRinging,
                  .needs_networks = true,
                  .may_be_wide = true,
                  .keeps = kRegistered};
const Helper kSipTcp{.name = "sip_tcp",
                     .protocol = net::Protocol::tcp,
                     .ports = kPorts,
                     .measure = measure,
                     .parse = [](Context& context) noexcept { parse(context, kSipTcp); },
                     .most_held = kMostMessage,
                     .most_expected = 16,
                     .timeout = kRinging,
                     .needs_networks = true,
                     .may_be_wide = true};

}  // namespace masqgate::helper
