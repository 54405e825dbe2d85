// SDP (RFC 4566; RFC 3605 for a=rtcp). History 5.18.
//
//   o=… IN IP4 192.168.1.10      c=IN IP4 192.168.1.10      m=audio 4000 RTP/AVP 0      a=rtcp:4001
//
// A medium without a c= of its own has the session's; with none at all it has no address, and
// nothing is announced for it (K-13). The address 0.0.0.0 is a call on hold (RFC 3264 8.4), port 0
// a refused medium.

#include "daemon/helper/sdp.hpp"

namespace masqgate::helper {
namespace {

// The text's next line, which it loses; without its end.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find(kLineFeed), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return without_end(line);
}

// What stands behind "IN IP4 " or "IN IP6 ", up to a blank or a slash.
std::string_view address_text(std::string_view line) {
  for (const std::string_view kind : {"IN IP4 ", "IN IP6 "}) {
    const std::size_t at = line.find(kind);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = line.substr(at + kind.size());
    return rest.substr(0, rest.find_first_of(" /"));
  }
  return {};
}

// The connection address that holds for a medium: its own c= line, which follows it, or the
// session's.
std::optional<net::IpAddress> media_address(std::string_view rest,
                                            std::optional<net::IpAddress> session) {
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.starts_with("m=")) break;
    if (line.starts_with("c=")) return net::IpAddress::parse(address_text(line));
  }
  return session;
}

struct Medium {
  net::IpAddress address;
  net::Port port = 0;  // 0: nothing is to be opened
  std::optional<net::Endpoint> shown;
};

// m=audio 4000 RTP/AVP 0, or m=audio 4000/2 …, of which the first pair counts.
Medium read_medium(Context& context, Edits& edits, std::string_view line, std::string_view rest,
                   std::optional<net::IpAddress> session, Duration life) {
  Medium medium;
  Cursor cursor{line};
  const std::size_t from = cursor.skip_to(' ') && cursor.take(' ') ? cursor.at() : line.size();
  const auto port = Cursor{line, from}.number(65535);
  if (!port) {
    context.refuse(Refusal::malformed);
    return medium;
  }
  const auto address = media_address(rest, session);
  if (*port == 0 || !address) {
    if (!address) context.refuse(Refusal::malformed);
    return medium;
  }
  if (address->is_unspecified()) return medium;
  medium.address = *address;
  medium.port = static_cast<net::Port>(*port);
  const bool is_rtp = line.find(" RTP/") != std::string_view::npos && medium.port != 65535;
  medium.shown = context.announce({.protocol = net::Protocol::udp,
                                   .own = {medium.address, medium.port},
                                   .is_of_call = true,
                                   .is_pair = is_rtp,
                                   .life = life});
  if (medium.shown)
    edits.add(line.substr(from, std::to_string(*port).size()), std::to_string(medium.shown->port));
  return medium;
}

// RTCP on a port of its own; beside RTP it is announced already.
void read_rtcp(Context& context, Edits& edits, std::string_view line, const Medium& medium,
               Duration life) {
  constexpr std::size_t kBegin = 7;  // of the port, behind "a=rtcp:"
  Cursor cursor{line, kBegin};
  const auto port = cursor.number(65535);
  if (!port || medium.port == 0 || !medium.shown) return;
  net::Port shown = static_cast<net::Port>(medium.shown->port + 1);
  if (*port != medium.port + 1u) {
    const auto own = context.announce({.protocol = net::Protocol::udp,
                                       .own = {medium.address, static_cast<net::Port>(*port)},
                                       .is_of_call = true,
                                       .life = life});
    if (!own) return;
    shown = own->port;
  }
  edits.add(line.substr(kBegin, cursor.at() - kBegin), std::to_string(shown));
}

}  // namespace

void read_sdp(Context& context, Edits& edits, std::string_view body, Duration life) {
  const net::IpAddress own = context.sent().source_address;
  const net::IpAddress shown = context.received().source_address;
  std::optional<net::IpAddress> session;
  Medium medium;
  bool is_in_medium = false;
  while (!body.empty()) {
    const std::string_view line = take_line(body);
    const bool is_connection = line.starts_with("c=");
    if (is_connection || line.starts_with("o=") || line.starts_with("a=rtcp:")) {
      const std::string_view text = address_text(line);
      const auto address = net::IpAddress::parse(text);
      if (is_connection && !is_in_medium) session = address;
      if (address == own) edits.add(text, shown.text());
    }
    if (line.starts_with("a=rtcp:")) read_rtcp(context, edits, line, medium, life);
    if (!line.starts_with("m=")) continue;
    is_in_medium = true;
    medium = read_medium(context, edits, line, body, session, life);
  }
}

}  // namespace masqgate::helper
