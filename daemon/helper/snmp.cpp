// SNMP (RFC 1157, 1905): the first octet of an agent's own addresses inside answers and traps. History
// 5.17.
//
// For networks that are shown under another number, one to one: an agent's address table reads as the
// manager sees the network. What is changed is decided by the connection's translation, so that where
// nothing is translated nothing is read. Nothing is opened.

#include "daemon/helper/binary.hpp"
#include "daemon/helper/registry.hpp"

namespace masqgate::helper {
namespace {

enum Tag : std::uint8_t {
  kInteger = 0x02,
  kOctets = 0x04,
  kObject = 0x06,
  kSequence = 0x30,
  kIpAddress = 0x40,
  kResponse = 0xa2,
  kTrap1 = 0xa4,
  kTrap2 = 0xa7,
};

// BER (X.690): values with a tag and a definite length, one after the other in [at, end).
class Values {
 public:
  Values(wire::Bytes bytes, std::size_t at, std::size_t end) : bytes_{bytes}, at_{at}, end_{end} {}

  bool at_end() const { return at_ == end_; }
  std::uint8_t tag = 0;
  std::size_t from = 0, size = 0;

  // The next value; false if there is none, or none that fits (K-16).
  bool next() {
    if (end_ - at_ < 2) return false;
    tag = wire::load8(bytes_, at_);
    size = wire::load8(bytes_, at_ + 1);
    from = at_ + 2;
    if (size >= kLong && !read_long_size()) return false;
    if (size > end_ - from) return false;
    at_ = from + size;
    return true;
  }
  bool next(std::uint8_t wanted) { return next() && tag == wanted; }
  Values inside() const { return {bytes_, from, from + size}; }

 private:
  static constexpr std::size_t kLong = 0x80;

  bool read_long_size() {
    const std::size_t octets = size - kLong;
    if (octets == 0 || octets > 2 || octets > end_ - from) return false;
    size = 0;
    for (std::size_t i = 0; i < octets; ++i) size = size << 8 | wire::load8(bytes_, from++);
    return true;
  }

  wire::Bytes bytes_;
  std::size_t at_, end_;
};

void map_address(Context& context, const Values& value) {
  const auto first = [](net::IpAddress a) {
    return static_cast<std::uint8_t>(a.v4_number() >> 24);
  };
  if (wire::load8(context.message(), value.from) != first(context.sent().source_address)) return;
  const char shown = static_cast<char>(first(context.received().source_address));
  context.replace(value.from, 1, {&shown, 1});
}

// enterprise, agent-addr, generic, specific, time
bool read_trap1(Context& context, Values& pdu) {
  if (!pdu.next(kObject) || !pdu.next()) return false;
  if ((pdu.tag != kIpAddress && pdu.tag != kOctets) || pdu.size != 4) return false;
  map_address(context, pdu);
  return pdu.next() && pdu.next() && pdu.next();
}

bool read_bindings(Context& context, Values& pdu) {
  if (!pdu.next(kSequence)) return false;
  Values list = pdu.inside();
  while (!list.at_end()) {
    if (!list.next(kSequence)) return false;
    Values binding = list.inside();
    if (!binding.next(kObject) || !binding.next()) return false;
    if (binding.tag != kIpAddress) continue;
    if (binding.size != 4) return false;
    map_address(context, binding);
  }
  return true;
}

bool read(Context& context) {
  const wire::Bytes message = context.message();
  Values whole{message, 0, message.size()};
  if (!whole.next(kSequence)) return false;
  Values parts = whole.inside();
  if (!parts.next(kInteger) || parts.size != 1) return false;
  const std::uint8_t version = wire::load8(message, parts.from);
  if (version > 1) return true;  // what is signed or encrypted stays
  if (!parts.next(kOctets) || !parts.next()) return false;
  const std::uint8_t kind = parts.tag;
  if (kind != kResponse && kind != kTrap1 && kind != kTrap2) return true;
  Values pdu = parts.inside();
  const bool begun = kind == kTrap1
                         ? read_trap1(context, pdu)
                         : pdu.next(kInteger) && pdu.next(kInteger) && pdu.next(kInteger);
  return begun && read_bindings(context, pdu);
}

void parse(Context& context) noexcept {
  if (!context.sent().source_address.is_v4() ||
      context.sent().source_address == context.received().source_address)
    return;
  if (!read(context)) context.refuse(Refusal::malformed);
}

constexpr net::Port kPorts[] = {161, 162};

}  // namespace

const Helper kSnmp{.name = "snmp", .protocol = net::Protocol::udp, .ports = kPorts, .parse = parse};

}  // namespace masqgate::helper
