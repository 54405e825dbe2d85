// ICQ [M]: who is logged in waits for others on TCP ports from 2000 to 2020. History 5.8: no layout of its
// packets is known for sure, so nothing in them is read but the version, and nothing is changed.
//
// What was a range of AUTOFW in the documents, open as long as its host spoke to UDP 4000, are
// expectations here: each port serves one stranger at a time, and lasts as long as the client goes on
// to report itself to the server, which it does every two minutes.

#include "daemon/helper/registry.hpp"

namespace masqgate::helper {
namespace {

constexpr net::Port kFirst = 2000, kLast = 2020;

void parse(Context& context) noexcept {
  constexpr std::uint8_t kOldest = 2, kNewest = 5;
  const wire::Bytes message = context.message();
  const bool sound = message.size() >= 4 && wire::load8(message, 0) >= kOldest &&
                     wire::load8(message, 0) <= kNewest && wire::load8(message, 1) == 0;
  if (!sound) return context.refuse(Refusal::foreign);
  for (net::Port port = kFirst; port <= kLast; ++port)
    context.announce(
        {.own = {context.sent().source_address, port}, .from_anybody = true, .keeps_port = true});
}

constexpr net::Port kPorts[] = {4000};

}  // namespace

const Helper kIcq{.name = "icq",
                  .protocol = net::Protocol::udp,
                  .ports = kPorts,
                  .looks_at_answers = false,
                  .parse = parse,
                  .most_expected = kLast - kFirst + 1,
                  .timeout = std::chrono::seconds{300}};

}  // namespace masqgate::helper
