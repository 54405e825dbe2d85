#include "daemon/path/syn_proxy.hpp"

#include "daemon/helper/surgery.hpp"
#include "daemon/icmp/sender.hpp"
#include "daemon/packet/tcp_segment.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/wire/ipv4.hpp"
#include "daemon/wire/ipv6.hpp"

namespace masqgate::path {
namespace {

using conntrack::Connection;
using conntrack::TcpState;

constexpr std::uint8_t kSyn = wire::TcpFlags::kSyn, kAck = wire::TcpFlags::kAck;

// The same ends may begin anew (RFC 9293 3.10.7.4, RFC 6191).
bool is_over(const Connection& connection) {
  return connection.tcp_state == TcpState::time_wait || connection.tcp_state == TcpState::close ||
         connection.tcp_state == TcpState::last_ack;
}

bool is_guarded(const Policy& policy, const Packet& packet) {
  for (const SynProxyRule& rule : policy.syn_proxy)
    if (rule.ingress == packet.ingress && rule.selector.fits(packet.tuple)) return true;
  return false;
}

bool is_sound(const Packet& packet) {
  return !packet.is_fragment && !packet.link_group &&
         icmp::is_single_sender(packet.tuple.source_address) &&
         icmp::is_single_sender(packet.tuple.destination_address) &&
         helper::checksum_is_right(packet);
}

std::uint16_t headers(const Packet& packet) {
  const std::size_t network = packet.is_v4() ? wire::Ipv4::kHeaderSize : wire::Ipv6::kHeaderSize;
  return static_cast<std::uint16_t>(network + wire::Tcp::kHeaderSize);
}

// What the client asks for, or what it takes without asking (RFC 9293 3.7.1).
std::uint16_t mss_of(const Packet& syn) {
  const auto option = wire::find_tcp_option(wire::Tcp::parse(syn.transport())->options(), 2, 4);
  if (!option.empty()) return wire::load16(option, 2);
  return syn.is_v4() ? 536 : 1220;
}

std::uint8_t hop_limit(const Packet& packet) {
  constexpr std::size_t kV4 = 8, kV6 = 7;
  return wire::load8(packet.frame.ip(), packet.is_v4() ? kV4 : kV6);
}

// Where it stands, with all that is known of its way.
bool replace(Packet& packet, const TcpSegment& segment) {
  const Tuple tuple = packet.tuple;
  write_segment(packet.frame, tuple, segment);
  return !parse(packet);
}

}  // namespace

Verdict SynProxy::arrive(Packet& packet) {
  const Policy& policy = shard_.policy();
  if (policy.syn_proxy.empty() || packet.tuple.protocol != net::Protocol::tcp ||
      packet.fragment_offset != 0 || !is_guarded(policy, packet))
    return Verdict::accept();
  const conntrack::Found found = shard_.connections().find(packet.tuple);
  const wire::TcpFlags flags = packet.tcp_flags;
  if (found.connection != nullptr && !is_over(*found.connection)) {
    const bool waits = found.direction == Direction::original && flags.ack() && !flags.syn() &&
                       !flags.rst() && found.connection->tcp_state == TcpState::syn_sent;
    const auto* opening = waits ? openings_.find(packet.tuple) : nullptr;
    return opening != nullptr ? ask_server(packet, *opening) : Verdict::accept();
  }
  if (flags.rst()) return Verdict::accept();  // ends nothing
  if (!is_sound(packet)) return Verdict::drop(DropReason::malformed_transport);
  if (flags.syn() && !flags.ack()) return answer_syn(packet);
  return open(packet);
}

Verdict SynProxy::answer_syn(const Packet& syn) {
  Packet answer;
  answer.frame = shard_.frames().take();
  if (!answer.frame) return Verdict::drop(DropReason::no_frames);
  const std::uint32_t number = wire::Tcp::parse(syn.transport())->sequence();
  const auto mtu = static_cast<std::uint16_t>(std::min(shard_.port(syn.ingress).mtu, 65535u));
  write_segment(answer.frame, syn.tuple.inverted(),
                {.sequence = cookies_.make(syn.tuple, number, mss_of(syn), shard_.now()),
                 .acknowledgement = number + 1,
                 .flags = {kSyn | kAck},
                 .mss = static_cast<std::uint16_t>(mtu - headers(syn))});
  ++counters_.answered;
  shard_.count_consumed();
  shard_.send_made(answer, syn.ingress);
  return Verdict::stolen();
}

Verdict SynProxy::open(Packet& ack) {
  const wire::Tcp tcp = *wire::Tcp::parse(ack.transport());
  const std::uint32_t number = tcp.sequence() - 1, cookie = tcp.acknowledgement() - 1;
  const auto mss = cookies_.check(ack.tuple, number, cookie, shard_.now());
  const conntrack::Found old = shard_.connections().find(ack.tuple);
  if (!mss || !ack.tcp_flags.ack() || ack.tcp_flags.syn()) {
    if (old.connection != nullptr) return Verdict::accept();  // its last words
    ++counters_.refused;
    return Verdict::drop(DropReason::out_of_window);
  }
  if (old.connection != nullptr) shard_.connections().remove(*old.connection);
  const syn_proxy::Opening opening{
      ack.tuple, number, cookie, *mss, tcp.window(), shard_.now() + syn_proxy::Openings::kKept};
  openings_.put(opening);
  ++counters_.opened;
  return ask_server(ack, opening);
}

Verdict SynProxy::ask_server(Packet& packet, const syn_proxy::Opening& opening) {
  const bool is_good = replace(packet, {.sequence = opening.client,
                                        .flags = {kSyn},
                                        .window = opening.window,
                                        .mss = opening.mss,
                                        .hop_limit = hop_limit(packet)});
  return is_good ? Verdict::accept() : Verdict::drop(DropReason::malformed_ip);
}

void SynProxy::answer(Packet& packet) {
  Connection& connection = *packet.connection;
  const auto* known = openings_.find(connection.original);
  if (known == nullptr || packet.is_fragment || !packet.tcp_flags.ack()) return;
  const syn_proxy::Opening opening = *known;
  const wire::Tcp tcp = *wire::Tcp::parse(packet.transport());
  const std::uint32_t number = tcp.sequence();
  if (packet.tcp_flags.rst()) {  // no server there: the client shall believe it
    if (!connection.is_helped()) helper::set_number(packet, helper::kSequence, opening.cookie + 1);
    return;
  }
  if (!packet.tcp_flags.syn()) return;
  connection.set_helped(true);
  connection.set_session(Connection::kNoSession);
  connection.set_numbers(Direction::original, 0, false);
  connection.set_numbers(Direction::reply, opening.cookie - number, false);
  const std::uint16_t window = tcp.window();
  Packet ack;
  ack.frame = shard_.frames().take();
  if (!ack.frame) return;  // the server repeats itself
  write_segment(ack.frame, packet.tuple.inverted(),
                {.sequence = opening.client + 1,
                 .acknowledgement = number + 1,
                 .flags = {kAck},
                 .window = opening.window});
  shard_.send_made(ack, packet.ingress);
  replace(packet, {.sequence = number + 1,
                   .acknowledgement = opening.client + 1,
                   .flags = {kAck},
                   .window = window,
                   .hop_limit = hop_limit(packet)});
}

}  // namespace masqgate::path
