// IPsec without encapsulation: ISAKMP (RFC 2408, RFC 7296) of several hosts from port 500, and ESP
// (RFC 4303) by its index. History 5.19, after the masquerading of Linux 2.0 and 2.2.
//
//   alice ── ISAKMP, cookie A ──▶ gateway ◀── ISAKMP, cookie B ── bob       both from 203.0.113.7:500
//   alice ── ESP, index X ──▶ gateway       pending: the next unknown index from there is alice's
//   alice ◀── ESP, index Y ── gateway       Y is alice's from now on; bob's turn
//
// Answers of ISAKMP are told apart by the initiator's cookie, which is a part of the tuple. An
// index of ESP is its receiver's choice and told under encryption, so each direction is a
// conversation of its own, and the first answer is a guess: only one host may wait for the same
// gateway at a time, for two minutes. What others send there under an index that nobody knows
// waits: it is dropped, and they send again. An unknown index that nobody waits for is nobody's:
// nothing is guessed from who has spoken ISAKMP, and nothing is copied. UDP encapsulation (port
// 4500, RFC 3948) is UDP like any other; AH cannot be translated.

#include "daemon/helper/registry.hpp"

namespace masqgate::helper {
namespace {

constexpr std::chrono::minutes kKept{30}, kPending{2};
constexpr std::size_t kHeader = 8;  // index, sequence number

// What comes back by an index of its own.
constexpr Helper kAnswers{.name = "ipsec",
                          .protocol = net::Protocol::esp,
                          .ports = {},
                          .parse = [](Context&) noexcept {},
                          .keeps = kKept};

void parse(Context& context) noexcept {
  const Tuple& sent = context.sent();
  if (sent.protocol != net::Protocol::esp || !context.from_client()) return;
  if (context.message().size() < kHeader || wire::load32(context.message(), 0) == 0) {
    context.refuse(Refusal::malformed);
    return context.hold();
  }
  const bool is_keyed =
      sent.spi() != 0;  // else it came from outside, where nobody asks for answers
  if (!is_keyed || context.has_child() || context.announced(0, true)) return;
  const Announcement answers{
      .protocol = net::Protocol::esp, .own = {sent.source_address, 0}, .child = &kAnswers};
  if (!context.announce(answers)) context.hold();
}

constexpr net::Port kPorts[] = {500};

}  // namespace

const Helper kIpsec{.name = "ipsec",
                    .protocol = net::Protocol::udp,
                    .ports = kPorts,
                    .parse = parse,
                    .timeout = kPending,
                    .keeps = kKept,
                    .beside = net::Protocol::esp,
                    .binds = true};

}  // namespace masqgate::helper
