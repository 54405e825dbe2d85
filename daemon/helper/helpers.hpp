// Helpers: what the helpers of a shard have to do with its packets.
//
//   first packet ──begin()──▶ a session ──help()──▶ messages are read, changed, expectations made
//                                  │
//        the helper ends it (foreign, encrypted) ──▶ numbers differ? ── no ──▶ an ordinary connection
//                                                          └── yes ──▶ numbers are shifted to the end
//
// A connection is looked at from its first byte or not at all (K-01). What it may open is decided
// here, for all helpers the same: an address must be the speaker's own (K-02, K-08), a port must
// not be low or denied (K-03), and the outside endpoint is one that nobody has. A connection that
// is expected goes the way of its master: each side sees the other by the address by which it knows
// it there.
//
// The difference of the numbers stands in the connection's record and outlives the process (K-17).
// A restart ends the reading; a connection that had something on its way then is reset.

#pragma once

#include <memory>
#include <vector>

#include "daemon/conntrack/table.hpp"
#include "daemon/helper/expectations.hpp"
#include "daemon/helper/settings.hpp"
#include "daemon/helper/stream.hpp"
#include "daemon/nat/mappings.hpp"

namespace masqgate::helper {

struct HelperCounters {
  std::uint64_t connections = 0;  // looked at so far
  std::uint64_t attached = 0;     // … now
  std::uint64_t announced = 0;
  std::uint64_t fulfilled = 0;
  std::uint64_t changed = 0;  // messages
  std::array<std::uint64_t, kRefusals> refusals{};
};

// A connection that a helper looks at: the helper's place in all_helpers(), and the server's port.
struct AttachedPort {
  std::size_t helper = 0;
  net::Port port = 0;
  bool operator==(const AttachedPort&) const = default;
};

class Helpers final : public conntrack::Renumbering {
 public:
  // Connections that are looked at together; what is too many passes without help.
  static constexpr std::size_t kMostSessions = 2048;  // of TCP some 21 KB each
  static constexpr std::size_t kMostExpected = 64;    // of one connection
  static constexpr std::size_t kMostChildren = 8;     // that end with it; older ones by themselves

  Helpers(conntrack::Table& table, nat::Mappings& mappings, const nat::PortForwards& forwards,
          HashKey key, Time now);

  // Both outlive their use: until the next call. What is switched off ends (K-14).
  void configure(const Settings& settings, const nat::Rules& rules, Time now);

  // A new connection's first packet, before rules have seen it: if it was announced, it becomes
  // related, and its translation that of its master.
  void meet(Packet& packet) noexcept;
  // Numbers that tell conversations apart count only where a helper wants it: others are GRE, ESP
  // or ISAKMP like any other, and have no call ids, indices and cookies from here on. may_begin:
  // whether the packet comes from where conversations with indices and cookies are begun, from
  // inside.
  void forget_keys(Packet& packet, bool may_begin) const noexcept;
  // A helped connection has come into the table, or has spoken: its helper may want it to stay, and
  // those that are bound to it.
  void keep(conntrack::Connection& connection, Time now) noexcept;
  // Such a connection is in the table now.
  void fulfilled(const conntrack::Connection& connection, Time now) noexcept;
  // A new connection, with its final tuples.
  void begin(conntrack::Connection& connection, const Packet& packet) noexcept;
  // A packet of a connection with kept numbers or a helper. Says why if it must be dropped; reset:
  // its sender is to be told that the connection has ended.
  struct Answer {
    std::optional<DropReason> drop{};
    bool reset = false;
  };
  Answer help(Packet& packet, Time now) noexcept;

  void restore(Packet& packet, const conntrack::Connection& connection,
               Direction direction) noexcept override;
  void restore_quote(Packet& packet, const conntrack::Connection& connection,
                     Direction direction) noexcept override;

  void removed(const conntrack::Connection& connection, Time now) noexcept;
  void expire(Time now);

  const Expectations& expectations() const { return expectations_; }
  const std::vector<HelperCounters>& counters() const { return counters_; }
  std::vector<AttachedPort> attached() const;
  const Settings& settings() const { return *settings_; }

 private:
  using Connection = conntrack::Connection;
  // A connection that another one is bound to, if it is still there.
  struct Kin {
    std::uint32_t record = 0;
    std::uint32_t serial = 0;  // 0: none
  };
  struct Session {
    const Helper* helper = nullptr;  // null: free
    std::uint8_t service = 0;
    bool has_ended = false;
    bool is_child = false;  // of another helped connection; then that one's service
    Memory memory{};
    std::unique_ptr<std::array<Stream, 2>> streams;  // TCP
    std::uint32_t record = 0;
    std::array<std::uint16_t, kMostExpected> expected{};  // oldest first
    std::uint8_t expected_count = 0;
    // Of helpers that bind: who has announced this connection, and whom it has announced.
    Kin master;
    std::array<Kin, kMostChildren> children{};
    std::uint8_t next_child = 0;

    Stream& stream(Direction d) { return (*streams)[static_cast<std::size_t>(d)]; }
  };
  class Speaker;
  class Reader;

  struct Choice {
    const Helper* helper;
    std::size_t service;
    bool is_child;
  };
  std::optional<Choice> choose(const Connection& connection) const;
  bool is_known(const Tuple& tuple, bool may_begin) const;
  void forget_key(Tuple& tuple, bool may_begin) const;
  Connection* find(const Kin& kin) const;
  void bind(Session& master, const Connection& child);
  void end_children(Session& session);
  bool is_served(const Session& session) const;
  bool has_way_back(const Tuple& reply);
  Session* session_of(const Connection& connection) const;
  std::uint16_t free_session();
  void end_session(Connection& connection, Outcome outcome, Time now);
  void drop_expectations(Session& session, Outcome outcome, Time now);
  void forget_expectation(std::uint16_t number);
  bool reads(Session& session, Direction d) const;
  void open_streams(Session& session, const Packet& packet, Connection& connection);
  Answer help_segment(Session& session, Packet& packet, Time now);
  bool write_segment(const Stream& stream, Packet& packet, std::uint32_t first, wire::Bytes data);
  Answer help_datagram(Session& session, Packet& packet, Time now);
  void keep_numbers(Session& session, Connection& connection) const;
  void release_if_idle(Session& session, Connection& connection, Time now);

  conntrack::Table& table_;
  nat::Mappings& mappings_;
  const nat::PortForwards& forwards_;
  const Settings* settings_;
  const nat::Rules* rules_ = nullptr;
  Settings none_;
  Expectations expectations_;
  std::vector<Session> sessions_;
  std::vector<std::uint16_t> free_;
  std::vector<HelperCounters> counters_;  // in the order of all_helpers()
  std::vector<std::byte> text_;           // of the segment that is being written
  std::array<std::byte, Context::kMostText> message_;
};

}  // namespace masqgate::helper
