// CU-SeeMe: sender, receiver and clients inside the packets to and from a reflector. History 5.4.
//
//   0 family, port, address of the receiver    8 of the sender    22 data type    54 clients of 12 bytes
//
// Nothing is opened: the reflector answers to where the packets come from.

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"

namespace masqgate::helper {
namespace {

constexpr std::size_t kHeaderSize = 26, kReceiver = 2, kSender = 10, kDataType = 22;
constexpr std::size_t kFirstClient = 56, kClientSize = 12;
constexpr std::uint16_t kOpenContinue = 101;

void translate(Context& context, std::size_t offset) {
  const wire::Bytes message = context.message();
  const net::Endpoint written{*address_at(message, offset + 2), wire::load16(message, offset)};
  const net::Endpoint shown = as_received(context, written);
  if (shown != written && shown.address.is_v4())
    context.replace(offset, 6, big16(shown.port) + big32(shown.address.v4_number()));
}

void parse(Context& context) noexcept {
  const wire::Bytes message = context.message();
  if (message.size() < kHeaderSize) return context.refuse(Refusal::foreign);
  translate(context, kReceiver);
  translate(context, kSender);
  if (wire::load16(message, kDataType) != kOpenContinue) return;
  for (std::size_t at = kFirstClient; at + kClientSize <= message.size(); at += kClientSize) {
    const net::IpAddress shown = as_received(context, *address_at(message, at));
    if (shown != *address_at(message, at)) return put_address(context, at, shown);
  }
}

constexpr net::Port kPorts[] = {7648};

}  // namespace

const Helper kCuseeme{.name = "cuseeme",
                      .protocol = net::Protocol::udp,
                      .ports = kPorts,
                      .parse = parse,
                      .classic_name = "cuseeme"};

}  // namespace masqgate::helper
