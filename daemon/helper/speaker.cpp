#include "daemon/helper/speaker.hpp"

#include <algorithm>

namespace masqgate::helper {
namespace {

using conntrack::Connection;

constexpr net::Port kFirstHighPort = 1024;

// What a connection that shares its master's endpoint takes over, so that the ring agrees.
constexpr std::uint16_t kOfMapping =
    Connection::kMapped | Connection::kMappedByAddress | Connection::kMappedByConnection |
    Connection::kFilterByAddress | Connection::kFilterNobody | Connection::kShared;

}  // namespace

// Who waits for whom, as far as the connection says it: each side goes on seeing the other by the
// address by which it knows it here.
Expectation Helpers::Speaker::draft(const Announcement& what) const {
  const Tuple& sent = connection_.tuple(direction_);
  const Tuple& answers = connection_.tuple(opposite(direction_));
  Expectation e;
  e.helper = session_.helper;
  e.session = connection_.session();
  e.master = connection_.original;
  e.announced_by_client = direction_ == Direction::original;
  e.protocol = what.protocol;
  e.from_anybody = what.from_anybody;
  e.from = answers.source_address;
  e.from_port = what.from_port;
  e.inside = {sent.source_address, what.own.port};
  e.outside = {answers.destination_address, what.own.port};
  e.appears_as = sent.destination_address;
  e.mapping_flags = Connection::kMapped | Connection::kMappedByConnection;
  e.mark = connection_.mark;
  e.made = now_;
  e.until = now_ + session_.helper->timeout;
  e.evidence = Evidence{message_};
  return e;
}

std::optional<Refusal> Helpers::Speaker::objection(const Announcement& what,
                                                   net::IpAddress shown) const {
  const Tuple& sent = connection_.tuple(direction_);
  if (what.own.address != sent.source_address && what.own.address != shown)
    return Refusal::third_host;
  if (what.protocol == sent.protocol && what.own.port == sent.source_port) return std::nullopt;
  if (what.own.port < kFirstHighPort) return Refusal::low_port;
  if (helpers_.settings_->is_denied(what.own.port)) return Refusal::denied_port;
  return std::nullopt;
}

// False if no port is free.
bool Helpers::Speaker::find_outside(Expectation& e, const Announcement& what) const {
  const Tuple& sent = connection_.tuple(direction_);
  const Tuple& answers = connection_.tuple(opposite(direction_));
  if (what.protocol == sent.protocol && what.own.port == sent.source_port) {
    e.outside.port = answers.destination_port;  // the speaker's socket of this very connection
    if (connection_.has(Connection::kMapped)) e.mapping_flags = connection_.flags & kOfMapping;
    return true;
  }
  if (e.outside.address == e.inside.address) return true;
  const nat::Outside outside{{}, {0, 0}, kNoPort, helpers_.rules_, &helpers_.forwards_};
  const auto free = helpers_.mappings_.find_free(e.protocol, e.outside, outside);
  if (!free || helpers_.settings_->is_denied(free->port)) return false;
  e.outside = *free;
  return true;
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

bool Helpers::Speaker::make_room() {
  const std::size_t most = std::min(session_.helper->most_expected, kMostExpected);
  if (session_.expected_count < most) return true;
  if (!session_.helper->replaces) return false;
  const std::uint16_t oldest = session_.expected.front();
  helpers_.forget_expectation(oldest);
  helpers_.expectations_.remove(oldest, Outcome::replaced, now_);
  return true;
}

std::optional<net::Endpoint> Helpers::Speaker::announce(const Announcement& what) noexcept {
  Expectation e = draft(what);
  const auto refused = [&](Refusal why) -> std::optional<net::Endpoint> {
    ++counters().refusals[static_cast<std::size_t>(why)];
    e.inside = what.own;
    helpers_.expectations_.note_refusal(e, why, now_);
    return std::nullopt;
  };
  if (const auto why = objection(what, e.outside.address)) return refused(*why);
  if (const auto number = same(e)) {
    helpers_.expectations_.refresh(*number, e.until);
    return helpers_.expectations_.at(*number).outside;
  }
  if (!make_room()) return refused(Refusal::too_many);
  if (!find_outside(e, what)) return refused(Refusal::no_endpoint);
  const auto number = helpers_.expectations_.add(e);
  if (!number) return refused(Refusal::no_room);
  session_.expected[session_.expected_count++] = *number;
  ++counters().announced;
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
