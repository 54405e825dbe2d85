// Slipstreaming and bounces (K-01, K-02, K-09 to K-11) through a whole router: what an attacker
// makes a client or a server say opens nothing, and arrives as it was said.

#include "tests/path/helper_router.hpp"

namespace path_helper_attacks {

using namespace masqgate;
using namespace masqgate::test;
using namespace std::string_literals;

namespace {

using Router = HelperRouter;

constexpr net::Port kWanted = 5001;

std::string tpkt(const std::string& body) {
  return b16(0x0300) + b16(static_cast<unsigned>(4 + body.size())) + body;
}
std::string endpoint(const char* host, net::Port port) {
  const std::uint32_t a = address(host).v4_number();
  return b16(a >> 16) + b16(a & 0xffff) + b16(port);
}

// A connection of alice to a server, with its helper switched on.
struct Victim : Router {
  explicit Victim(const char* name)
      : Router{{name}},
        helper_name{name},
        talk{*this, kLan, at(kAlice, 40000), kWan,
             at(kServer, helper::find_helper(name)->ports.front())} {
    talk.open();
  }
  // Says it, and checks that the other side gets these very bytes.
  void say(bool from_client, const std::string& text, const std::vector<std::size_t>& cuts = {}) {
    const std::string& received = (from_client ? talk.server : talk.client).received;
    const std::size_t before = received.size();
    talk.say(from_client ? talk.client : talk.server, text, cuts);
    CHECK(received.substr(before) == text);
  }
  void check_closed() {
    CHECK(shard.helpers().expectations().size() == 0);
    CHECK(counters(helper_name).announced == 0);
    for (const char* from : {kServer, kStranger})
      for (const net::Port port : {kWanted, net::Port{22}, net::Port{445}}) {
        CHECK_FALSE(pass_on(kWan, tcp().from(at(from, 20)).to(at(kOurs, port)).seq(1).flags("S")));
        CHECK(Router::say(kWan, at(from, 20), at(kOurs, port), "x") == "nothing");
      }
  }

  const char* helper_name;
  Conversation talk;
};

// What would open a hole if it were believed.
struct Bait {
  std::string helper_name;
  std::string text;
};
std::vector<Bait> baits() {
  const std::string pptp_head = b16(1) + "\x1a\x2b\x3c\x4d"s;
  return {
      {"ftp", "PORT 192,168,1,10,19,137\r\n"},
      {"ftp", "EPRT |1|192.168.1.10|5001|\r\n"},
      {"irc",
       "PRIVMSG x :\x01"
       "DCC CHAT chat 3232235786 5001\x01\r\n"},
      {"pptp", b16(168) + pptp_head + b16(7) + b16(0) + b16(kWanted) + std::string(154, '\0')},
      {"sip_tcp",
       "REGISTER sip:x SIP/2.0\r\nContact: <sip:a@192.168.1.10:5001>\r\nContent-Length: 0\r\n\r\n"},
      {"h323", tpkt("setup" + endpoint(kAlice, kWanted))},
      {"rtsp",
       "SETUP rtsp://x/a RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;client_port=5001-5002\r\n\r\n"},
      {"rsh", "5001\0"s},
      {"eggdrop", "s us 3232235786 5001 1024\n"},
  };
}

}  // namespace

TEST_CASE("K-01: a web page that makes a browser post what a helper reads opens nothing") {
  for (const Bait& bait : baits()) {
    CAPTURE(bait.helper_name);
    CAPTURE(bait.text);
    const std::string post =
        "POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 4000\r\n\r\n";
    // Directly behind the head, in a segment of its own, and at the beginning of one far behind.
    for (const std::size_t padding : {std::size_t{0}, std::size_t{1}, std::size_t{1300}}) {
      CAPTURE(padding);
      Victim alice{bait.helper_name.c_str()};
      alice.say(true, post + std::string(padding, 'x'), {post.size()});
      alice.say(true, bait.text);
      alice.say(true, "\r\n" + bait.text);
      alice.check_closed();
    }
  }
}

TEST_CASE(
    "K-01: so does an upload by TLS, or bytes that a segment's end makes look like a beginning") {
  for (const Bait& bait : baits()) {
    CAPTURE(bait.helper_name);
    Victim alice{bait.helper_name.c_str()};
    const std::string hello = "\x16\x03\x01\x02\0\1\0\1\xfc\3\3"s + std::string(400, '\x2a');
    alice.say(true, hello + bait.text, {hello.size()});
    alice.check_closed();
  }
}

TEST_CASE("K-02: nobody is named instead of the speaker, by no protocol") {
  const std::tuple<const char*, std::string, std::string> rows[] = {
      {"ftp", "USER a\r\n", "PORT 192,168,1,11,19,137\r\n"},
      {"irc", "NICK a\r\n",
       "PRIVMSG x :\x01"
       "DCC SEND f 3232235787 5001 9\x01\r\n"},
      {"h323", "", tpkt("forward" + endpoint(kBob, kWanted))},
      {"sip_tcp", "",
       "INVITE sip:x SIP/2.0\r\nContact: <sip:b@192.168.1.11:5001>\r\nContent-Length: 0\r\n\r\n"},
      {"eggdrop", "bot\n", "s us 3232235787 5001 1024\n"},
  };
  for (const auto& [name, before, text] : rows) {
    CAPTURE(name);
    Victim alice{name};
    if (!before.empty()) alice.say(true, before);
    alice.say(true, text);
    alice.check_closed();
  }
}

TEST_CASE("K-09: FTP answers of a client and commands of a server open nothing") {
  for (const auto& [from_client, text] :
       {std::pair{true, "227 Entering Passive Mode (192,168,1,10,19,137)\r\n"},
        std::pair{true, "229 Entering Extended Passive Mode (|||5001|)\r\n"},
        std::pair{false, "PORT 198,51,100,1,19,137\r\n"},
        std::pair{false, "EPRT |1|198.51.100.1|5001|\r\n"},
        std::pair{false, "227 Entering Passive Mode (198,51,100,1,19,137)\r\n"},
        std::pair{false, "229 Entering Extended Passive Mode (|||5001|)\r\n"}}) {
    CAPTURE(text);
    Victim alice{"ftp"};
    alice.say(true, "USER a\r\n");
    alice.say(false, "331 password\r\n");
    alice.say(from_client, text);
    alice.check_closed();
  }
}

TEST_CASE("K-10: lines too long, with CR, NUL or telnet inside, cut anywhere, open nothing") {
  const std::string port = "192,168,1,10,19,137";
  const std::string rows[] = {
      "NOOP " + std::string(600, 'x') + "PORT " + port + "\r\n",
      "PORT " + std::string(600, ' ') + port + "\r\n",
      "PORT 192,168,\r1,10,19,137\r\n",
      "PORT 192,168,1,10,\0"
      "19,137\r\n"s,
      "PORT\0" + port + "\r\n",
      "\xff\xf4PORT " + port + "\r\n",
      "PORT \xff\xfd" + port + "\r\n",
      "STOR PORT " + port + "\r\n",
      "STOR a\rPORT " + port + "\r\n",
  };
  for (const std::string& text : rows)
    for (const std::size_t cut :
         {std::size_t{0}, std::size_t{3}, text.size() / 2, text.size() - 1}) {
      CAPTURE(text);
      CAPTURE(cut);
      Victim alice{"ftp"};
      alice.say(true, "USER a\r\n");
      alice.say(true, text, {cut});
      alice.check_closed();
    }
  // A server that quotes an answer in one of several lines.
  Victim alice{"ftp"};
  alice.say(true, "USER a\r\n");
  alice.say(false,
            "230-227 Entering Passive Mode (198,51,100,1,19,137)\r\n 227 (198,51,100,1,19,137)\r\n"
            "230 end\r\n");
  alice.check_closed();
}

TEST_CASE("K-11: IRC opens nothing for what servers say, for quotes, notices and other words") {
  const std::string offer = "DCC SEND f 3232235786 5001 9\x01";
  const std::pair<bool, std::string> rows[] = {
      {false, ":eve!e@x PRIVMSG alice :\x01" + offer + "\r\n"},
      {false,
       ":eve!e@x PRIVMSG alice :\x01"
       "DCC SEND f 3325256705 5001 9\x01\r\n"},
      {false, "PRIVMSG alice :\x01" + offer + "\r\n"},
      {true, ":alice PRIVMSG eve :\x01" + offer + "\r\n"},
      {true, "PRIVMSG eve :he said \x01" + offer + "\r\n"},
      {true, "PRIVMSG eve \x01" + offer + "\r\n"},
      {true, "NOTICE eve :\x01" + offer + "\r\n"},
      {true, "PONG :\x01" + offer + "\r\n"},
      {true, "TOPIC #x :PRIVMSG eve :\x01" + offer + "\r\n"},
      {true,
       "PRIVMSG eve :\x01"
       "DCC GET f 3232235786 5001 9\x01\r\n"},
      {true,
       "PRIVMSG eve :\x01"
       "DCC SEND f 3232235786 5001 9\r\n"},
      {true,
       "PRIVMSG eve :\x01"
       "DCC SEND f 3232235786 22 9\x01\r\n"},
  };
  for (const auto& [from_client, text] : rows) {
    CAPTURE(text);
    Victim alice{"irc"};
    alice.say(true, "NICK alice\r\nUSER a 0 * :a\r\n");
    alice.say(false, ":irc.example 001 alice :hello\r\n");
    alice.say(from_client, text);
    alice.check_closed();
  }
}

}  // namespace path_helper_attacks
