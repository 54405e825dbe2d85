// The Desk: where packets wait while programs look at them.
//
//   corridor ──divert()──▶ queue of a listener ──flush()──▶ program
//      ▲                                                       │
//      └──────────── Corridor::go_on() ◀───receive()───────────┘   verdicts and injected packets
//
// A port is a number that rules divert to and programs bind to. Its listeners of the same priority
// share the flows, each flow staying with its listener; of different priorities each sees what the
// one before has accepted. A packet always comes to one of four ends: a verdict, its deadline, the
// policy for a full queue, or that for a listener that died. So nothing that a program does or leaves
// undone keeps a packet for ever, and nothing waits for a program.
//
// Limits: packets and bytes over all ports and for each, listeners, ports, remembered flows. Frames
// come from the shard's pool, which has more than the desk may hold (shard.hpp), so that a program
// that sleeps cannot starve the router.

#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/base/siphash.hpp"
#include "daemon/divert/access.hpp"
#include "daemon/divert/flow_lines.hpp"
#include "daemon/divert/flow_orders.hpp"
#include "daemon/divert/flow_watch.hpp"
#include "daemon/divert/listener.hpp"

namespace masqgate::divert {

// A packet out of nothing.
struct Injection {
  std::uint16_t port = 0;
  bool outward = false;
  bool fix_checksums = true;
  bool may_spoof = false;
  std::uint8_t hops = 0;
  std::uint32_t mark = 0;
  PortIndex in = kNoPort;
  PortIndex out = kNoPort;
  std::optional<net::IpAddress> in_address{};  // of port `in`, if that is not said
};

// What a person may want to read later.
struct Event {
  enum class Kind : std::uint8_t { attached, drained, died, closed };
  Kind kind = Kind::attached;
  std::uint16_t port = 0;
  Peer peer;
  std::string name;
  std::string_view why;     // closed: what was wrong
  std::size_t packets = 0;  // died: that it had or that waited for it
};

// Where packets come from and go back to; called by the desk only.
class Corridor {
 public:
  virtual void go_on(Packet& packet, const Place& place, const Facts& facts,
                     const Release& release) noexcept = 0;
  // The packet becomes these bytes; false if they are no sound packet.
  virtual bool replace(Packet& packet, format::Bytes bytes, bool fix_checksums) noexcept = 0;
  // Empty if it was sent; else why not.
  virtual std::optional<format::Code> inject(const Injection& how,
                                             format::Bytes bytes) noexcept = 0;
  virtual void complete_checksum(Packet& packet) noexcept = 0;
  virtual std::string_view port_name(PortIndex port) const noexcept = 0;
  virtual std::optional<net::IpAddress> address_of(PortIndex port,
                                                   net::Family family) const noexcept = 0;
  // Both tuples of its connection; false if it has none.
  virtual bool tuples(const Packet& packet, Tuple& original, Tuple& reply) const noexcept = 0;
  // The packet's connection; false if it has none.
  virtual bool flow(const Packet& packet, FlowFacts& facts) const noexcept = 0;
  // Whether a connection that began with this tuple is in the table.
  virtual bool is_flow(const Tuple& original) const noexcept = 0;
  virtual void mark_connection(const Packet& packet, std::uint32_t mark,
                               std::uint32_t mask) noexcept = 0;
  // Of the rule with this number; empty if it is gone.
  virtual std::string_view rule_name(std::uint32_t rule) const noexcept = 0;
  // Who has sent it on this machine, as far as the kernel knows.
  virtual std::optional<std::uint32_t> user_of(const Packet&) const noexcept {
    return std::nullopt;
  }
  // How many packets found their rule gone when they went on.
  virtual std::uint64_t rules_gone() const noexcept { return 0; }

 protected:
  ~Corridor() = default;
};

struct Limits {
  std::size_t packets = 4096;  // held, over all ports
  std::size_t bytes = 32 << 20;
  std::size_t port_packets = 4096;  // of one port
  std::size_t port_bytes = 8 << 20;
  std::uint8_t hops = 8;  // of one packet
};

struct PortCounters {
  std::uint64_t diverted = 0, teed = 0;
  std::uint64_t nobody_dropped = 0, nobody_passed = 0, full_dropped = 0, full_passed = 0;
  std::uint64_t late_dropped = 0, late_passed = 0, died_dropped = 0, died_passed = 0;
  std::uint64_t redelivered = 0, loops = 0, offloaded = 0, blocked = 0, attached = 0, deaths = 0;
};

class Desk {
 public:
  static constexpr std::size_t kMostListeners = 64;
  static constexpr std::size_t kMostPorts = 64;
  static constexpr std::size_t kBatch = 64;           // packets that wait for one frame at most
  static constexpr std::size_t kExpireBudget = 1024;  // packets given up in one tick

  Desk(const Limits& limits, HashKey key, Corridor& corridor, Time now);
  Desk(const Desk&) = delete;

  struct Fate {
    enum class Kind : std::uint8_t { held, pass, drop, reject, segment };
    Kind kind = Kind::pass;
    DropReason reason{};
    bool remember = false;  // pass: the flow needs the desk no more
  };
  // A rule diverts this packet. When it is held it has been moved away. segment: its listener takes
  // no packet that stands for many; cut it and ask again for each.
  Fate divert(Packet& packet, const Terms& terms, const Place& place, const Facts& facts, Time now);
  // A rule shows this packet to whoever listens.
  void tee(Packet& packet, const Terms& terms, const Place& place, const Facts& facts, Time now);

  // A program has connected; kNoMember if there are too many. The channel outlives the listener.
  Member attach(Channel& channel, const Peer& peer);
  // What it has sent. False if it must be closed: forget() it, after bye() if it may know why.
  bool receive(Member member, format::Bytes frame, Time now);
  void writable(Member member, Time now);
  // It is gone: what it had goes to others, or waits for a new one, or follows its terms.
  void forget(Member member, Time now);

  // Sends what waits; call at the end of each turn.
  void flush(Time now);
  bool has_unsent() const { return !unsent_.empty(); }
  // Lets packets go whose time is over; call with each tick.
  void tick(Time now);
  // masqgate ends: everything that is held goes on behind its rule, or is dropped. Says how many.
  std::size_t end(bool pass, Time now);
  // No new packets for this listener; when it has none it gets a notice.
  bool drain(Member member);

  // Somebody wants to know of connections that leave the table: tell flow_ended().
  bool watches_flows() const { return flow_watchers_ != 0; }
  void flow_ended(const FlowFacts& facts, format::FlowEnd end);

  // What has happened since the last call; of more than kMostEvents the oldest are lost.
  std::vector<Event> take_events() { return std::exchange(events_, {}); }
  static constexpr std::size_t kMostEvents = 64;
  std::uint64_t events_lost() const { return events_lost_; }

  // How often a packet may be diverted or injected before it counts as a loop.
  std::uint8_t most_hops() const { return limits_.hops; }
  void set_most_hops(std::uint8_t hops) { limits_.hops = hops; }
  void set_access(std::shared_ptr<const Access> access) { access_ = std::move(access); }
  // What rules say, for those that bind.
  void set_rules(std::vector<Terms> rules);

  struct Port {
    std::uint16_t number = 0;
    std::vector<Member> members;  // highest priority first, tees among them
    HeldPackets::List orphans;    // wait for a listener
    Time grace_until{};
    std::size_t held = 0;
    std::size_t bytes = 0;
    PortCounters counters;
    struct Pin {
      Member member = kNoMember;
      std::uint32_t serial = 0;  // of that listener
      Time used{};
    };
    std::vector<Pin> pins;  // by hash of the flow
  };

  std::size_t held() const { return held_.size(); }
  std::size_t held_bytes() const { return bytes_; }
  const std::vector<Port>& ports() const { return ports_; }
  const Listener& listener(Member member) const { return listeners_[member]; }
  static constexpr std::size_t kPins = 65536;
  static constexpr Duration kPinLife = std::chrono::seconds{60};

 private:
  friend class Verdicts;
  using State = Held::State;

  Port* find_port(std::uint16_t number);
  Port* make_port(std::uint16_t number);
  Member choose(Port& port, std::uint64_t flow, std::int32_t below, Time now);
  Member rendezvous(std::span<const Member> group, std::uint64_t flow) const;
  Fate without_listener(Port* port, Packet& packet, const Terms& terms, const Place& place,
                        const Facts& facts, Time now);
  Fate hold(Port& port, Member member, Packet& packet, const Terms& terms, const Place& place,
            const Facts& facts, Time now);
  bool make_room(Port& port, Member member, const Terms& terms, std::size_t bytes);
  bool is_full(const Port& port, std::size_t bytes) const;
  void enqueue(Slot slot, Member member, Time now);
  void copy_to_tees(Port& port, Packet& packet, const Terms& terms, const Place& place,
                    const Facts& facts, bool all, Time now);
  PacketRecord record_of(Listener& listener, Packet& packet, const Terms& terms, const Place& place,
                         const Facts& facts);
  void want_flush(Member member);
  void flush(Member member, Time now);
  bool send(Listener& listener);
  void emit(Listener& listener, Slot slot, Time now);
  bool has_no_room(const Listener& listener, std::size_t size) const;
  void put(Listener& listener, const PacketRecord& record);
  void tell(Event::Kind kind, const Listener& listener, std::string_view why = {});
  HeldPackets::List* list_of(Held& held);
  void let_go(Slot slot, const Release& release) { settle(slot, {Onward::To::rules, 0, release}); }
  void settle(Slot slot, const Onward& onward);
  void carry_out(Slot slot, const Onward& onward);
  void leave(Slot slot, const Release& release);
  void move_to(Slot slot, std::uint16_t number);
  std::uint64_t line_of(const Facts& facts, const Place& place, std::uint16_t port,
                        std::int32_t below) const;
  void expire(Slot slot);
  void rehome(Slot slot, Time now);
  void adopt_orphans(Port& port, Time now);
  void notice(Listener& listener, std::uint64_t id, format::Code code, std::uint64_t value = 0);
  void finish_drain(Listener& listener);
  void bye(Listener& listener, std::string_view reason);
  template <typename Header>
  void add_news(Listener& listener, const Header& record);
  void tell_lost(Listener& listener);
  bool may_see(const Listener& who, std::uint16_t port) const;
  void tell_listener(Listener& to, const Listener& about, format::ListenerEvent event);
  void tell_listeners(const Listener& about, format::ListenerEvent event);
  void introduce(Listener& listener);
  void see_off(const Listener& listener);
  void note_flow(Listener& listener, const Packet& packet, std::uint64_t flow, Time now);
  void end_flow(const FlowWatch::Entry& entry, format::FlowEnd end);
  void sweep_flows(Time now);
  bool bind(Member member, const format::BindHeader& bind, Time now);
  bool bind_problem(Listener& listener, const format::BindHeader& bind, std::string_view& problem);
  void acknowledge(Listener& listener);

  Limits limits_;
  HashKey key_;
  Corridor& corridor_;
  HeldPackets held_;
  FlowLines lines_{held_};
  HeldPackets::List ready_;  // have left their lines, in order
  bool releasing_ = false;   // somebody takes them from there
  Time now_;                 // of the call that is going on
  std::size_t bytes_ = 0;
  std::vector<Listener> listeners_;
  std::vector<std::uint32_t> serials_;  // of listeners: how often the place was used
  std::vector<Port> ports_;
  std::vector<std::uint8_t> port_index_;  // by number; kMostPorts: none
  std::vector<Member> unsent_;            // have something to send
  FlowOrders flows_;
  FlowWatch watch_;
  std::size_t flow_watchers_ = 0;
  bool news_lost_ = false;  // of some listener
  std::shared_ptr<const Access> access_ = std::make_shared<Access>();
  std::vector<Terms> rules_;
  std::vector<Event> events_;
  std::uint64_t events_lost_ = 0;
};

}  // namespace masqgate::divert
