// Sequence numbers in daemon/conntrack: what moves a connection, what passes by, what is refused
// (requirements 2.9, 2.2, 2.4). Each case begins with the same connection:
//
//   client 1000 → SYN, window 1000;  server 5000 → SYN/ACK, window 1000;  client → ACK

#include <doctest/doctest.h>

#include <vector>

#include "daemon/base/random.hpp"
#include "daemon/conntrack/tcp_state.hpp"
#include "daemon/conntrack/tcp_window.hpp"
#include "tests/unit/conntrack_lab.hpp"

using namespace masqgate;
using namespace masqgate::conntrack;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

constexpr TcpState ES = TcpState::established, SS = TcpState::syn_sent, SR = TcpState::syn_recv,
                   FW = TcpState::fin_wait, TW = TcpState::time_wait, CL = TcpState::close,
                   CW = TcpState::close_wait;

PacketBuilder client(std::string_view flags, std::uint32_t seq, std::uint32_t ack = 0,
                     std::size_t size = 0) {
  return test::client(flags).seq(seq).ack(ack).window(1000).payload_size(size);
}
PacketBuilder server(std::string_view flags, std::uint32_t seq, std::uint32_t ack = 0,
                     std::size_t size = 0) {
  return test::server(flags).seq(seq).ack(ack).window(1000).payload_size(size);
}
Octets scale(unsigned shift) {
  return {std::byte{1}, std::byte{3}, std::byte{3}, static_cast<std::byte>(shift)};
}
const Octets kTimestamp{std::byte{8}, std::byte{10}, {}, {}, {}, std::byte{9}, {}, {}, {}, {}};

enum class Fate { moved, passed, refused };

// What of a connection a packet may move.
struct Memory {
  explicit Memory(const Connection& c)
      : end{c.tcp_end},
        acked{c.tcp_acked},
        state{c.tcp_state},
        flags{c.flags},
        expires{c.expires_ns},
        scales{c.tcp_scales} {
    doubt = is_reset_in_doubt(c) ? 1 : 0;
  }
  bool operator==(const Memory&) const = default;
  std::array<std::uint32_t, 2> end, acked;
  TcpState state;
  std::uint16_t flags;
  std::int64_t expires;
  std::uint8_t scales;
  std::uint8_t doubt = 0;
};

struct Step {
  PacketBuilder packet;
  Fate fate;
  TcpState state;
  long long left = -1;  // seconds; -1: not looked at
};

struct Case {
  const char* what;
  std::vector<Step> steps;
};

Connection& open_connection(Lab& lab) {
  lab.see(client("S", 1000));
  lab.see(server("S.", 5000, 1001));
  return *lab.see(client(".", 1001, 5001)).connection;
}

void run(Lab& lab, const Case& c) {
  CAPTURE(c.what);
  for (std::size_t i = 0; i < c.steps.size(); ++i) {
    CAPTURE(i);
    const Step& step = c.steps[i];
    lab.pass(seconds{1});
    Connection* known = lab.table.find(step.packet.tuple()).connection;
    REQUIRE(known != nullptr);
    const Memory before{*known};
    const Packet packet = lab.see(step.packet);
    CHECK((lab.problem == DropReason::out_of_window) == (step.fate == Fate::refused));
    CHECK((packet.state == ConnState::invalid) == (step.fate == Fate::refused));
    CHECK((Memory{*known} == before) == (step.fate != Fate::moved));
    CHECK(name(known->tcp_state) == name(step.state));
    if (step.left >= 0) CHECK(lab.left() == step.left);
  }
}

void run_each(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    Lab lab;
    const Connection& connection = open_connection(lab);
    REQUIRE(connection.tcp_state == ES);
    REQUIRE(connection.has(Connection::kAssured));
    run(lab, c);
  }
}

using enum Fate;

}  // namespace

TEST_CASE("TS-01: a RST with the next number ends, one in the window passes, others are refused") {
  run_each({
      {"the server's, exact", {{server("R", 5001), moved, CL, 10}}},
      {"with an ACK of anything", {{server("R.", 5001, 77), moved, CL, 10}}},
      {"the client's, exact", {{client("R", 1001), moved, CL, 10}}},
      {"one too high", {{server("R", 5002), passed, ES}}},
      {"at the end of the window", {{server("R", 6001), passed, ES}}},
      {"behind the window", {{server("R", 6002), refused, ES}}},
      {"one too low", {{server("R", 5000), refused, ES}}},
      {"of number 0", {{server("R", 0), refused, ES}}},
      {"half the world away", {{server("R", 5001 + 0x80000000u), refused, ES}}},
      {"the client's behind the window", {{client("R", 2002), refused, ES}}},
      {"behind data that may not have arrived",
       {{server("P.", 5001, 1001, 100), moved, ES}, {server("R", 5101), moved, CL, 240}}},
      {"the number that the client has asked for, behind it some data",
       {{server("P.", 5001, 1001, 100), moved, ES}, {server("R", 5001), moved, CL, 10}}},
  });
}

TEST_CASE("TS-02, X-03: after a RST its receiver's answer passes, and data brings it back") {
  run_each({
      {"a challenge ACK of a RST that was nearly right",
       {{server("R", 5500), passed, ES}, {client(".", 1001, 5001), moved, ES, 432000}}},
      {"a challenge ACK of a RST that is in doubt, then the RST again with its number",
       {{server("P.", 5001, 1001, 100), moved, ES},
        {server("R", 5101), moved, CL, 240},
        {client(".", 1001, 5001), moved, CL, 240},
        {server("R", 5001), moved, CL, 10}}},
      {"data after a RST in doubt",
       {{server("P.", 5001, 1001, 100), moved, ES},
        {server("R", 5101), moved, CL, 240},
        {client("P.", 1001, 5001, 10), moved, ES, 432000}}},
      {"data outside the window after it does not",
       {{server("P.", 5001, 1001, 100), moved, ES},
        {server("R", 5101), moved, CL, 240},
        {client("P.", 9001, 5001, 10), refused, CL, 239}}},
      {"data after a RST that was asked for does not",
       {{server("R", 5001), moved, CL, 10}, {client("P.", 1001, 5001, 10), moved, CL, 10}}},
  });
  Lab lab;
  lab.timeouts.tcp_reset = seconds{600};
  open_connection(lab);
  run(lab, {"a timeout of one's own",
            {{server("P.", 5001, 1001, 9), moved, ES}, {server("R", 5010), moved, CL, 600}}});
}

TEST_CASE("TS-03: a SYN moves no living connection, its challenge passes, a real end is one") {
  run_each({
      {"a SYN with any number, from both sides",
       {{client("S", 77), passed, ES},
        {server("S", 1), passed, ES},
        {server("S", 5001), passed, ES},
        {server(".", 5001, 1001), moved, ES}}},
      {"a SYN/ACK that comes again", {{server("S.", 5000, 1001), passed, ES}}},
      {"a SYN/ACK from nowhere", {{server("S.", 90000, 1001), refused, ES}}},
      {"the client was restarted: SYN, challenge ACK, RST, SYN (synack_reuse)",
       {{client("S", 77), passed, ES},
        {server(".", 5001, 1001), moved, ES},
        {client("R", 1001), moved, CL},
        {client("S", 77), moved, SS, 120},
        {server("S.", 9000, 78), moved, SR, 60},
        {client(".", 78, 9001), moved, ES, 432000}}},
      {"the next conversation in TIME_WAIT",
       {{client("F.", 1001, 5001), moved, FW},
        {server("F.", 5001, 1002), moved, TW},
        {client(".", 1002, 5002), moved, TW},
        {client("S", 1001), passed, TW},
        {client("S", 1002), moved, SS},
        {server("S.", 9000, 1003), moved, SR},
        {client(".", 1003, 9001), moved, ES}}},
      {"a lower number in TIME_WAIT with a timestamp, which the server judges",
       {{client("F.", 1001, 5001), moved, FW},
        {server("F.", 5001, 1002), moved, TW},
        {client("S", 7).tcp_options(kTimestamp), moved, SS}}},
      {"a SYN while closing",
       {{client("F.", 1001, 5001), moved, FW}, {client("S", 90000), passed, FW}}},
  });
}

TEST_CASE(
    "TS-03: a new conversation that is answered for the old one (challenge_ack, synack_old)") {
  for (const char* old : {".", "S."}) {
    CAPTURE(old);
    Lab lab;
    lab.see(client("S", 1000));
    const Packet challenge = lab.see(server(old, 145824453, 643160523));
    CHECK(challenge.state == ConnState::established);  // an answer: firewalls let it in
    run(lab, {"",
              {{server(old, 145824453, 643160523), passed, SS},
               {client("R", 643160523), passed, SS},
               {client("S", 1000), moved, SS, 120},
               {server("S.", 5000, 1001), moved, SR},
               {client(".", 1001, 5001), moved, ES}}});
  }
}

TEST_CASE("TS-03: the next conversation is a new one for rules, and its answers are answers") {
  Lab lab;
  open_connection(lab);
  lab.see(server("R", 5001));
  CHECK(lab.see(client("S", 3000)).state == ConnState::new_);
  CHECK_FALSE(lab.see(client("S", 3000)).connection->has(Connection::kAssured));
  CHECK(lab.see(server("S.", 9000, 3001)).state == ConnState::established);
  CHECK(lab.see(client(".", 3001, 9001)).connection->has(Connection::kAssured));
  lab.see(client("R", 3001));
  CHECK(lab.see(server("S", 20)).state == ConnState::established);  // from the other side
  CHECK(lab.see(client("S.", 4000, 21)).connection->tcp_state == SR);
  CHECK(lab.see(server(".", 21, 4001)).connection->tcp_state == ES);
}

TEST_CASE("T-02: the server's side of the opening") {
  struct Opening {
    Case steps;
    bool remains;
  };
  for (const Opening& o : {
           Opening{{"a refusal must know the number",
                    {{server("R.", 0, 1002), refused, SS},
                     {server("R", 0), refused, SS},
                     {server("R.", 0, 1000), refused, SS}}},
                   true},
           Opening{{"a refusal", {{server("R.", 0, 1001), moved, CL, 0}}}, false},
           Opening{{"data before the SYN/ACK",
                    {{server("P.", 5001, 1001, 9), passed, SS},
                     {server("P.", 5001, 1002, 9), refused, SS},
                     {server("F.", 5001, 7), refused, SS}}},
                   true},
           Opening{{"the client changes its mind",
                    {{client("S", 3000), moved, SS},
                     {server("S.", 5000, 1001), passed, SS},
                     {server("S.", 5000, 3001), moved, SR}}},
                   true},
           Opening{{"a forged SYN in the server's name",
                    {{server("S", 4), moved, SR},
                     {server("S.", 5000, 1001), moved, SR},
                     {client(".", 1001, 5001), moved, ES}}},
                   true},
           Opening{{"an ACK without a SYN/ACK", {{client(".", 1001, 5001), refused, SS}}}, true},
       }) {
    Lab lab;
    lab.see(client("S", 1000));
    run(lab, o.steps);
    lab.pass(seconds{1});
    CHECK((lab.table.size() == 1) == o.remains);
  }
}

TEST_CASE("TS-04: data and acknowledgements must be possible") {
  run_each({
      {"data at the edge of the window", {{client("P.", 2001, 5001, 9), moved, ES}}},
      {"an ACK behind a probe of the closed window", {{client(".", 2002, 5001), moved, ES}}},
      {"data behind it", {{client("P.", 2003, 5001, 9), refused, ES, 431999}}},
      {"data repeated from long ago", {{client("P.", 1001 - 66000, 5001, 0), moved, ES}}},
      {"… too long ago", {{client("P.", 1001 - 66001, 5001, 0), refused, ES}}},
      {"an ACK of what was never sent", {{client(".", 1001, 5002), refused, ES}}},
      {"an old ACK", {{client(".", 1001, 5001 - 66000), moved, ES}}},
      {"an older one", {{client(".", 1001, 5001 - 66001), refused, ES}}},
      {"an ACK half the world away", {{server(".", 5001, 1001 + 0x80000000u), refused, ES}}},
      {"a keep-alive and its answer",
       {{client(".", 1000, 5001), moved, ES}, {server(".", 5001, 1001), moved, ES}}},
      {"the window moves with what is acknowledged",
       {{server("P.", 5001, 1001, 1000), moved, ES},
        {server("P.", 6003, 1001, 9), refused, ES},
        {client(".", 1001, 6001), moved, ES},
        {server("P.", 6001, 1001, 1000), moved, ES}}},
      {"a segment of 60000 bytes is one",
       {{client("P.", 1001, 5001, 60000), moved, ES}, {server(".", 5001, 61001), moved, ES}}},
      {"of a first fragment the length is not known",
       {{client("P.", 1001, 5001, 60).fragment(0, true), moved, ES},
        {server(".", 5001, 1801), moved, ES},
        {client("P.", 1801, 5001, 64), moved, ES}}},
  });
}

TEST_CASE("TS-04: nothing but a SYN begins where connections are not joined in their middle") {
  for (const char* flags : {".", "P.", "F.", "F", "S.", "S"})
    for (const bool loose : {true, false}) {
      CAPTURE(flags);
      CAPTURE(loose);
      Lab lab;
      lab.timeouts.tcp_loose = loose;
      const std::string_view letters{flags};
      const bool begins = letters == "S" || (loose && letters.size() == 2 && letters != "S.") ||
                          (loose && letters == ".");
      CHECK((lab.see(test::client(flags)).state == ConnState::new_) == begins);
      CHECK(lab.table.size() == (begins ? 1 : 0));
    }
}

TEST_CASE("TS-05: a window counts scaled only if both SYNs asked for it") {
  struct Scaling {
    int client, server;  // -1: not asked for
    std::uint32_t room;  // that the client's window of 1000 gives the server; a SYN's is rounded up
  };
  for (const Scaling& s :
       {Scaling{7, 2, 128000}, Scaling{0, 2, 1000}, Scaling{7, -1, 1024}, Scaling{-1, -1, 1000},
        Scaling{14, 0, 16384000}, Scaling{255, 0, 16384000}}) {
    CAPTURE(s.client);
    CAPTURE(s.server);
    for (const bool inside : {true, false}) {
      Lab lab;
      auto syn = client("S", 1000), answer = server("S.", 5000, 1001);
      if (s.client >= 0) syn.tcp_options(scale(static_cast<unsigned>(s.client)));
      if (s.server >= 0) answer.tcp_options(scale(static_cast<unsigned>(s.server)));
      lab.see(syn);
      lab.see(answer);
      lab.see(client(".", 1001, 5001));
      lab.see(server("P.", 5001 + s.room + (inside ? 1 : 2), 1001, 9));
      CHECK((lab.problem == DropReason::out_of_window) == !inside);
    }
  }
}

TEST_CASE("TS-05: a SYN sent again without options may not be the one that has arrived") {
  Lab lab;
  lab.see(client("S", 1000).tcp_options(scale(7)));
  lab.see(client("S", 1000));
  lab.see(server("S.", 5000, 1001).tcp_options(scale(3)));
  lab.see(client(".", 1001, 5001));
  CHECK(lab.see(server("P.", 5001 + 100000, 1001, 9)).state == ConnState::established);
}

TEST_CASE("TS-05, S6-32: where the handshake was not seen, any window may be meant") {
  Lab lab;
  const Connection& c = *lab.see(client("P.", 1000, 5000, 10)).connection;
  CHECK_FALSE(c.has(Connection::kAssured));
  run(lab, {"picked up",
            {{server("P.", 5000 + 500'000'000, 1010, 10), moved, ES, 432000},
             {client(".", 1010, 5000 + 600'000'000), moved, ES},
             {server("P.", 5000 + 600'000'000, 1010), moved, ES},
             {server("R", 5000 + 600'000'001), passed, ES},
             {server("R", 1), refused, ES},
             {server("R", 5000 + 600'000'000), moved, CL, 10}}});
}

TEST_CASE("TS-06: a FIN counts only in the window, and only with an ACK") {
  run_each({
      {"inside", {{server("F.", 5001, 1001), moved, CW}}},
      {"with the last data", {{server("FP.", 5001, 1001, 1000), moved, CW}}},
      {"outside", {{server("F.", 6003, 1001), refused, ES}}},
      {"with an ACK of nothing", {{server("F.", 5001, 1002), refused, ES}}},
      {"without ACK", {{server("F", 5001), refused, ES}}},
  });
}

TEST_CASE("liberal: of what is outside the window only a RST is refused") {
  Lab lab;
  lab.timeouts.tcp_liberal = true;
  open_connection(lab);
  run(lab, {"",
            {{server("P.", 9'000'000, 1001, 9), moved, ES, 432000},
             {client(".", 1001, 77), moved, ES, 432000},
             {server("R", 9'000'000), refused, ES},
             {server("R", 5001), moved, CL}}});
}

TEST_CASE("classic-2.2 looks at flags only, and what it did not follow is not known later") {
  Lab lab{Profile::classic_22};
  open_connection(lab);
  run(lab, {"", {{server("P.", 9'000'000, 7, 9), moved, ES, 900}}});
  lab.timeouts = Timeouts::of(Profile::linux_24);
  run(lab, {"",
            {{server("P.", 9'000'009, 1001, 9), moved, ES, 432000},
             {client("P.", 1001, 9'000'018, 9), moved, ES}}});
  lab.timeouts = Timeouts::of(Profile::classic_22);
  run(lab, {"", {{server("R", 1), moved, CL, 10}}});
}

TEST_CASE("TS-08: an error must quote what is on its way, and name an MTU that can be") {
  struct Error {
    const char* what;
    PacketBuilder about;
    std::uint8_t type, code;
    std::uint32_t rest;
    bool believed;
  };
  for (const Error& e : {
           Error{"the first byte on its way", client("P.", 1001, 5001), 3, 1, 0, true},
           Error{"the last", client("P.", 1101, 5001), 3, 4, 1400, true},
           Error{"what was acknowledged", client("P.", 1000, 5001), 3, 1, 0, false},
           Error{"what was not sent", client("P.", 1102, 5001), 3, 4, 1400, false},
           Error{"number 0", client("", 0), 11, 0, 0, false},
           Error{"from an old router", client("P.", 1001, 5001), 3, 4, 0, true},
           Error{"the smallest link", client("P.", 1001, 5001), 3, 4, 68, true},
           Error{"smaller than any link", client("P.", 1001, 5001), 3, 4, 67, false},
           Error{"a number that is no MTU", client("P.", 1001, 5001), 3, 1, 67, true},
       }) {
    CAPTURE(e.what);
    Lab lab;
    const Connection& c = open_connection(lab);
    lab.see(client("P.", 1001, 5001, 100));
    const Memory before{c};
    const Packet error = lab.see(icmp_error(e.type, e.code, e.rest)
                                     .from("203.0.113.50")
                                     .to("192.168.1.10")
                                     .quoting(e.about, 28));
    CHECK((error.state == ConnState::related) == e.believed);
    CHECK((lab.problem == DropReason::implausible_error) == !e.believed);
    CHECK(Memory{c} == before);
  }
}

TEST_CASE("TS-08: an MTU of IPv6 below 1280 is none") {
  for (const std::uint32_t mtu : {1279u, 1280u, 0u, 0xffffffffu}) {
    CAPTURE(mtu);
    Lab lab;
    const auto syn = tcp().from("fd00:1::10", 4000).to("2001:db8:9::1", 80).flags("S").seq(9);
    lab.see(syn);
    lab.see(icmp_error(2, 0, mtu).from("2001:db8:9::9").to("fd00:1::10").quoting(syn));
    CHECK((lab.problem == DropReason::implausible_error) == (mtu < 1280));
  }
}

TEST_CASE("records of a dead process: any values, any segments, and nothing but an answer") {
  Random random{{3, 4}};
  constexpr const char* kFlags[] = {"S", "S.", ".", "P.", "F.", "R", "R.", "F"};
  for (int i = 0; i < 2000; ++i) {
    Lab lab;
    Connection& c = open_connection(lab);
    c.tcp_scales = static_cast<std::uint8_t>(random.below(256));
    c.tcp_state = static_cast<TcpState>(random.below(kTcpStates));
    for (std::size_t d = 0; d < 2; ++d) {
      c.tcp_end[d] = random.below(4) * 0x40000000u;
      c.tcp_acked[d] = random.below(4) * 0x40000000u;
      c.halves[d].tcp_window = static_cast<std::uint16_t>(random.below(65536));
      c.halves[d].tcp_doubt = random.below(2) & 1;
    }
    if (random.below(2) == 0) c.set(Connection::kTcpPickedUp);
    for (int j = 0; j < 20; ++j) {
      const char* flags = kFlags[random.below(std::size(kFlags))];
      const std::uint32_t seq = random.below(4) * 0x40000000u, ack = random.below(4) * 0x40000000u;
      const auto packet = random.below(2) == 0 ? client(flags, seq, ack) : server(flags, seq, ack);
      const Packet seen = lab.see(packet);
      CHECK((lab.problem == DropReason::out_of_window) == (seen.state == ConnState::invalid));
      CHECK(c.tcp_state <= TcpState::listen);
      const Memory before{c};
      if (!follow_steadily(c, seen.direction, seen, lab.timeouts)) CHECK(Memory{c} == before);
    }
  }
}
