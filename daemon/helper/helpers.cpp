#include "daemon/helper/helpers.hpp"

#include <algorithm>
#include <new>

#include "daemon/conntrack/tcp_window.hpp"
#include "daemon/helper/speaker.hpp"
#include "daemon/helper/surgery.hpp"
#include "daemon/wire/udp.hpp"

namespace masqgate::helper {
namespace {

using conntrack::Connection;

// The largest segment, and all that replaced lines can add to it.
constexpr std::size_t kTextRoom = 65536 + Stream::kMostGrowth;

// Nothing more is said, whatever the timeouts are.
bool is_over(const Connection& c) {
  using conntrack::TcpState;
  return c.tcp_state == TcpState::time_wait ||
         (c.tcp_state == TcpState::close && !conntrack::is_reset_in_doubt(c));
}

// What a helper of datagrams is told; empty if it is told nothing.
std::optional<wire::Bytes> message_of(const Packet& packet) {
  if (packet.made_here || packet.fragment_offset != 0) return std::nullopt;
  if (packet.tuple.protocol == net::Protocol::esp) {
    const wire::Bytes message = packet.transport();
    return message.first(std::min(message.size(), Evidence::kMost));
  }
  if (packet.is_fragment || packet.frame.offload.gso() != wire::VnetHeader::Gso::none ||
      !checksum_is_right(packet))
    return std::nullopt;
  const auto udp = wire::Udp::parse(packet.transport());
  if (!udp || udp->payload().size() > Context::kMostText) return std::nullopt;
  return udp->payload();
}

}  // namespace

Helpers::Helpers(conntrack::Table& table, nat::Mappings& mappings,
                 const nat::PortForwards& forwards, HashKey key, Time now)
    : table_{table},
      mappings_{mappings},
      forwards_{forwards},
      settings_{&none_},
      expectations_{key, now},
      sessions_(kMostSessions),
      counters_(all_helpers().size()),
      text_(kTextRoom) {
  for (std::size_t i = kMostSessions; i-- > 0;) free_.push_back(static_cast<std::uint16_t>(i));
  table_.set_renumbering(this);
  mappings_.set_reserved(&expectations_);
}

void Helpers::configure(const Settings& settings, const nat::Rules& rules, Time now) {
  settings_ = &settings;
  rules_ = &rules;
  for (Session& session : sessions_) {
    if (session.helper == nullptr || session.has_ended) continue;
    if (is_served(session)) continue;
    Connection& connection = table_.at(session.record);
    session.has_ended = true;
    drop_expectations(session, Outcome::switched_off, now);
    release_if_idle(session, connection, now);
  }
}

Helpers::Session* Helpers::session_of(const Connection& connection) const {
  const std::uint16_t number = connection.session();
  if (!connection.is_helped() || number >= sessions_.size()) return nullptr;
  return const_cast<Session*>(&sessions_[number]);
}

// Whether the helper of this session is still to look at its connection.
bool Helpers::is_served(const Session& session) const {
  if (session.is_child) return settings_->services[session.service].enabled;
  const Connection& connection = table_.at(session.record);
  const auto service = settings_->service_for(connection.original, connection.reply);
  return service && *service == session.service;
}

// Who is to look at a new connection: whom its master has named, or who serves its server's port.
std::optional<Helpers::Choice> Helpers::choose(const Connection& connection) const {
  if (connection.is_expected())
    if (const auto number = expectations_.find(connection.original)) {
      const Expectation& expected = expectations_.at(*number);
      if (expected.child != nullptr)
        return Choice{expected.child, sessions_[expected.session].service, true};
    }
  const auto service = settings_->service_for(connection.original, connection.reply);
  if (!service) return std::nullopt;
  return Choice{all_helpers()[*service], *service, false};
}

void Helpers::begin(Connection& connection, const Packet& packet) noexcept {
  const Tuple& original = connection.original;
  if (connection.has(Connection::kLocal)) return;
  const bool tcp = original.protocol == net::Protocol::tcp;
  if (tcp && (!packet.tcp_flags.syn() || packet.tcp_flags.ack())) return;
  const auto choice = choose(connection);
  if (!choice) return;
  HelperCounters& counters = counters_[choice->service];
  const auto refuse = [&] { ++counters.refusals[static_cast<std::size_t>(Refusal::no_room)]; };
  if (free_.empty()) return refuse();
  Session& session = sessions_[free_.back()];
  if (tcp && session.streams == nullptr)
    session.streams.reset(new (std::nothrow) std::array<Stream, 2>);
  if (tcp && session.streams == nullptr) return refuse();
  connection.set_helped(true);
  connection.set_session(free_.back());
  free_.pop_back();
  session.helper = choice->helper;
  session.service = static_cast<std::uint8_t>(choice->service);
  session.is_child = choice->is_child;
  session.has_ended = false;
  session.memory = {};
  session.record = table_.index_of(connection);
  session.expected_count = 0;
  session.master = {};
  session.children = {};
  session.next_child = 0;
  ++counters.connections;
  ++counters.attached;
}

void Helpers::end_session(Connection& connection, Outcome outcome, Time now) {
  Session* session = session_of(connection);
  if (session == nullptr) return;
  drop_expectations(*session, outcome, now);
  --counters_[session->service].attached;
  session->helper = nullptr;
  session->streams.reset();
  free_.push_back(connection.session());
  connection.set_session(Connection::kNoSession);
}

void Helpers::drop_expectations(Session& session, Outcome outcome, Time now) {
  for (std::size_t i = 0; i < session.expected_count; ++i)
    expectations_.remove(session.expected[i], outcome, now);
  session.expected_count = 0;
}

bool Helpers::is_known(const Tuple& tuple, bool may_begin) const {
  if (table_.find(tuple).connection != nullptr || expectations_.find(tuple)) return true;
  if (!may_begin) return false;
  const auto service = settings_->service_for(tuple, tuple.inverted());
  return service && all_helpers()[*service]->beside.has_value();
}

void Helpers::forget_key(Tuple& tuple, bool may_begin) const {
  const bool has_key = tuple.key != 0 || tuple.protocol == net::Protocol::gre ||
                       tuple.protocol == net::Protocol::esp;
  if (!has_key || is_known(tuple, may_begin)) return;
  tuple.key = 0;
  if (!tuple.has_ports()) tuple.source_port = tuple.destination_port = 0;
}

void Helpers::forget_keys(Packet& packet, bool may_begin) const noexcept {
  forget_key(packet.tuple, may_begin);
  if (!packet.quoted) return;
  Tuple back = packet.quoted->inverted();  // as the answer would come
  forget_key(back, false);
  packet.quoted = back.inverted();
}

Connection* Helpers::find(const Kin& kin) const {
  if (kin.serial == 0) return nullptr;
  Connection& connection = table_.at(kin.record);
  const bool is_there = connection.serial == kin.serial && connection.has(Connection::kConfirmed);
  return is_there ? &connection : nullptr;
}

void Helpers::bind(Session& master, const Connection& child) {
  master.children[master.next_child] = {table_.index_of(child), child.serial};
  master.next_child = static_cast<std::uint8_t>((master.next_child + 1u) % kMostChildren);
  if (Session* session = session_of(child))
    session->master = {master.record, table_.at(master.record).serial};
}

void Helpers::end_children(Session& session) {
  for (Kin& kin : session.children)
    if (Connection* child = find(std::exchange(kin, {}))) table_.remove(*child);
}

void Helpers::forget_expectation(std::uint16_t number) {
  Session& session = sessions_[expectations_.at(number).session];
  const auto end = session.expected.begin() + session.expected_count;
  const auto found = std::find(session.expected.begin(), end, number);
  if (found == end) return;
  std::move(found + 1, end, found);
  --session.expected_count;
}

void Helpers::removed(const Connection& connection, Time now) noexcept {
  if (!connection.is_helped()) return;
  Connection& record = table_.at(table_.index_of(connection));
  if (Session* session = session_of(record)) end_children(*session);
  end_session(record, Outcome::master_gone, now);
}

void Helpers::expire(Time now) {
  expectations_.expire(now, [&](std::uint16_t number) {
    const std::uint16_t session = expectations_.at(number).session;
    forget_expectation(number);
    expectations_.remove(number, Outcome::expired, now);
    Connection& master = table_.at(sessions_[session].record);
    release_if_idle(sessions_[session], master, now);
  });
}

// Whether answers of this tuple would be nobody else's. Who uses a port again may have had a
// connection with the same peer a moment ago, by another outside port: that one is over.
bool Helpers::has_way_back(const Tuple& reply) {
  using conntrack::TcpState;
  Connection* other = table_.find(reply).connection;
  if (other == nullptr) return true;
  const bool is_over =
      other->original.protocol == net::Protocol::tcp && !other->is_helped() &&
      (other->tcp_state == TcpState::time_wait || other->tcp_state == TcpState::close);
  if (is_over) table_.remove(*other);
  return is_over;
}

void Helpers::meet(Packet& packet) noexcept {
  if (expectations_.size() == 0) return;
  const auto number = expectations_.find(packet.tuple);
  if (!number) return;
  const Expectation expected = expectations_.at(*number);
  Connection& connection = *packet.connection;
  Tuple reply = connection.reply;
  reply.source_address = expected.inside.address;
  if (packet.tuple.protocol != net::Protocol::esp) reply.source_port = expected.inside.port;
  if (!expected.from_anybody) reply.destination_address = expected.appears_as;
  if (!has_way_back(reply)) return;
  connection.reply = reply;
  connection.set_expected();
  connection.set_announcer(sessions_[expected.session].service);
  connection.mark = packet.mark = expected.mark;
  packet.state = ConnState::related;
  // Where its destination is an outside endpoint it holds that one, for itself alone.
  const bool holds = expected.outside != expected.inside &&
                     reply.destination_address == connection.original.source_address;
  if (!holds) return;
  connection.set(Connection::kInbound);
  connection.flags = static_cast<std::uint16_t>(connection.flags | expected.mapping_flags);
}

void Helpers::fulfilled(const Connection& connection, Time now) noexcept {
  const auto number = expectations_.find(connection.original);
  if (!number) return;
  Session& master = sessions_[expectations_.at(*number).session];
  ++counters_[master.service].fulfilled;
  if (master.helper->binds) bind(master, connection);
  forget_expectation(*number);
  expectations_.remove(*number, Outcome::fulfilled, now, connection.original);
}

std::vector<AttachedPort> Helpers::attached() const {
  std::vector<AttachedPort> all;
  for (const Session& session : sessions_)
    if (session.helper != nullptr && table_.at(session.record).original.has_ports())
      all.push_back({session.service, table_.at(session.record).reply.source_port});
  return all;
}

bool Helpers::reads(Session& session, Direction d) const {
  const Stream& stream = session.stream(d);
  return stream.is_open() && (!session.has_ended || stream.holds());
}

// What outlives the process.
void Helpers::keep_numbers(Session& session, Connection& connection) const {
  for (const Direction d : {Direction::original, Direction::reply}) {
    const Stream& stream = session.stream(d);
    if (stream.is_open()) connection.set_numbers(d, stream.shift(), !stream.is_settled());
  }
}

// A connection that nobody reads any more and whose numbers agree is like any other.
void Helpers::release_if_idle(Session& session, Connection& connection, Time now) {
  if (!session.has_ended || session.expected_count != 0) return;
  if (session.streams != nullptr)
    for (const Direction d : {Direction::original, Direction::reply}) {
      const Stream& stream = session.stream(d);
      if (stream.is_open() && (!stream.is_settled() || stream.shift() != 0)) return;
    }
  end_session(connection, Outcome::master_gone, now);
  for (const Direction d : {Direction::original, Direction::reply})
    connection.set_numbers(d, 0, false);
  connection.set_helped(false);
}

Helpers::Answer Helpers::help(Packet& packet, Time now) noexcept {
  Connection& connection = *packet.connection;
  Session* session = session_of(connection);
  if (connection.original.protocol != net::Protocol::tcp)
    return session != nullptr ? help_datagram(*session, packet, now) : Answer{};
  const bool begins = packet.tcp_flags.syn() && !packet.tcp_flags.ack() &&
                      packet.direction == Direction::original && packet.fragment_offset == 0 &&
                      connection.tcp_state == conntrack::TcpState::syn_sent;
  if (session == nullptr && begins) {  // the same ends again
    for (const Direction d : {Direction::original, Direction::reply})
      connection.set_numbers(d, 0, false);
    begin(connection, packet);
    session = session_of(connection);
  }
  if (session != nullptr) {
    const Answer answer = help_segment(*session, packet, now);
    keep_numbers(*session, connection);
    if (session->helper->binds && is_over(connection)) {
      drop_expectations(*session, Outcome::master_gone, now);
      end_children(*session);
    }
    release_if_idle(*session, connection, now);
    return answer;
  }
  // The process began after the connection: of what was on its way then nobody knows any more.
  if (connection.is_unsettled(packet.direction) ||
      connection.is_unsettled(opposite(packet.direction)))
    return {DropReason::helper_lost, true};
  if (packet.fragment_offset == 0)
    set_number(packet, kSequence,
               wire::Tcp::parse(packet.transport())->sequence() +
                   connection.number_shift(packet.direction));
  return {};
}

void Helpers::open_streams(Session& session, const Packet& packet, Connection& connection) {
  const std::uint32_t first = wire::Tcp::parse(packet.transport())->sequence() + 1;
  Stream& stream = session.stream(packet.direction);
  const bool anew = packet.direction == Direction::original && !packet.tcp_flags.ack() &&
                    connection.tcp_state == conntrack::TcpState::syn_sent;
  if (anew) {
    session.stream(Direction::reply) = Stream{};
    session.memory = {};
    session.has_ended = false;
    connection.set_numbers(Direction::reply, 0, false);
    stream.open(first);
  } else if (!stream.is_open() || (stream.is_settled() && stream.shift() == 0 &&
                                   connection.tcp_state == conntrack::TcpState::syn_recv)) {
    stream.open(first);
  }
}

Helpers::Answer Helpers::help_segment(Session& session, Packet& packet, Time now) {
  Connection& connection = *packet.connection;
  const Direction d = packet.direction;
  Stream& stream = session.stream(d);
  if (packet.fragment_offset != 0)
    return {reads(session, d) || !stream.is_settled() ? std::optional{DropReason::fragment}
                                                      : std::nullopt};
  if (packet.tcp_flags.syn() && !packet.made_here) open_streams(session, packet, connection);
  const wire::Tcp tcp = *wire::Tcp::parse(packet.transport());
  Stream& other = session.stream(opposite(d));
  if (tcp.flags().ack() && other.is_open() && !packet.made_here) {
    other.acknowledged(tcp.acknowledgement());
    // The receiver has something that did not come this way.
    if (!session.has_ended && !other.holds() &&
        static_cast<std::int32_t>(tcp.acknowledgement() - other.next()) > 0) {
      Speaker{*this, session, connection, opposite(d), {}, now}.refuse(Refusal::unseen);
      session.has_ended = true;
    }
  }
  if (!stream.is_open()) return {};
  const std::uint32_t first = tcp.sequence() + (tcp.flags().syn() ? 1u : 0u);
  wire::Bytes data = tcp.payload();
  const bool carries = (!data.empty() || tcp.flags().fin()) && !tcp.flags().rst();
  if (!carries || packet.made_here) {
    set_number(packet, kSequence, stream.to_receiver(tcp.sequence()));
    return {};
  }
  if (reads(session, d)) {
    if (packet.is_fragment) return {DropReason::fragment};
    if (!checksum_is_right(packet)) return {DropReason::bad_checksum};
    const auto known = static_cast<std::int32_t>(stream.next() - first);
    if (known < 0) return {DropReason::helper_waits};
    const auto read_before = static_cast<std::size_t>(known);
    if (read_before < data.size() + (tcp.flags().fin() ? 1 : 0)) {
      Reader reader{*this, session, connection, d, now};
      const wire::Bytes fresh = data.subspan(read_before);
      const std::size_t read = stream.read(fresh, tcp.flags().fin(), reader);
      if (read < fresh.size()) {
        // Too many lines are on their way: the rest comes again.
        if (read_before + read == 0) return {DropReason::helper_waits};
        data = data.first(read_before + read);
      }
    }
  } else if (packet.is_fragment && !stream.is_settled()) {
    return {DropReason::fragment};
  }
  return {write_segment(stream, packet, first, data) ? std::nullopt
                                                     : std::optional{DropReason::too_big}};
}

// Gives the segment the numbers and the text that its receiver shall get.
bool Helpers::write_segment(const Stream& stream, Packet& packet, std::uint32_t first,
                            wire::Bytes data) {
  const wire::Tcp tcp = *wire::Tcp::parse(packet.transport());
  const bool is_cut = data.size() < tcp.payload().size();
  const bool fin = tcp.flags().fin() && !is_cut;
  const bool syn = tcp.flags().syn();
  std::uint32_t number = stream.to_receiver(first) - (syn ? 1u : 0u);
  auto size = stream.write(first, data, fin, text_);
  if (!size && is_cut) {
    std::ranges::copy(data, text_.begin());
    size = data.size();
  }
  // Nothing of it may go yet. The byte before it, which the receiver should have, makes it answer
  // (RFC 9293 3.10.7.4), and that tells the sender that its bytes are in good hands.
  if (size && *size == 0 && !fin && !syn) {
    text_[0] = stream.byte_before(first);
    size = 1;
    --number;
  }
  if (size && !payload_fits(packet, *size)) return false;
  if (tcp.flags().fin() && !fin) clear_fin(packet);
  set_number(packet, kSequence, number);
  if (size) set_payload(packet, wire::Bytes{text_}.first(*size));
  return true;
}

void Helpers::keep(Connection& connection, Time now) noexcept {
  const Session* session = session_of(connection);
  if (session == nullptr || session->helper->keeps == Duration{}) return;
  const auto refresh = [&](Connection* one) {
    if (one != nullptr) table_.refresh(*one, now, session->helper->keeps);
  };
  if (connection.has(Connection::kConfirmed)) refresh(&connection);
  refresh(find(session->master));
  for (const Kin& kin : session->children) refresh(find(kin));
}

Helpers::Answer Helpers::help_datagram(Session& session, Packet& packet, Time now) {
  const bool from_client = packet.direction == Direction::original;
  if (session.has_ended || (!from_client && !session.helper->looks_at_answers)) return {};
  const auto message = message_of(packet);
  if (!message) return {};
  Connection& connection = *packet.connection;
  Speaker speaker{*this, session, connection, packet.direction, *message, now};
  const Tuple received = connection.translated(packet.direction);
  Context context{*message, from_client,    connection.tuple(packet.direction),
                  received, session.memory, speaker,
                  message_};
  session.helper->parse(context);
  if (speaker.holds()) return {DropReason::helper_waits};
  keep(connection, now);
  const auto changed = context.changed();
  if (!changed || !payload_fits(packet, changed->size())) return {};
  set_payload(packet, *changed);
  ++counters_[session.service].changed;
  return {};
}

void Helpers::restore(Packet& packet, const Connection& connection, Direction d) noexcept {
  const Session* session = session_of(connection);
  if (packet.made_here || packet.tuple.protocol != net::Protocol::tcp || !packet.tcp_flags.ack())
    return;
  const Direction o = opposite(d);
  const Stream* stream =
      session == nullptr ? nullptr : &(*session->streams)[static_cast<std::size_t>(o)];
  const std::uint32_t shift = connection.number_shift(o);
  const bool same = stream == nullptr
                        ? shift == 0
                        : !stream->is_open() || (stream->is_settled() && stream->shift() == 0);
  if (same) return;
  const auto to_sender = [&](std::uint32_t number, Stream::Edge edge) {
    return stream == nullptr ? number - shift : stream->to_sender(number, edge);
  };
  const std::uint32_t acknowledgement = wire::Tcp::parse(packet.transport())->acknowledgement();
  set_number(packet, kAcknowledgement, to_sender(acknowledgement, Stream::Edge::acknowledged));
  translate_sack(packet, [&](std::uint32_t number, bool left) {
    return to_sender(number, left ? Stream::Edge::left : Stream::Edge::right);
  });
}

void Helpers::restore_quote(Packet& packet, const Connection& connection, Direction d) noexcept {
  if (packet.quoted->protocol != net::Protocol::tcp) return;
  const Direction o = opposite(d);
  const Session* session = session_of(connection);
  const auto bytes = packet.frame.ip().subspan(packet.quote_transport_offset);
  const std::uint32_t number = wire::load32(bytes, kSequence);
  std::uint32_t restored = number - connection.number_shift(o);
  if (session != nullptr) {
    const Stream& stream = (*session->streams)[static_cast<std::size_t>(o)];
    if (stream.is_open()) restored = stream.to_sender(number, Stream::Edge::right);
  }
  wire::store32(bytes, kSequence, restored);
}

}  // namespace masqgate::helper
