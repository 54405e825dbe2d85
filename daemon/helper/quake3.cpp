// Quake III: the master server's list of servers, to each of which the client may go. History 5.7.
//
//   ff ff ff ff "getserversResponse" "\" address, port "\" address, port "\" …
//
// Where the firewall lets the client out anyway nothing is gained; addresses that are not public are
// refused, so that no list opens a way into another network inside.

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

constexpr std::string_view kAnswer{"\xff\xff\xff\xffgetserversResponse"};
constexpr std::size_t kFirst = 23, kRecord = 7;

void parse(Context& context) noexcept {
  const wire::Bytes message = context.message();
  if (context.from_client() || !characters(message).starts_with(kAnswer)) return;
  for (std::size_t at = kFirst; at + kRecord <= message.size(); at += kRecord) {
    if (characters(message)[at - 1] != '\\') return context.refuse(Refusal::malformed);
    context.announce({.protocol = net::Protocol::udp,
                      .own = {*address_at(message, at), wire::load16(message, at + 4)},
                      .is_listed = true});
  }
}

constexpr net::Port kPorts[] = {27950};

}  // namespace

const Helper kQuake3{.name = "quake3",
                     .protocol = net::Protocol::udp,
                     .ports = kPorts,
                     .parse = parse,
                     .most_expected = 64};

}  // namespace masqgate::helper
