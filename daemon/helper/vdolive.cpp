// VDO Live: the client's first two messages name the UDP port on which it waits for the picture. History
// 5.5; where a message ends it does not say, so a message here is what its port needs.

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {
namespace {

enum Word : std::size_t { kSeen };  // 1: the initial message, 2: the secondary one
enum Kind : std::uint32_t { kSecondary = 1, kInitial = 6 };

constexpr std::size_t kTag = 4, kHeaderSize = 8;
constexpr std::string_view kName = "VDO Live";

constexpr std::size_t size_of(std::uint32_t tag) {
  return tag == kInitial ? 36 : tag == kSecondary ? 20 : 0;
}
constexpr std::size_t name_of(std::uint32_t tag) {
  return tag == kInitial ? 24 : 8;
}

Measure measure(wire::Bytes bytes, bool, const Memory&) noexcept {
  if (bytes.size() < kHeaderSize) return {Measure::Kind::hold, 0};
  const std::size_t size = size_of(wire::load32(bytes, kTag));
  if (size == 0) return {Measure::Kind::whole, bytes.size()};
  if (bytes.size() < size) return {Measure::Kind::hold, 0};
  return {Measure::Kind::whole, size};
}

void parse(Context& context) noexcept {
  const wire::Bytes message = context.message();
  std::uint32_t& seen = context.memory()[kSeen];
  const std::uint32_t tag = message.size() < kHeaderSize ? 0 : wire::load32(message, kTag);
  const bool sound = size_of(tag) != 0 && message.size() >= size_of(tag) &&
                     characters(message).substr(name_of(tag)).starts_with(kName);
  if (!sound || (seen == 0 && tag != kInitial)) {
    context.refuse(Refusal::foreign);
    return context.stop();
  }
  seen |= tag == kInitial ? 1u : 2u;
  const std::size_t at = name_of(tag) + kName.size() + 2;
  const std::uint16_t port = wire::load16(message, at);
  const auto shown = context.announce(
      {.protocol = net::Protocol::udp, .own = {context.sent().source_address, port}});
  if (shown && shown->port != port) context.replace(at, 2, big16(shown->port));
  if (seen == 3) context.stop();
}

constexpr net::Port kPorts[] = {7000};

}  // namespace

const Helper kVdolive{.name = "vdolive",
                      .protocol = net::Protocol::tcp,
                      .ports = kPorts,
                      .looks_at_answers = false,
                      .measure = measure,
                      .parse = parse,
                      .classic_name = "VDOlive"};

}  // namespace masqgate::helper
