#include "daemon/helper/speaker.hpp"

#include <algorithm>

namespace masqgate::helper {
namespace {

using conntrack::Connection;

constexpr net::Port kFirstHighPort = 1024;
constexpr net::PortRange kReserved{512, 1023};  // those that rshd takes for a privileged user's

// What a connection that shares its master's endpoint takes over, so that the ring agrees.
constexpr std::uint16_t kOfMapping =
    Connection::kMapped | Connection::kMappedByAddress | Connection::kMappedByConnection |
    Connection::kFilterByAddress | Connection::kFilterNobody | Connection::kShared;

// Nobody's network inside (RFC 1918, RFC 6598), and one host.
bool is_public(net::IpAddress address) {
  constexpr struct {
    std::uint32_t network, mask;
  } kInside[] = {{0x0a000000, 0xff000000}, {0xac100000, 0xfff00000}, {0xc0a80000, 0xffff0000},
                 {0x64400000, 0xffc00000}, {0x00000000, 0xff000000}, {0xe0000000, 0xe0000000}};
  if (!address.is_v4() || address.is_loopback() || address.is_link_local()) return false;
  return std::ranges::none_of(
      kInside, [&](const auto& n) { return (address.v4_number() & n.mask) == n.network; });
}

}  // namespace

// Who waits for whom, as far as the connection says it: each side goes on seeing the other by the
// address by which it knows it here.
Expectation Helpers::Speaker::draft(const Announcement& what) const {
  const Tuple& sent = connection_.tuple(direction_);
  const Tuple& answers = connection_.tuple(opposite(direction_));
  Expectation e;
  e.helper = session_.helper;
  e.child = what.child;
  e.session = connection_.session();
  e.master = connection_.original;
  e.announced_by_client = direction_ == Direction::original;
  e.protocol = what.protocol;
  e.from_anybody =
      what.from_anybody || (what.is_of_call && helpers_.settings_->services[session_.service].wide);
  e.from = answers.source_address;
  e.from_port = what.from_port;
  e.inside = {sent.source_address, what.own.port};
  e.outside = {answers.destination_address, what.own.port};
  if (what.is_listed) e.inside = e.outside = what.own;
  e.appears_as = sent.destination_address;
  e.mapping_flags = Connection::kMapped | Connection::kMappedByConnection;
  // Who sends from where it listens, as UDP does, is to be seen there too.
  const bool is_udp = what.protocol == net::Protocol::udp && sent.protocol == what.protocol;
  if (is_udp && connection_.has(Connection::kMapped))
    e.mapping_flags = connection_.flags & kOfMapping;
  if (what.protocol == net::Protocol::esp) e.mapping_flags = Connection::kShared;
  e.mark = connection_.mark;
  e.made = now_;
  e.until = now_ + (what.life != Duration{} ? what.life : session_.helper->timeout);
  e.evidence = Evidence{message_};
  return e;
}

bool Helpers::Speaker::is_own_socket(const Announcement& what) const {
  const Tuple& sent = connection_.tuple(direction_);
  return what.protocol == sent.protocol && what.own.port == sent.source_port;
}

std::optional<Refusal> Helpers::Speaker::objection(const Announcement& what,
                                                   net::IpAddress shown) const {
  if (what.is_listed) {
    if (!is_public(what.own.address)) return Refusal::third_host;
  } else if (what.own.address != connection_.tuple(direction_).source_address &&
             what.own.address != shown) {
    return Refusal::third_host;
  }
  if (is_own_socket(what) || what.protocol == net::Protocol::gre) return std::nullopt;
  for (unsigned i = 0; i < (what.is_pair ? 2u : 1u); ++i) {
    const auto port = static_cast<net::Port>(what.own.port + i);
    if (port < session_.helper->least_port) return Refusal::low_port;
    if (helpers_.settings_->is_denied(port)) return Refusal::denied_port;
  }
  return std::nullopt;
}

// Whether the second of a pair stands beside the first one, or may.
bool Helpers::Speaker::has_neighbour(const Expectation& e, net::Endpoint first) const {
  const net::Endpoint inside{e.inside.address, static_cast<net::Port>(e.inside.port + 1)};
  const net::Endpoint outside{first.address, static_cast<net::Port>(first.port + 1)};
  nat::Mappings& mappings = helpers_.mappings_;
  auto second = helpers_.expectations_.promised_to(e.protocol, inside);
  if (!second) second = mappings.find_mapped(e.protocol, inside, outside.address, e.mapping_flags);
  const nat::Outside around{{}, {0, 0}, kNoPort, helpers_.rules_, &helpers_.forwards_};
  if (!second) second = mappings.find_free(e.protocol, outside, around, {.exactly = true});
  return second == outside;
}

// False if no port is free.
bool Helpers::Speaker::find_outside(Expectation& e, const Announcement& what) const {
  if (is_own_socket(what) && !what.is_pair) {
    // The speaker's socket of this very connection.
    e.outside.port = connection_.tuple(opposite(direction_)).destination_port;
    if (connection_.has(Connection::kMapped)) e.mapping_flags = connection_.flags & kOfMapping;
    return true;
  }
  if (e.outside.address == e.inside.address) return true;
  nat::Mappings& mappings = helpers_.mappings_;
  std::optional<net::Endpoint> free = helpers_.expectations_.promised_to(e.protocol, e.inside);
  if (!free) free = mappings.find_mapped(e.protocol, e.inside, e.outside.address, e.mapping_flags);
  if (free && what.is_pair && !has_neighbour(e, *free)) free.reset();
  if (!free) {
    const nat::Outside outside{{}, {0, 0}, kNoPort, helpers_.rules_, &helpers_.forwards_};
    nat::Mappings::Wish wish{.count = what.is_pair ? 2u : 1u, .exactly = what.keeps_port};
    if (e.inside.port < kFirstHighPort && e.protocol != net::Protocol::gre) wish.range = kReserved;
    free = mappings.find_free(e.protocol, e.outside, outside, wish);
  }
  if (!free || free->address != e.outside.address || helpers_.settings_->is_denied(free->port))
    return false;
  e.outside = *free;
  return true;
}

// Whether what would come for this could be for another host that waits there already, or for the
// router itself.
bool Helpers::Speaker::is_anothers(const Expectation& e) const {
  if (e.protocol != net::Protocol::esp) return false;
  const Connection* own = helpers_.table_.find(e.tuple()).connection;
  if (own != nullptr && own->has(Connection::kLocal)) return true;
  const auto other = helpers_.expectations_.find(e.tuple());
  return other && helpers_.expectations_.at(*other).inside != e.inside;
}

// The expectation that says this already.
std::optional<std::uint16_t> Helpers::Speaker::same(const Expectation& e) const {
  for (std::size_t i = 0; i < session_.expected_count; ++i) {
    const Expectation& other = helpers_.expectations_.at(session_.expected[i]);
    if (other.protocol == e.protocol && other.inside == e.inside && other.from == e.from &&
        other.from_anybody == e.from_anybody && other.from_port == e.from_port)
      return session_.expected[i];
  }
  return std::nullopt;
}

// False if the connection may have no more.
bool Helpers::Speaker::make_room(std::size_t count) {
  const std::size_t most = std::min(session_.helper->most_expected, kMostExpected);
  while (session_.expected_count + count > most) {
    if (!session_.helper->replaces || session_.expected_count == 0) return false;
    const std::uint16_t oldest = session_.expected.front();
    helpers_.forget_expectation(oldest);
    helpers_.expectations_.remove(oldest, Outcome::replaced, now_);
  }
  return true;
}

// Says why not.
std::optional<Refusal> Helpers::Speaker::expect(Expectation& e, const Announcement& what) {
  if (const auto why = objection(what, e.outside.address)) return why;
  if (const auto number = same(e)) {
    helpers_.expectations_.refresh(*number, e.until);
    e.outside = helpers_.expectations_.at(*number).outside;
    if (!what.is_pair) return std::nullopt;
  } else {
    if (is_anothers(e)) return Refusal::pending;
    if (!make_room(what.is_pair ? 2 : 1)) return Refusal::too_many;
    if (!find_outside(e, what)) return Refusal::no_endpoint;
  }
  for (unsigned i = 0; i < (what.is_pair ? 2u : 1u); ++i) {
    Expectation one = e;
    one.inside.port = static_cast<net::Port>(e.inside.port + i);
    one.outside.port = static_cast<net::Port>(e.outside.port + i);
    if (const auto number = same(one)) {
      helpers_.expectations_.refresh(*number, e.until);
      continue;
    }
    const auto number = make_room(1) ? helpers_.expectations_.add(one) : std::nullopt;
    if (!number) return Refusal::no_room;
    session_.expected[session_.expected_count++] = *number;
    ++counters().announced;
  }
  return std::nullopt;
}

std::optional<net::Endpoint> Helpers::Speaker::announce(const Announcement& what) noexcept {
  Expectation e = draft(what);
  if (const auto why = expect(e, what)) {
    ++counters().refusals[static_cast<std::size_t>(*why)];
    e.inside = what.own;
    helpers_.expectations_.note_refusal(e, *why, now_);
    return std::nullopt;
  }
  return e.outside;
}

std::optional<net::Endpoint> Helpers::Speaker::announced(net::Port port, bool is_own) noexcept {
  for (std::size_t i = 0; i < session_.expected_count; ++i) {
    const Expectation& e = helpers_.expectations_.at(session_.expected[i]);
    if (is_own && e.inside.port == port) return e.outside;
    if (!is_own && e.outside.port == port) return e.inside;
  }
  return std::nullopt;
}

bool Helpers::Speaker::has_child() noexcept {
  return std::ranges::any_of(session_.children,
                             [&](const Kin& kin) { return helpers_.find(kin) != nullptr; });
}

void Helpers::Speaker::refuse(Refusal why) noexcept {
  ++counters().refusals[static_cast<std::size_t>(why)];
  Expectation about = draft({});
  about.inside.port = about.outside.port = 0;
  helpers_.expectations_.note_refusal(about, why, now_);
}

Measure Helpers::Reader::measure(wire::Bytes bytes) noexcept {
  if (session_.has_ended || (!from_client() && !session_.helper->looks_at_answers))
    return {Measure::Kind::end, 0};
  return session_.helper->measure(bytes, from_client(), session_.memory);
}

std::optional<wire::Bytes> Helpers::Reader::read(wire::Bytes message) noexcept {
  Speaker speaker{helpers_, session_, connection_, direction_, message, now_};
  const Tuple& sent = connection_.tuple(direction_);
  const Tuple received = connection_.translated(direction_);
  Context context{message, from_client(),    sent, received, session_.memory,
                  speaker, helpers_.message_};
  session_.helper->parse(context);
  const auto changed = context.changed();
  if (changed) ++helpers_.counters_[session_.service].changed;
  return changed;
}

void Helpers::Reader::line_too_long(wire::Bytes beginning) noexcept {
  Speaker{helpers_, session_, connection_, direction_, beginning, now_}.refuse(
      Refusal::line_too_long);
}

}  // namespace masqgate::helper
