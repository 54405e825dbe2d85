// ICMP (RFC 792, 950, 1191) and ICMPv6 (RFC 4443) messages: one shape, two sets of numbers.
//
// A query carries an identifier that plays the part of a port; an error quotes the packet that it
// is about.

#pragma once

#include <optional>

#include "daemon/net/endpoint.hpp"
#include "daemon/wire/bytes.hpp"
#include "daemon/wire/checksum.hpp"

namespace masqgate::wire {

namespace icmp {
inline constexpr std::uint8_t kEchoReply = 0, kUnreachable = 3, kSourceQuench = 4, kRedirect = 5,
                              kEcho = 8, kTimeExceeded = 11, kParameterProblem = 12,
                              kTimestamp = 13, kTimestampReply = 14, kInformation = 15,
                              kInformationReply = 16, kMask = 17, kMaskReply = 18;
inline constexpr std::uint8_t kNetUnreachable = 0, kHostUnreachable = 1, kProtocolUnreachable = 2,
                              kPortUnreachable = 3, kFragmentationNeeded = 4, kProhibited = 13;
}  // namespace icmp

namespace icmpv6 {
inline constexpr std::uint8_t kUnreachable = 1, kTooBig = 2, kTimeExceeded = 3,
                              kParameterProblem = 4, kEcho = 128, kEchoReply = 129;
inline constexpr std::uint8_t kNoRoute = 0, kProhibited = 1, kAddressUnreachable = 3,
                              kPortUnreachable = 4;
}  // namespace icmpv6

template <typename Byte>
class IcmpView {
 public:
  static constexpr std::size_t kHeaderSize = 8;
  static constexpr std::size_t kChecksumOffset = 2;
  static constexpr std::size_t kIdentifierOffset = 4;

  static std::optional<IcmpView> parse(std::span<Byte> bytes) {
    if (bytes.size() < kHeaderSize) return std::nullopt;
    return IcmpView{bytes};
  }

  std::uint8_t type() const { return load8(bytes_, 0); }
  std::uint8_t code() const { return load8(bytes_, 1); }
  std::uint16_t checksum() const { return load16(bytes_, kChecksumOffset); }
  std::uint16_t identifier() const { return load16(bytes_, kIdentifierOffset); }
  std::uint32_t rest() const { return load32(bytes_, 4); }
  std::span<Byte> payload() const { return bytes_.subspan(kHeaderSize); }
  std::span<Byte> bytes() const { return bytes_; }

  // bytes: header and payload, the payload written already. pseudo_sum: zero for ICMP of IPv4.
  static void emit(MutableBytes bytes, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
                   std::uint16_t pseudo_sum) {
    store8(bytes, 0, type);
    store8(bytes, 1, code);
    store16(bytes, kChecksumOffset, 0);
    store32(bytes, 4, rest);
    store16(bytes, kChecksumOffset, complement(add(sum(bytes), pseudo_sum)));
  }

 private:
  explicit IcmpView(std::span<Byte> bytes) : bytes_{bytes} {}
  std::span<Byte> bytes_;
};

using Icmp = IcmpView<const std::byte>;
using MutableIcmp = IcmpView<std::byte>;

// The ICMP of a family; the other one's number means nothing there.
constexpr net::Protocol icmp_protocol(net::Family family) {
  return family == net::Family::v4 ? net::Protocol::icmp : net::Protocol::icmpv6;
}

enum class IcmpKind : std::uint8_t { request, reply, error, other };

// What kind of message a type is. Redirects count as errors, because they quote a packet.
constexpr IcmpKind icmp_kind(net::Family family, std::uint8_t type) {
  if (family == net::Family::v6) {
    if (type == icmpv6::kEcho) return IcmpKind::request;
    if (type == icmpv6::kEchoReply) return IcmpKind::reply;
    return type >= icmpv6::kUnreachable && type <= icmpv6::kParameterProblem ? IcmpKind::error
                                                                             : IcmpKind::other;
  }
  switch (type) {
    case icmp::kEcho:
    case icmp::kTimestamp:
    case icmp::kInformation:
    case icmp::kMask:
      return IcmpKind::request;
    case icmp::kEchoReply:
    case icmp::kTimestampReply:
    case icmp::kInformationReply:
    case icmp::kMaskReply:
      return IcmpKind::reply;
    case icmp::kUnreachable:
    case icmp::kSourceQuench:
    case icmp::kRedirect:
    case icmp::kTimeExceeded:
    case icmp::kParameterProblem:
      return IcmpKind::error;
    default:
      return IcmpKind::other;
  }
}

// The type that asks for this reply type, and the other way round.
constexpr std::uint8_t icmp_request_of(net::Family family, std::uint8_t reply) {
  if (family == net::Family::v6) return icmpv6::kEcho;
  return reply == icmp::kEchoReply ? icmp::kEcho : static_cast<std::uint8_t>(reply - 1);
}
constexpr std::uint8_t icmp_reply_of(net::Family family, std::uint8_t request) {
  if (family == net::Family::v6) return icmpv6::kEchoReply;
  return request == icmp::kEcho ? icmp::kEchoReply : static_cast<std::uint8_t>(request + 1);
}

}  // namespace masqgate::wire
