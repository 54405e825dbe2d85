// eggdrop [M]: a bot offers another one its list of users and waits for it. History 5.10.
//
//   s us 3232235786 5000 1024      address as one decimal number, port, size

#include <algorithm>

#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

enum Word : std::size_t { kHasBegun };  // the client has said its name
constexpr std::size_t kLongestName = 32;
constexpr std::string_view kOffer = "s us ";

bool is_printing(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

Measure measure(wire::Bytes bytes, bool from_client, const Memory& memory) noexcept {
  return measure_line(bytes, [&](std::string_view text) {
    return !from_client || memory[kHasBegun] != 0 || text.size() <= kLongestName + 1;
  });
}

void read_offer(Context& context, std::string_view line) {
  Cursor cursor{line, kOffer.size()};
  const auto address = cursor.number(0xffffffff);
  if (!address || !cursor.take(' ')) return context.refuse(Refusal::malformed);
  const auto port = cursor.number(65535);
  if (!port || !(cursor.at_end() || cursor.rest()[0] == ' '))
    return context.refuse(Refusal::malformed);
  const net::Endpoint own{net::IpAddress::v4(*address), static_cast<net::Port>(*port)};
  const auto shown = context.announce({.own = own});
  if (shown && *shown != own)
    context.replace(kOffer.size(), cursor.at() - kOffer.size(),
                    std::to_string(shown->address.v4_number()) + " " + std::to_string(shown->port));
}

void parse(Context& context) noexcept {
  const std::string_view line = without_end(characters(context.message()));
  std::uint32_t& begun = context.memory()[kHasBegun];
  if (context.from_client() && begun == 0) {
    const bool sound = !line.empty() && line.size() <= kLongestName && is_printing(line) &&
                       line.find(' ') == std::string_view::npos;
    begun = 1;
    if (sound) return;
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  if (begun != 0 && line.starts_with(kOffer)) read_offer(context, line);
}

constexpr net::Port kPorts[] = {3333};

}  // namespace

const Helper kEggdrop{.name = "eggdrop",
                      .protocol = net::Protocol::tcp,
                      .ports = kPorts,
                      .measure = measure,
                      .parse = parse};

}  // namespace masqgate::helper
