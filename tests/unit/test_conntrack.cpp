// Unit tests of daemon/conntrack: both TCP machines cell by cell, the lives of connections, the
// table and its limit.

#include <doctest/doctest.h>

#include <map>
#include <sstream>

#include "daemon/base/random.hpp"
#include "daemon/conntrack/tcp_state.hpp"
#include "tests/unit/conntrack_lab.hpp"

using namespace masqgate;
using namespace masqgate::conntrack;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

// A machine as history 2.2 and 2.9 print it: rows of next states, columns of present ones.
struct MachineTable {
  Profile profile;
  Direction direction;
  const char* rows;
};
constexpr const char* kColumns = "NO ES SS SR FW TW CL CW LA LI";
const std::map<std::string, TcpState> kStates{
    {"NO", TcpState::none},     {"ES", TcpState::established}, {"SS", TcpState::syn_sent},
    {"SR", TcpState::syn_recv}, {"FW", TcpState::fin_wait},    {"TW", TcpState::time_wait},
    {"CL", TcpState::close},    {"CW", TcpState::close_wait},  {"LA", TcpState::last_ack},
    {"LI", TcpState::listen}};
const MachineTable kMachines[] = {
    {Profile::linux_24, Direction::original,
     "syn SS ES SS SR SS SS SS SS SS LI\n"
     "fin TW FW SS TW FW TW CL TW LA LI\n"
     "ack ES ES SS ES FW TW CL CW LA ES\n"
     "rst CL CL SS CL CL TW CL CL CL CL\n"},
    {Profile::linux_24, Direction::reply,
     "syn SR ES SR SR SR SR SR SR SR SR\n"
     "fin CL CW SS TW TW TW CL CW LA LI\n"
     "ack CL ES SS SR FW TW CL CW CL LI\n"
     "rst CL CL CL CL CL CL CL CL LA LI\n"},
    {Profile::classic_22, Direction::original,
     "syn SS ES SS ES SS SS SS SS SS LI\n"
     "fin TW FW SS TW FW TW CL TW LA LI\n"
     "ack ES ES SS SR FW TW CL CW LA ES\n"
     "rst CL CL SS CL CL TW CL CL CL CL\n"},
    {Profile::classic_22, Direction::reply,
     "syn SR ES ES SR SR SR SR SR SR SR\n"
     "fin CL CW SS TW TW TW CL CW LA LI\n"
     "ack CL ES SS SR FW TW CL CW CL LI\n"
     "rst CL CL CL SR CL CL CL CL LA LI\n"},
};

wire::TcpFlags flags_of(std::string_view letters) {
  constexpr std::string_view kBits = "FSRPA";
  wire::TcpFlags flags;
  for (const char letter : letters)
    flags.bits = static_cast<std::uint8_t>(flags.bits | 1u << kBits.find(letter));
  return flags;
}

}  // namespace

TEST_CASE("tcp: every cell of both machines is as history 2.2 and 2.9 print it") {
  const std::map<std::string, std::string> sent{
      {"syn", "S"}, {"fin", "FA"}, {"ack", "A"}, {"rst", "R"}};
  int cells = 0;
  for (const MachineTable& machine : kMachines) {
    std::istringstream rows{machine.rows};
    for (std::string event; rows >> event;) {
      std::istringstream columns{kColumns};
      for (std::string present, next; columns >> present && rows >> next; ++cells) {
        CAPTURE(event);
        CAPTURE(present);
        CHECK(name(next_state(machine.profile, machine.direction, kStates.at(present),
                              flags_of(sent.at(event)))) == name(kStates.at(next)));
      }
    }
  }
  CHECK(cells == 160);
}

TEST_CASE("tcp: of several flags RST counts before SYN before FIN before ACK") {
  const auto next = [](std::string_view letters) {
    return next_state(Profile::linux_24, Direction::original, TcpState::none, flags_of(letters));
  };
  CHECK(next("RFSA") == TcpState::close);
  CHECK(next("SFA") == TcpState::syn_sent);
  CHECK(next("FA") == TcpState::time_wait);
  CHECK(next("PA") == TcpState::established);
}

TEST_CASE("tcp: which flags can occur, and which can begin") {
  struct Case {
    const char* letters;
    bool later, first;
  };
  for (const Case& c : {Case{"S", true, true}, Case{"SA", true, true}, Case{"A", true, true},
                        Case{"FA", true, true}, Case{"R", true, false}, Case{"RA", true, false},
                        Case{"", false, false}, Case{"P", false, false}, Case{"SF", false, false},
                        Case{"SR", false, false}}) {
    CAPTURE(c.letters);
    CHECK(flags_are_valid(flags_of(c.letters), false) == c.later);
    CHECK(flags_are_valid(flags_of(c.letters), true) == c.first);
  }
}

TEST_CASE("tcp: only the ACK of the server's SYN makes a connection assured") {
  for (const bool right : {true, false}) {
    CAPTURE(right);
    Lab lab;
    CHECK(lab.see(client("S").seq(100)).state == ConnState::new_);
    CHECK(lab.left() == 120);
    CHECK(lab.see(server("S.").seq(700).ack(101)).state == ConnState::established);
    CHECK(lab.left() == 60);
    const Packet third = lab.see(client(".").seq(101).ack(right ? 701 : 700));
    CHECK(third.connection->tcp_state == (right ? TcpState::established : TcpState::syn_recv));
    CHECK(third.connection->has(Connection::kAssured) == right);
    CHECK(lab.left() == (right ? 432000 : 60));
    CHECK(is_steady(*third.connection, third) == right);
  }
}

TEST_CASE("tcp: whoever is joined in the middle is assured when both have spoken") {
  Lab lab;
  CHECK_FALSE(lab.see(client(".")).connection->has(Connection::kAssured));
  CHECK(lab.see(server(".")).connection->has(Connection::kAssured));
}

TEST_CASE("T-03: both sides open at once") {
  for (const Profile profile : {Profile::linux_24, Profile::classic_22}) {
    CAPTURE(static_cast<int>(profile));
    Lab lab{profile};
    lab.see(client("S").seq(100));
    lab.see(server("S").seq(700));
    lab.see(client("S.").seq(100).ack(701));
    const Packet both = lab.see(server("S.").seq(700).ack(101));
    if (profile == Profile::linux_24) CHECK(both.connection->has(Connection::kAssured));
    lab.see(client(".").seq(101).ack(701));
    const Packet data = lab.see(server("P.").seq(701).ack(101).payload("hello"));
    CHECK(data.state == ConnState::established);
    CHECK(data.connection->tcp_state == TcpState::established);
  }
}

TEST_CASE(
    "tcp: a reset as the only answer ends the attempt at once, a later one after 10 seconds") {
  Lab refused;
  refused.see(client("S").seq(100));
  refused.see(server("RA").ack(101));
  refused.pass(seconds{1});
  CHECK(refused.table.size() == 0);

  Lab open;
  open.see(client("S").seq(100));
  open.see(server("S.").seq(700).ack(101));
  open.see(client(".").seq(101).ack(701));
  open.see(server("RA").seq(701).ack(101));
  open.pass(seconds{9});
  CHECK(open.table.size() == 1);
  open.pass(seconds{2});
  CHECK(open.table.size() == 0);
}

TEST_CASE("tcp: closing takes the timeouts of the states it passes") {
  Lab lab;
  lab.see(client("S").seq(1));
  lab.see(server("S.").seq(7).ack(2));
  lab.see(client(".").seq(2).ack(8));
  struct Case {
    PacketBuilder packet;
    TcpState state;
    long long timeout;
  };
  for (const Case& c : {Case{client("F.").seq(2).ack(8), TcpState::fin_wait, 120},
                        Case{server(".").seq(8).ack(3), TcpState::fin_wait, 120},
                        Case{server("F.").seq(8).ack(3), TcpState::time_wait, 120},
                        Case{client(".").seq(3).ack(9), TcpState::time_wait, 120}}) {
    CHECK(lab.see(c.packet).connection->tcp_state == c.state);
    CHECK(lab.left() == c.timeout);
  }
  lab.pass(seconds{121});
  CHECK(lab.table.size() == 0);
}

TEST_CASE("tcp: flags that cannot occur change nothing, not even whether there was an answer") {
  Lab lab;
  const Connection* c = lab.see(client("S")).connection;
  lab.pass(seconds{10});
  for (const char* letters : {"", "SF", "SR", "P"}) {
    CAPTURE(letters);
    CHECK(lab.see(server(letters)).state == ConnState::invalid);
    CHECK_FALSE(c->has(Connection::kSeenReply));
    CHECK(c->tcp_state == TcpState::syn_sent);
    CHECK(lab.left() == 110);
  }
}

TEST_CASE("udp: one way 30 seconds; answered and used again: a stream, 180") {
  Lab lab;
  const auto ask = udp().from("192.168.1.10", 4000).to("198.51.100.1", 53);
  const auto answer = udp().from("198.51.100.1", 53).to("192.168.1.10", 4000);
  lab.see(ask);
  lab.see(ask);
  CHECK(lab.left() == 30);
  CHECK(lab.see(answer).state == ConnState::established);
  CHECK(lab.left() == 30);
  CHECK(lab.see(ask).connection->has(Connection::kAssured));
  CHECK(lab.left() == 180);
  lab.pass(seconds{179});
  CHECK(lab.table.size() == 1);
  lab.pass(seconds{2});
  CHECK(lab.table.size() == 0);
}

TEST_CASE("icmp: queries are asked and answered, replies to nothing belong nowhere") {
  Lab lab;
  CHECK(lab.see(icmp_echo_reply(7)).state == ConnState::invalid);
  CHECK(lab.table.size() == 0);
  CHECK(lab.see(icmp_echo(7)).state == ConnState::new_);
  CHECK(lab.see(icmp_echo_reply(7).from("198.51.100.1").to("192.168.1.10")).state ==
        ConnState::established);
  CHECK(lab.left() == 30);
}

TEST_CASE("I-04, I-09, I-14, U-14, T-13: errors are related or invalid, and change no connection") {
  Lab lab;
  const auto syn = client("S");
  Connection* c = lab.see(syn).connection;
  lab.pass(seconds{20});
  const auto error = icmp_error(3, 3).from("198.51.100.1").to("192.168.1.10");
  const Packet related = lab.see(PacketBuilder{error}.quoting(syn));
  CHECK(related.state == ConnState::related);
  CHECK(related.connection == c);
  CHECK(related.direction == Direction::reply);
  CHECK(lab.left() == 100);
  CHECK_FALSE(c->has(Connection::kSeenReply));
  CHECK(lab.see(PacketBuilder{error}.quoting(client("S").from("192.168.1.10", 5))).state ==
        ConnState::invalid);
  lab.see(PacketBuilder{error}.quoting(syn).bad_checksum());
  CHECK(lab.problem == DropReason::bad_checksum);
  CHECK(lab.table.size() == 1);
}

TEST_CASE("what no conversation is made of is not tracked") {
  Lab lab;
  for (const PacketBuilder& packet :
       {udp().to("224.0.0.251", 5353), udp().to("255.255.255.255", 67)}) {
    const Packet seen = lab.see(packet);
    CHECK(seen.connection == nullptr);
    CHECK(seen.state == ConnState::untracked);
  }
}

TEST_CASE("a later fragment begins no connection") {
  Lab lab;
  const Packet seen = lab.see(udp().payload_size(64).fragment(64, false));
  CHECK(seen.connection == nullptr);
  CHECK(seen.state == ConnState::invalid);
}

TEST_CASE(
    "T-07, T-08, U-06, I-03, X-02: timeouts are the profile's, state by state, as history 2.2 and "
    "2.9 "
    "and the RFCs print them") {
  struct Case {
    Profile profile;
    std::array<int, kTcpStates> tcp;
    int udp, stream, icmp, generic;
  };
  for (const Case& c :
       {Case{Profile::linux_24,
             {1800, 432000, 120, 60, 120, 120, 10, 60, 30, 120},
             30,
             180,
             30,
             600},
        Case{Profile::classic_22,
             {1800, 900, 120, 60, 120, 120, 10, 60, 30, 120},
             300,
             300,
             60,
             600},
        Case{
            Profile::rfc, {240, 7440, 240, 240, 240, 240, 10, 240, 240, 240}, 300, 300, 60, 600}}) {
    const Timeouts timeouts = Timeouts::of(c.profile);
    for (std::size_t i = 0; i < kTcpStates; ++i) CHECK(timeouts.tcp[i] == seconds{c.tcp[i]});
    CHECK(timeouts.udp == seconds{c.udp});
    CHECK(timeouts.udp_stream == seconds{c.stream});
    CHECK(timeouts.icmp == seconds{c.icmp});
    CHECK(timeouts.generic == seconds{c.generic});
  }
}

TEST_CASE("a shorter timeout counts from the connection's next packet on, whatever its state") {
  Lab lab;
  lab.see(client("S").seq(1));
  lab.see(server("S.").seq(7).ack(2));
  lab.see(client(".").seq(2).ack(8));
  lab.timeouts = Timeouts::of(Profile::classic_22);
  lab.see(client("P.").seq(2).ack(8));
  lab.pass(seconds{899});
  CHECK(lab.table.size() == 1);
  lab.pass(seconds{2});
  CHECK(lab.table.size() == 0);
}

TEST_CASE("table: a connection is found by both tuples between confirm and remove, not before") {
  Table table{Region{"", 4}, kStart};
  const Tuple tuple = client("S").tuple();
  Connection& c = *table.create(tuple, kStart);
  CHECK(table.is_free(tuple));
  c.reply.destination_address = address("203.0.113.7");
  REQUIRE(table.confirm(c, kStart, seconds{10}));
  CHECK(table.find(tuple).connection == &c);
  CHECK(table.find(tuple).direction == Direction::original);
  CHECK(table.find(c.reply).connection == &c);
  CHECK(table.find(c.reply).direction == Direction::reply);
  CHECK(table.is_free(tuple.inverted()));
  CHECK(table.size() == 1);
  const Tuple reply = c.reply;
  table.remove(c);
  CHECK(table.is_free(tuple));
  CHECK(table.is_free(reply));
  CHECK(table.size() == 0);
}

TEST_CASE("table: who clashes stays out, and is still the caller's to discard") {
  Table table{Region{"", 4}, kStart};
  const Tuple tuple = client("S").tuple();
  Connection& first = *table.create(tuple, kStart);
  Connection& second = *table.create(tuple, kStart);
  REQUIRE(table.confirm(first, kStart, seconds{10}));
  CHECK_FALSE(table.confirm(second, kStart, seconds{10}));
  CHECK(table.counters().insert_failed == 1);
  CHECK_FALSE(second.has(Connection::kConfirmed));
  table.discard(second);
  // The same outside tuple by way of another original.
  Connection& third = *table.create(client("S").from("192.168.1.11", 4000).tuple(), kStart);
  third.reply = first.reply;
  CHECK_FALSE(table.confirm(third, kStart, seconds{10}));
  CHECK(table.size() == 1);
}

TEST_CASE("table: ids are unique while records are used again") {
  Table table{Region{"", 2}, kStart};
  std::map<std::uint64_t, int> seen;
  for (int i = 0; i < 10; ++i) {
    Connection& c = *table.create(client("S").tuple(), kStart);
    ++seen[connection_id(table.index_of(c), c.serial)];
    REQUIRE(table.confirm(c, kStart, seconds{1}));
    table.remove(c);
  }
  CHECK(seen.size() == 10);
}

TEST_CASE("C-11: a full table gives up who is not assured, or is closing, and nobody else") {
  const auto tuple = [](net::Port port) { return client("S").from("192.168.1.10", port).tuple(); };
  Table table{Region{"", 4}, kStart};
  const auto add = [&](net::Port port, std::uint8_t flag, TcpState state) {
    Connection* c = table.create(tuple(port), kStart);
    if (c == nullptr) return false;
    c->flags = static_cast<std::uint16_t>(c->flags | flag);
    c->tcp_state = state;
    return table.confirm(*c, kStart, seconds{100});
  };
  CHECK(add(1, Connection::kAssured, TcpState::established));
  CHECK(add(2, 0, TcpState::syn_sent));
  CHECK(add(3, Connection::kAssured, TcpState::time_wait));
  CHECK(add(4, Connection::kAssured, TcpState::close_wait));
  CHECK(add(5, Connection::kAssured, TcpState::established));
  CHECK(add(6, Connection::kAssured, TcpState::established));
  CHECK(table.counters().evicted == 2);
  CHECK_FALSE(add(7, 0, TcpState::syn_sent));
  for (const net::Port kept : std::initializer_list<net::Port>{1, 4, 5, 6})
    CHECK_FALSE(table.is_free(tuple(kept)));
  for (const net::Port gone : std::initializer_list<net::Port>{2, 3, 7})
    CHECK(table.is_free(tuple(gone)));
}

TEST_CASE("table: against a model, over random creations, ends and passing time") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Random random{{seed, 5}};
    Table table{Region{"", 64}, kStart};
    std::map<Tuple, Time> model;  // and when each ends
    Time now = kStart;
    for (int step = 0; step < 2000; ++step) {
      const Tuple tuple =
          client("S").from("192.168.1.10", static_cast<net::Port>(1 + random.below(60))).tuple();
      const Duration life = seconds{1 + random.below(100)};
      const Found found = table.find(tuple);
      REQUIRE((found.connection != nullptr) == model.contains(tuple));
      switch (random.below(4)) {
        case 0:
        case 1:
          if (found.connection != nullptr) {
            table.refresh_sooner(*found.connection, now, life);
          } else {
            Connection* c = table.create(tuple, now);
            REQUIRE(c != nullptr);
            REQUIRE(table.confirm(*c, now, life));
          }
          model[tuple] = now + life;
          break;
        case 2:
          if (found.connection != nullptr) table.remove(*found.connection);
          model.erase(tuple);
          break;
        default:
          now += seconds{random.below(10)} + TimerWheel::kTick;
          table.expire(now, 1000);
          // The wheel may be a tick late, never early.
          std::erase_if(model, [&](const auto& one) {
            const bool there = !table.is_free(one.first);
            CHECK((there || one.second <= now));
            CHECK((!there || one.second + 2 * TimerWheel::kTick > now));
            return !there;
          });
      }
      REQUIRE(table.size() == model.size());
    }
  }
}
