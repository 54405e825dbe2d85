// Tables of sentences for the helpers of protocols that are no text, and of small ones that are.

#include "daemon/helper/registry.hpp"
#include "tests/support/helper_rows.hpp"

using namespace masqgate;
using namespace masqgate::test;
using helper::Refusal;

namespace {

// Numbers with the high byte first.
std::string b8(unsigned v) {
  return {static_cast<char>(v)};
}
std::string b16(unsigned v) {
  return b8(v >> 8 & 0xff) + b8(v & 0xff);
}
std::string b32(std::uint32_t v) {
  return b16(v >> 16) + b16(v & 0xffff);
}
std::string zeros(std::size_t count) {
  return std::string(count, '\0');
}

constexpr std::uint32_t kOwn = 0xc0a8010a, kShown = 0xcb007107, kServer = 0xc6336401,
                        kOther = 0xc0a8010b;

std::string pptp(unsigned type, const std::string& body) {
  return b16(static_cast<unsigned>(12 + body.size())) + b16(1) + b32(0x1a2b3c4d) + b16(type) +
         b16(0) + body;
}
const std::string kStart = pptp(1, zeros(144));
std::string called(unsigned own, unsigned peer, unsigned result = 1) {
  return pptp(8, b16(own) + b16(peer) + b8(result) + zeros(15));
}

// sockaddr of old BSD.
std::string place(std::uint32_t address, unsigned port) {
  return b16(2) + b16(port) + b32(address) + zeros(8);
}
std::string ntalk(unsigned type, const std::string& first, const std::string& second) {
  return b8(1) + b8(type) + b16(0) + b32(7) + first + second + zeros(44);
}

std::string quake(unsigned code, const std::string& body) {
  return b16(0x8000) + b16(static_cast<unsigned>(5 + body.size())) + b8(code) + body;
}
std::string tpkt(const std::string& body) {
  return b16(0x0300) + b16(static_cast<unsigned>(4 + body.size())) + body;
}
std::string dplay(std::uint32_t address, unsigned port, const std::string& body = "") {
  const auto size = static_cast<unsigned>(24 + body.size());
  return b8(size) + b8(0) + b8(0xb0) + b8(0xfa) + b8(2) + b8(0) + b16(port) + b32(address) +
         zeros(8) + "play" + body;
}

std::string tlv(unsigned tag, const std::string& value) {
  if (value.size() < 128) return b8(tag) + b8(static_cast<unsigned>(value.size())) + value;
  return b8(tag) + b8(0x82) + b16(static_cast<unsigned>(value.size())) + value;
}
std::string snmp(unsigned kind, const std::string& pdu, unsigned version = 1) {
  return tlv(0x30, tlv(2, b8(version)) + tlv(4, "public") + tlv(kind, pdu));
}
std::string binding(const std::string& value) {
  return tlv(0x30, tlv(6, b8(0x2b)) + value);
}
std::string response(const std::string& bindings) {
  return tlv(2, b8(1)) + tlv(2, b8(0)) + tlv(2, b8(0)) + tlv(0x30, bindings);
}
std::string ip(std::uint32_t address) {
  return tlv(0x40, b32(address));
}

}  // namespace

TEST_CASE("PPTP: calls are told by the numbers that each side knows") {
  HelperStage stage{helper::kPptp};
  CHECK(stage.say(true, kStart) == kStart);
  check(stage, true,
        {"the client's call", pptp(7, b16(100) + zeros(154)), pptp(7, b16(10100) + zeros(154)),
         "192.168.1.10:100"});
  CHECK(stage.announcements[0].protocol == net::Protocol::gre);
  check(stage, false,
        {"the server's call", called(200, 10100), called(10200, 100), "198.51.100.1:200"});
  check(stage, true, {"clear", pptp(12, b16(100) + zeros(2)), pptp(12, b16(10100) + zeros(2))});
  check(stage, true, {"link", pptp(15, b16(10200) + zeros(10)), pptp(15, b16(200) + zeros(10))});
  check(stage, false,
        {"link, of the server", pptp(15, b16(10100) + zeros(10)), pptp(15, b16(100) + zeros(10))});
  check(stage, false,
        {"disconnected", pptp(13, b16(200) + zeros(132)), pptp(13, b16(10200) + zeros(132))});
  check(stage, false, {"a call that failed", called(300, 10100, 2), called(300, 100, 2)});
  check(stage, false,
        {"K-15: nobody's call", called(200, 4711, 2), std::nullopt, nullptr, Refusal::wrong_side});
  check(stage, true,
        {"K-15: the peer's number for an own one", pptp(12, b16(10100) + zeros(2)), std::nullopt,
         nullptr, Refusal::wrong_side});
  check(stage, true, {"too short", pptp(7, ""), std::nullopt, nullptr, Refusal::malformed});
  CHECK(stage.say(true, pptp(5, b32(1)) + pptp(7, b16(5) + zeros(2))) ==
        pptp(5, b32(1)) + pptp(7, b16(10005) + zeros(2)));
  CHECK_FALSE(stage.stopped);
}

TEST_CASE("K-01: PPTP ends where it is not spoken from its beginning") {
  for (const std::string& first :
       {std::string{"POST / HTTP/1.1\r\n"}, pptp(7, b16(100) + zeros(154)),
        b16(4) + b16(1) + b32(0x1a2b3c4d) + b32(0)}) {
    HelperStage stage{helper::kPptp};
    stage.say(true, first + pptp(7, b16(100) + zeros(154)));
    CHECK(stage.stopped);
    CHECK(stage.announcements.empty());
  }
}

TEST_CASE("Amanda: the streams of the client's answer") {
  const std::string head = "Amanda 2.6 REP HANDLE 0 SEQ 0\nCONNECT ";
  const Row rows[] = {
      {"three", head + "DATA 5000 MESG 5001 INDEX 5002\nOPTIONS ;\n",
       head + "DATA 15000 MESG 15001 INDEX 15002\nOPTIONS ;\n", "198.51.100.1:5000"},
      {"another order", head + "MESG 5001 DATA 5000\n", head + "MESG 5001 DATA 15000\n",
       "198.51.100.1:5000"},
      {"none", head + "DATA 0\n", std::nullopt, nullptr, Refusal::malformed},
      {"too large", head + "DATA 70000\n", std::nullopt, nullptr, Refusal::malformed},
      {"behind the line", head + "\nDATA 5000\n", std::nullopt},
      {"another answer", "Amanda 2.6 ACK HANDLE 0 SEQ 0\n", std::nullopt},
      {"K-01: another protocol", "x\nCONNECT DATA 5000\n", std::nullopt, nullptr, Refusal::foreign},
  };
  for (const Row& row : rows) {
    HelperStage stage{helper::kAmanda};
    check(stage, false, row);
  }
  HelperStage stage{helper::kAmanda};
  CHECK(stage.say(false, head + "DATA 5000 MESG 5001 INDEX 5002 STATE 5003\n") ==
        head + "DATA 15000 MESG 15001 INDEX 15002 STATE 15003\n");
  CHECK(stage.announcements.size() == 4);
  check(stage, true, {"K-09: a request opens nothing", head + "DATA 5000\n", std::nullopt});
  check_cut(helper::kAmanda, false, "", head + "DATA 5000 MESG 5001 INDEX 5002\n", 5000);
}

TEST_CASE("rsh: the port for errors") {
  using namespace std::string_literals;
  const Row rows[] = {
      {"a port", "1022\0"s + "root\0"s, "11022\0root\0"s, "192.168.1.10:1022"},
      {"none", "0\0root\0"s, std::nullopt},
      {"none, shorter", "\0root\0"s, std::nullopt},
      {"K-01: text", "GET / HTTP/1.0\r\n", std::nullopt, nullptr, Refusal::foreign},
      {"too large", "65537\0"s, std::nullopt, nullptr, Refusal::foreign},
      {"too long", "1234567\0"s, std::nullopt, nullptr, Refusal::foreign},
  };
  for (const Row& row : rows) {
    HelperStage stage{helper::kRsh};
    check(stage, true, row);
    CHECK(stage.stopped);
  }
  check_cut(helper::kRsh, true, "", "1022\0"s, 1);
}

TEST_CASE("SNMP: the first octet of the agent's own addresses") {
  // The stage translates the client, so that it plays the agent: 192 becomes 203.
  const Row rows[] = {
      {"an address", snmp(0xa2, response(binding(ip(kOwn)))),
       snmp(0xa2, response(binding(ip(0xcba8010a))))},
      {"two, and one of another network",
       snmp(0xa2, response(binding(ip(kOwn)) + binding(ip(kServer)) + binding(ip(kOther)))),
       snmp(0xa2,
            response(binding(ip(0xcba8010a)) + binding(ip(kServer)) + binding(ip(0xcba8010b))))},
      {"another value", snmp(0xa2, response(binding(tlv(4, b32(kOwn))))), std::nullopt},
      {"a trap of version 1",
       snmp(0xa4,
            tlv(6, b8(1)) + ip(kOwn) + tlv(2, b8(1)) + tlv(2, b8(1)) + tlv(0x43, b8(1)) +
                tlv(0x30, ""),
            0),
       snmp(0xa4,
            tlv(6, b8(1)) + ip(0xcba8010a) + tlv(2, b8(1)) + tlv(2, b8(1)) + tlv(0x43, b8(1)) +
                tlv(0x30, ""),
            0)},
      {"a request", snmp(0xa0, response(binding(ip(kOwn)))), std::nullopt},
      {"version 3", snmp(0xa2, response(binding(ip(kOwn))), 3), std::nullopt},
      {"many bytes",
       snmp(0xa2, response(binding(tlv(4, std::string(300, 'x'))) + binding(ip(kOwn)))),
       snmp(0xa2, response(binding(tlv(4, std::string(300, 'x'))) + binding(ip(0xcba8010a))))},
      {"K-16: an address of three bytes", snmp(0xa2, response(binding(tlv(0x40, "abc")))),
       std::nullopt, nullptr, Refusal::malformed},
      {"K-16: longer than it is", b8(0x30) + b8(0x7f) + b8(2), std::nullopt, nullptr,
       Refusal::malformed},
      {"K-16: a length without end", b8(0x30) + b8(0x80) + b8(2), std::nullopt, nullptr,
       Refusal::malformed},
      {"K-16: a length of four bytes", b8(0x30) + b8(0x84) + b32(0x7fffffff), std::nullopt, nullptr,
       Refusal::malformed},
  };
  for (const Row& row : rows) {
    HelperStage stage{helper::kSnmp};
    check(stage, true, row);
  }
  const std::string whole = snmp(0xa2, response(binding(ip(kOwn)) + binding(ip(kOther))));
  check_cut(helper::kSnmp, true, "", whole, 0);
}

TEST_CASE("talk: where the answer and the conversation go") {
  HelperStage stage{helper::kTalk};
  const std::string mine = place(kOwn, 40000), shown = place(kShown, 40000);
  check(stage, true,
        {"a question", ntalk(1, place(kOwn, 6000), mine), ntalk(1, place(kShown, 6000), shown)});
  check(stage, true,
        {"an announcement opens the daemon", ntalk(3, place(kOwn, 6000), mine),
         ntalk(3, place(kShown, 6000), shown), "192.168.1.10:518"});
  CHECK(stage.announcements[0].keeps_port);
  check(
      stage, true,
      {"K-02: somebody else's", ntalk(1, place(kOther, 6000), place(kOther, 40000)), std::nullopt});
  const auto answer = [](unsigned type, unsigned code, const std::string& where) {
    return b8(1) + b8(type) + b8(code) + b8(0) + b32(7) + where;
  };
  check(stage, false,
        {"where the callee waits", answer(1, 0, place(kServer, 5001)),
         answer(1, 0, place(kShown, 15001)), "198.51.100.1:5001"});
  check(stage, false, {"not here", answer(1, 1, place(kServer, 5001)), std::nullopt});
  check(stage, false, {"another answer", answer(3, 0, place(kServer, 5001)), std::nullopt});
  check(stage, true, {"too short", std::string(20, '\1'), std::nullopt, nullptr, Refusal::foreign});
  check(stage, true,
        {"another version", std::string(90, '\5'), std::nullopt, nullptr, Refusal::foreign});
  check(stage, true,
        {"another type", ntalk(9, mine, mine), std::nullopt, nullptr, Refusal::foreign});
  check_cut(helper::kTalk, true, "", ntalk(3, mine, mine), 518);
}

TEST_CASE("CU-SeeMe: sender, receiver, and the client's own record") {
  const auto packet = [](std::uint32_t to, std::uint32_t from, unsigned type,
                         const std::string& rest = "") {
    return b16(2) + b16(7648) + b32(to) + b16(2) + b16(40000) + b32(from) + b32(1) + b16(0) +
           b16(type) + b16(0) + rest;
  };
  HelperStage stage{helper::kCuseeme};
  check(stage, true, {"out", packet(kServer, kOwn, 1), packet(kServer, kShown, 1)});
  check(stage, true, {"K-02: somebody else's", packet(kServer, kOther, 1), std::nullopt});
  const auto clients = [](std::uint32_t a, std::uint32_t b) {
    return zeros(30) + b32(a) + zeros(8) + b32(b) + zeros(8);
  };
  check(stage, false,
        {"in, with a list", packet(kShown, kServer, 101, clients(kServer + 1, kShown)),
         packet(kOwn, kServer, 101, clients(kServer + 1, kOwn))});
  check(stage, true, {"too short", std::string(20, 'x'), std::nullopt, nullptr, Refusal::foreign});
  check_cut(helper::kCuseeme, true, "", packet(kServer, kOwn, 101, clients(1, kOwn)), 0);
}

TEST_CASE("VDO Live: the client's port, in both messages, then no more") {
  const auto first = [](unsigned port) {
    return b32(0) + b32(6) + zeros(16) + "VDO Live" + b16(0) + b16(port);
  };
  const auto second = [](unsigned port) {
    return b32(0) + b32(1) + "VDO Live" + b16(0) + b16(port);
  };
  HelperStage stage{helper::kVdolive};
  check(stage, true, {"initial", first(5000), first(15000), "192.168.1.10:5000"});
  CHECK_FALSE(stage.stopped);
  check(stage, true, {"secondary", second(5000), second(15000), "192.168.1.10:5000"});
  CHECK(stage.stopped);
  for (const std::string& text :
       {second(5000), std::string(40, 'x'), std::string{"POST / HTTP/1.1\r\n"}}) {
    HelperStage other{helper::kVdolive};
    check(other, true,
          {"K-01: not from the beginning", text, std::nullopt, nullptr, Refusal::foreign});
    CHECK(other.stopped);
  }
  check_cut(helper::kVdolive, true, "", first(5000), 5000);
}

TEST_CASE("Quake: the port of the game, when somebody asked") {
  using namespace std::string_literals;
  const std::string ask = quake(1, "QUAKE\0\3"s);
  const auto accept = [](unsigned port) {
    return quake(0x81, b8(port & 0xff) + b8(port >> 8) + b16(0));
  };
  HelperStage stage{helper::kQuake};
  check(stage, false,
        {"K-09: nobody asked", accept(5000), std::nullopt, nullptr, Refusal::wrong_side});
  check(stage, true, {"asking", ask, std::nullopt});
  check(stage, false, {"accepted", accept(5000), accept(15000), "198.51.100.1:5000"});
  check(stage, false, {"K-09: twice", accept(5000), std::nullopt, nullptr, Refusal::wrong_side});
  check(stage, false,
        {"too short", quake(0x81, b16(1)), std::nullopt, nullptr, Refusal::malformed});
  check(stage, true, {"K-09: the client accepts nothing", accept(5000), std::nullopt});
  check(stage, true, {"the game itself", "\x01\x02", std::nullopt});
  check_cut(helper::kQuake, false, ask, accept(5000), 5000);
}

TEST_CASE("Quake III: servers of the master's list") {
  const auto list = [](const std::string& records) {
    return b32(0xffffffff) + "getserversResponse\\" + records;
  };
  HelperStage stage{helper::kQuake3};
  const std::string two = b32(kServer) + b16(27960) + "\\" + b32(kServer + 1) + b16(27961) + "\\";
  check(stage, false, {"two", list(two), std::nullopt, "198.51.100.1:27960"});
  REQUIRE(stage.announcements.size() == 2);
  CHECK(stage.announcements[1].is_listed);
  check(stage, true, {"K-09: not from the client", list(two), std::nullopt});
  check(stage, false, {"its end", list("EOT"), std::nullopt});
  check_cut(helper::kQuake3, false, "", list(two), 27961);
}

TEST_CASE("ICQ: the range of documents, while somebody reports himself") {
  HelperStage stage{helper::kIcq};
  stage.say(true, b8(5) + b8(0) + b16(1));
  CHECK(stage.announcements.size() == 21);
  for (const auto& what : stage.announcements) CHECK((what.from_anybody && what.keeps_port));
  for (const std::string& other : {std::string{"GET /"}, b8(5), b8(9) + b8(0) + b16(0)}) {
    HelperStage none{helper::kIcq};
    none.say(true, other);
    CHECK(none.announcements.empty());
  }
}

TEST_CASE("DirectPlay: the endpoint in front of each message") {
  HelperStage stage{helper::kDirectplay};
  check(stage, true, {"an address", dplay(kOwn, 5000), dplay(kShown, 15000), "192.168.1.10:5000"});
  check(stage, true, {"the sender's", dplay(0, 5000), dplay(0, 15000), "192.168.1.10:5000"});
  check(stage, true, {"no port", dplay(kOwn, 0), std::nullopt});
  check(stage, true,
        {"something else", std::string(40, 'x'), std::nullopt, nullptr, Refusal::foreign});
  HelperStage stream{helper::kDirectplayTcp};
  CHECK(stream.say(true, dplay(kOwn, 5000, "hello") + dplay(0, 5000)) ==
        dplay(kShown, 15000, "hello") + dplay(0, 15000));
  CHECK_FALSE(stream.stopped);
  check_foreign(helper::kDirectplayTcp, "POST / HTTP/1.1\r\nHost: x\r\n\r\n" + dplay(kOwn, 5000));
  check_cut(helper::kDirectplay, true, "", dplay(kOwn, 5000), 5000);
  check_cut(helper::kDirectplayTcp, true, "", dplay(kOwn, 5000), 5000);
}

TEST_CASE("eggdrop: the offer of a list") {
  HelperStage stage{helper::kEggdrop};
  stage.say(true, "lamestbot\r\n");
  check(stage, true,
        {"an offer", "s us 3232235786 5001 1024\n", "s us 3405803783 15001 1024\n",
         "192.168.1.10:5001"});
  check(stage, false,
        {"of the other one", "s us 3325256705 5001 7\n", "s us 3405803783 15001 7\n",
         "198.51.100.1:5001"});
  check(stage, true, {"no port", "s us 3232235786\n", std::nullopt, nullptr, Refusal::malformed});
  check(
      stage, true,
      {"a port too large", "s us 3232235786 65537 1\n", std::nullopt, nullptr, Refusal::malformed});
  check(stage, true, {"quoted", "c 1 A s us 3232235786 5001 1024\n", std::nullopt});
  check_foreign(helper::kEggdrop, "POST / HTTP/1.1\r\ns us 3232235786 5001 1024\n");
  check_cut(helper::kEggdrop, true, "bot\n", "s us 3232235786 5001 1024", 5001);
}

TEST_CASE("H.323: the speaker's addresses in framed messages") {
  HelperStage stage{helper::kH323};
  check(stage, true,
        {"where H.245 listens", tpkt("ab" + b32(kOwn) + b16(5001) + "c"),
         tpkt("ab" + b32(kShown) + b16(15001) + "c"), "192.168.1.10:5001"});
  CHECK(stage.announcements[0].child != nullptr);
  check(stage, true,
        {"this connection", tpkt(b32(kOwn) + b16(40000)), tpkt(b32(kShown) + b16(40000))});
  check(stage, true,
        {"the peer, of this connection", tpkt(b32(kServer) + b16(1720)), std::nullopt});
  check(stage, true, {"K-02: somebody else", tpkt(b32(kOther) + b16(5001)), std::nullopt});
  check(stage, true, {"no port", tpkt(b32(kOwn) + b16(0)), std::nullopt});
  CHECK_FALSE(stage.stopped);
  for (const std::string& other :
       {std::string{"POST / HTTP/1.1\r\n"}, b16(0x0300) + b16(0) + zeros(8),
        b16(0x0300) + b16(4) + zeros(8)}) {
    HelperStage foreign{helper::kH323};
    check(foreign, true,
          {"K-01, K-12: not framed", other, std::nullopt, nullptr, Refusal::foreign});
    CHECK(foreign.stopped);
  }
  check_cut(helper::kH323, true, "", tpkt("ab" + b32(kOwn) + b16(5001)), 5001);
  HelperStage master{helper::kH323};
  master.say(true, tpkt(b32(kOwn) + b16(5001)));
  REQUIRE(master.announcements.size() == 1);
  HelperStage media{*master.announcements[0].child};
  check(media, true,
        {"RTP", tpkt(b32(kOwn) + b16(5000)), tpkt(b32(kShown) + b16(15000)), "192.168.1.10:5000"});
  CHECK(media.announcements[0].is_pair);
  CHECK(media.announcements[0].protocol == net::Protocol::udp);
}

// As X.691 writes the parameters of a channel, with all that stands around them in a Setup.
std::string channel(unsigned members, const std::string& addresses) {
  const std::string body = b8(members) + b8(0) + b8(1) + addresses;
  return b32(0x0000000d) + b16(0x4001) + b8(0x80) + b8(static_cast<unsigned>(body.size())) + body;
}
std::string unicast(std::uint32_t address, unsigned port) {
  return b8(0) + b32(address) + b16(port);
}

TEST_CASE("H.323: a fast start tells RTP and RTCP, and H.245 beside them") {
  HelperStage stage{helper::kH323};
  const auto setup = [](std::uint32_t address, unsigned rtp, unsigned rtcp, unsigned h245) {
    return tpkt("setup" + b32(address) + b16(h245) +
                channel(0x14, unicast(address, rtp) + unicast(address, rtcp)) +
                channel(0x04, unicast(address, rtcp)));
  };
  CHECK(stage.say(true, setup(kOwn, 5000, 5001, 6001)) == setup(kShown, 15000, 15001, 16001));
  REQUIRE(stage.announcements.size() == 4);
  CHECK(stage.announcements[0].protocol == net::Protocol::tcp);
  CHECK(stage.announcements[0].child != nullptr);
  for (std::size_t i = 1; i < 4; ++i) {
    CHECK(stage.announcements[i].protocol == net::Protocol::udp);
    CHECK(stage.announcements[i].child == nullptr);
  }
  CHECK(stage.announcements[1].is_pair);
  CHECK(stage.announcements[1].own.port == 5000);
  // K-02: of somebody else nothing; K-12: nothing is read behind a length that is none.
  CHECK(stage.say(true, setup(kOther, 5000, 5001, 6001)) == setup(kOther, 5000, 5001, 6001));
  CHECK(stage.announcements.size() == 4);
  struct Case {
    const char* name;
    std::string text;
    net::Protocol protocol;
  };
  const std::string rtp = unicast(kOwn, 7000);
  for (const Case& c :
       {Case{"with an associated session", channel(0x30, b8(2) + rtp), net::Protocol::udp},
        Case{"with additions", channel(0x90, rtp + "more"), net::Protocol::udp},
        Case{"of another kind of channel", channel(0x50, rtp), net::Protocol::tcp},
        Case{"multicast", channel(0x10, b8(0x40) + rtp.substr(1)), net::Protocol::tcp},
        Case{"K-12: shorter than its members", b8(0x80) + b8(9) + b8(0x10) + b16(1) + rtp,
             net::Protocol::tcp},
        Case{"K-12: longer than the message", b8(0x80) + b8(200) + b8(0x10) + b16(1) + rtp,
             net::Protocol::tcp}}) {
    CAPTURE(c.name);
    HelperStage one{helper::kH323};
    one.say(true, tpkt(c.text));
    REQUIRE(one.announcements.size() == 1);
    CHECK(one.announcements[0].protocol == c.protocol);
  }
  const std::string whole = setup(kOwn, 5000, 5001, 6001);
  check_cut(helper::kH323, true, "", whole, 6001);
}

TEST_CASE("IPsec: the first packet of an index asks for the gateway's own, until there is one") {
  constexpr std::uint32_t kIndex = 0xc0ffee01;
  HelperStage stage{helper::kIpsec, false, kIndex};
  const std::string packet = b32(kIndex) + b32(1) + "sealed";
  CHECK(stage.say(true, packet) == packet);
  REQUIRE(stage.announcements.size() == 1);
  CHECK(stage.announcements[0].protocol == net::Protocol::esp);
  CHECK(stage.announcements[0].own.text() == "192.168.1.10:0");
  CHECK_FALSE(stage.announcements[0].from_anybody);
  CHECK(stage.announcements[0].child != nullptr);
  stage.say(true, packet);  // waits
  stage.answered = true;
  stage.announcements.clear();
  stage.say(true, packet);  // has come
  CHECK(stage.announcements.empty());
  stage.answered = false;
  stage.say(true, packet);  // has gone
  CHECK(stage.announcements.size() == 1);
  CHECK(stage.held == 0);
  stage.say(false, packet);  // answers have another index, so this is none
  CHECK(stage.announcements.size() == 1);

  for (std::size_t size = 1; size < 8; ++size) {
    HelperStage cut{helper::kIpsec, false, kIndex};
    cut.say(true, packet.substr(0, size));
    CHECK(cut.announcements.empty());
    CHECK(cut.held == 1);
  }
  check(stage, true,
        {"the index that is none", b32(0) + b32(1), std::nullopt, nullptr, Refusal::malformed});
  HelperStage second{helper::kIpsec, false, kIndex};
  second.full = true;
  second.say(true, packet);
  CHECK(second.held == 1);
}

TEST_CASE("IPsec: ISAKMP passes as it is, and opens nothing") {
  HelperStage stage{helper::kIpsec};
  const std::string message = b32(1) + b32(2) + zeros(8) + b32(0x21202208) + b32(0) + b32(28);
  for (std::size_t size = 0; size <= message.size(); ++size)
    CHECK(stage.say(true, message.substr(0, size)) == message.substr(0, size));
  CHECK(stage.say(false, message) == message);
  CHECK(stage.announcements.empty());
  CHECK(stage.held == 0);
}
