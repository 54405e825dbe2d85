// Tables of sentences for each helper: what goes in, what comes out, what is announced and refused.

#include <doctest/doctest.h>

#include "daemon/conntrack/connection.hpp"
#include "daemon/helper/registry.hpp"
#include "daemon/helper/settings.hpp"
#include "tests/support/helper_rows.hpp"

using namespace masqgate;
using namespace masqgate::test;
using helper::Refusal;

namespace {

constexpr auto kMalformed = Refusal::malformed;

// Whatever is left of a message, nothing is read behind its end and nothing is announced that the
// whole one does not say.
void truncate(const helper::Helper& which, std::string_view beginning, std::string_view message) {
  for (std::size_t size = 0; size < message.size(); ++size) {
    HelperStage stage{which};
    stage.say(true, beginning);
    stage.say(true, std::string{message.substr(0, size)} + "\r\n");
    for (const auto& what : stage.announcements) CHECK(what.own.port <= 5001);
  }
}

}  // namespace

TEST_CASE("FTP: commands of the client") {
  const Row rows[] = {
      {"PORT", "PORT 192,168,1,10,19,137\r\n", "PORT 203,0,113,7,58,153\r\n", "192.168.1.10:5001"},
      {"lower case", "port 192,168,1,10,19,137\r\n", "port 203,0,113,7,58,153\r\n",
       "192.168.1.10:5001"},
      {"without CR", "PORT 192,168,1,10,19,137\n", "PORT 203,0,113,7,58,153\n",
       "192.168.1.10:5001"},
      {"blanks at the end", "PORT 192,168,1,10,19,137 \r\n", "PORT 203,0,113,7,58,153 \r\n",
       "192.168.1.10:5001"},
      {"two blanks", "PORT  192,168,1,10,19,137\r\n", "PORT  203,0,113,7,58,153\r\n",
       "192.168.1.10:5001"},
      {"EPRT", "EPRT |1|192.168.1.10|5001|\r\n", "EPRT |1|203.0.113.7|15001|\r\n",
       "192.168.1.10:5001"},
      {"EPRT with another delimiter", "EPRT !1!192.168.1.10!5001!\r\n",
       "EPRT !1!203.0.113.7!15001!\r\n", "192.168.1.10:5001"},
      {"two commands", "NOOP\r\nPORT 192,168,1,10,19,137\r\n",
       "NOOP\r\nPORT 203,0,113,7,58,153\r\n", "192.168.1.10:5001"},
      {"five numbers", "PORT 192,168,1,10,19\r\n", std::nullopt, nullptr, kMalformed},
      {"seven numbers", "PORT 192,168,1,10,19,137,1\r\n", std::nullopt, nullptr, kMalformed},
      {"256", "PORT 192,168,1,10,256,1\r\n", std::nullopt, nullptr, kMalformed},
      {"minus", "PORT 192,168,1,10,-1,1\r\n", std::nullopt, nullptr, kMalformed},
      {"K-10: text behind it", "PORT 192,168,1,10,19,137 x\r\n", std::nullopt, nullptr, kMalformed},
      {"K-10: CR inside", "PORT 192,168,\r1,10,19,137\r\n", std::nullopt, nullptr, kMalformed},
      {"K-10: telnet before it", "\xff\xf4PORT 192,168,1,10,19,137\r\n", std::nullopt, nullptr,
       kMalformed},
      {"K-10: telnet inside",
       "PORT 192,\xff\xf4"
       "168,1,10,19,137\r\n",
       std::nullopt, nullptr, kMalformed},
      {"telnet before ABOR",
       "\xff\xf4\xff\xf2"
       "ABOR\r\n",
       std::nullopt},
      {"EPRT of the wrong family", "EPRT |2|192.168.1.10|5001|\r\n", std::nullopt, nullptr,
       kMalformed},
      {"EPRT port too large", "EPRT |1|192.168.1.10|65537|\r\n", std::nullopt, nullptr, kMalformed},
      {"EPRT not closed", "EPRT |1|192.168.1.10|5001\r\n", std::nullopt, nullptr, kMalformed},
      {"EPRT with digits as delimiter", "EPRT 111192.168.1.101500111\r\n", std::nullopt, nullptr,
       kMalformed},
      {"another command that quotes it", "STOR PORT 192,168,1,10,19,137\r\n", std::nullopt},
      {"PORT without words", "PORT\r\n", std::nullopt, nullptr, kMalformed},
      {"an empty line", "\r\n", std::nullopt},
  };
  HelperStage stage{helper::kFtp};
  stage.say(true, "USER a\r\n");
  for (const Row& row : rows) check(stage, true, row);
  CHECK_FALSE(stage.stopped);
}

TEST_CASE("FTP: IPv6") {
  HelperStage stage{helper::kFtp, true};
  stage.say(true, "USER a\r\n");
  check(stage, true,
        {"EPRT", "EPRT |2|fd00:1::10|5001|\r\n", "EPRT |2|2001:db8:2::7|15001|\r\n",
         "[fd00:1::10]:5001"});
  stage.say(true, "EPSV\r\n");
  check(stage, false,
        {"229", "229 Entering Extended Passive Mode (|||5001|)\r\n",
         "229 Entering Extended Passive Mode (|||15001|)\r\n", "[2001:db8::1]:5001"});
}

TEST_CASE("FTP: answers of the server, each after the client has asked") {
  const Row rows[] = {
      {"227", "227 Entering Passive Mode (198,51,100,1,19,137)\r\n",
       "227 Entering Passive Mode (203,0,113,7,58,153)\r\n", "198.51.100.1:5001"},
      {"227 with a full stop", "227 Entering Passive Mode (198,51,100,1,19,137).\r\n",
       "227 Entering Passive Mode (203,0,113,7,58,153).\r\n", "198.51.100.1:5001"},
      {"227 without brackets", "227 =198,51,100,1,19,137\r\n", "227 =203,0,113,7,58,153\r\n",
       "198.51.100.1:5001"},
      {"229", "229 ok (|||5001|)\r\n", "229 ok (|||15001|)\r\n", "198.51.100.1:5001"},
      {"227 at the end of several lines", "227-ok\r\n227 (198,51,100,1,19,137)\r\n",
       "227-ok\r\n227 (203,0,113,7,58,153)\r\n", "198.51.100.1:5001"},
      {"K-09: 227 inside several lines", "211-x\r\n227 (198,51,100,1,19,137)\r\n211 end\r\n",
       std::nullopt},
      {"227 without numbers", "227 no\r\n", std::nullopt, nullptr, kMalformed},
      {"229 with an address", "229 (|1|198.51.100.1|5001|)\r\n", std::nullopt, nullptr, kMalformed},
      {"229 not closed", "229 (|||5001)\r\n", std::nullopt, nullptr, kMalformed},
  };
  HelperStage stage{helper::kFtp};
  stage.say(true, "USER a\r\n");
  for (const Row& row : rows) {
    stage.say(true, "PASV\r\n");
    check(stage, false, row);
  }
  stage.say(true, "PASV\r\nTYPE I\r\n");  // at once: the answers come in their order
  stage.say(false, "227 (198,51,100,1,19,137)\r\n200 ok\r\n");
  check(stage, false,
        {"K-09: nobody asked", "227 (198,51,100,1,19,137)\r\n", std::nullopt, nullptr,
         Refusal::wrong_side});
  CHECK_FALSE(stage.stopped);
}

TEST_CASE("K-01, K-09: FTP ends where something else is spoken") {
  const std::pair<bool, const char*> ends[] = {
      {true, "POST / HTTP/1.1\r\n"},  {true, "PORT 192,168,1,10,19,137\r\n"},
      {true, "\x16\x03\x01"},         {true, "227 (192,168,1,10,19,137)\r\n"},
      {false, "SSH-2.0-x\r\n"},       {false, "PORT 192,168,1,10,19,137\r\n"},
      {false, "HTTP/1.1 200 OK\r\n"}, {true, "USERS\r\n"},
  };
  for (const auto& [from_client, text] : ends) {
    CAPTURE(text);
    HelperStage stage{helper::kFtp};
    stage.say(from_client, text);
    CHECK(stage.stopped);
    CHECK(stage.announcements.empty());
    REQUIRE(stage.refusals.size() == 1);
    CHECK(stage.refusals[0] == Refusal::foreign);
  }
  HelperStage secured{helper::kFtp};
  secured.say(true, "AUTH TLS\r\n");
  secured.say(false, "234 go\r\n");
  CHECK(secured.stopped);
  CHECK(secured.refusals.empty());
}

TEST_CASE("IRC: offers of the client") {
  const Row rows[] = {
      {"SEND",
       "PRIVMSG bob :\x01"
       "DCC SEND a.txt 3232235786 5001 7\x01\r\n",
       "PRIVMSG bob :\x01"
       "DCC SEND a.txt 3405803783 15001 7\x01\r\n",
       "192.168.1.10:5001"},
      {"CHAT",
       "PRIVMSG bob :\x01"
       "DCC CHAT chat 3232235786 5001\x01\r\n",
       "PRIVMSG bob :\x01"
       "DCC CHAT chat 3405803783 15001\x01\r\n",
       "192.168.1.10:5001"},
      {"a name with blanks",
       "PRIVMSG bob :\x01"
       "DCC SEND \"a b\" 3232235786 5001 7\x01\r\n",
       "PRIVMSG bob :\x01"
       "DCC SEND \"a b\" 3405803783 15001 7\x01\r\n",
       "192.168.1.10:5001"},
      {"several blanks",
       "PRIVMSG bob :\x01"
       "DCC MOVE x 3232235786   5001 7\x01\n",
       "PRIVMSG bob :\x01"
       "DCC MOVE x 3405803783 15001 7\x01\n",
       "192.168.1.10:5001"},
      {"the peer listens",
       "PRIVMSG bob :\x01"
       "DCC SEND x 3232235786 0 7 99\x01\r\n",
       std::nullopt},
      {"K-11: NOTICE",
       "NOTICE bob :\x01"
       "DCC SEND x 3232235786 5001 7\x01\r\n",
       std::nullopt},
      {"K-11: quoted",
       "PRIVMSG bob :say \x01"
       "DCC SEND x 3232235786 5001 7\x01\r\n",
       std::nullopt},
      {"K-11: without the marks", "PRIVMSG bob :DCC SEND x 3232235786 5001 7\r\n", std::nullopt},
      {"K-11: not closed",
       "PRIVMSG bob :\x01"
       "DCC SEND x 3232235786 5001 7\r\n",
       std::nullopt},
      {"K-11: inside another command",
       "TOPIC #x :PRIVMSG b :\x01"
       "DCC CHAT c 3232235786 5001\x01\r\n",
       std::nullopt},
      {"an address too large",
       "PRIVMSG bob :\x01"
       "DCC CHAT chat 4294967296 5001\x01\r\n",
       std::nullopt, nullptr, kMalformed},
      {"a port too large",
       "PRIVMSG bob :\x01"
       "DCC CHAT chat 3232235786 65537\x01\r\n",
       std::nullopt, nullptr, kMalformed},
      {"no port",
       "PRIVMSG bob :\x01"
       "DCC CHAT chat 3232235786\x01\r\n",
       std::nullopt, nullptr, kMalformed},
      {"lower case",
       "PRIVMSG bob :\x01"
       "dcc chat chat 3232235786 5001\x01\r\n",
       std::nullopt},
  };
  HelperStage stage{helper::kIrc};
  stage.say(true, "CAP LS\r\nNICK a\r\n");
  for (const Row& row : rows) check(stage, true, row);
  CHECK_FALSE(stage.stopped);
}

TEST_CASE("K-11: IRC servers open nothing; RESUME and ACCEPT name the port as each side knows it") {
  HelperStage stage{helper::kIrc};
  stage.say(true, "NICK a\r\n");
  check(stage, false,
        {"an offer from the server",
         ":b!u@h PRIVMSG a :\x01"
         "DCC SEND x 3405803783 5001 7\x01\r\n",
         std::nullopt});
  stage.say(true,
            "PRIVMSG bob :\x01"
            "DCC SEND x 3232235786 5001 7\x01\r\n");
  CHECK(stage.say(false,
                  ":bob!u@h PRIVMSG a :\x01"
                  "DCC RESUME x 15001 3\x01\r\n") ==
        ":bob!u@h PRIVMSG a :\x01"
        "DCC RESUME x 5001 3\x01\r\n");
  CHECK(stage.say(true,
                  "PRIVMSG bob :\x01"
                  "DCC ACCEPT x 5001 3\x01\r\n") ==
        "PRIVMSG bob :\x01"
        "DCC ACCEPT x 15001 3\x01\r\n");
  CHECK(stage.announcements.size() == 1);
  HelperStage post{helper::kIrc};
  post.say(true,
           "POST / HTTP/1.1\r\nPRIVMSG b :\x01"
           "DCC CHAT c 3232235786 5001\x01\r\n");
  CHECK(post.stopped);
  CHECK(post.announcements.empty());
}

TEST_CASE("TFTP: requests, and what is none") {
  using namespace std::string_literals;
  for (const auto& request : {"\0\1file\0octet\0"s, "\0\2f\0NetASCII\0"s,
                              "\0\1f\0octet\0blksize\0"
                              "512\0"s}) {
    HelperStage stage{helper::kTftp};
    CHECK(stage.say(true, request) == request);
    REQUIRE(stage.announcements.size() == 1);
    CHECK(stage.announcements[0].own ==
          net::Endpoint{*net::IpAddress::parse("192.168.1.10"), 40000});
    CHECK(stage.announcements[0].protocol == net::Protocol::udp);
    for (std::size_t size = 0; size < request.find('\0', request.find('\0', 2) + 1); ++size) {
      HelperStage cut{helper::kTftp};
      if (size != 0) cut.say(true, request.substr(0, size));
      CHECK(cut.announcements.empty());
    }
  }
  for (const auto& other :
       {"\0\3\0\1data"s, "\0\1\0octet\0"s, "\0\1f\0binary\0"s, "REGISTER sip:"s}) {
    HelperStage stage{helper::kTftp};
    stage.say(true, other);
    CHECK(stage.announcements.empty());
  }
}

TEST_CASE("no helper reads behind a message that is cut off") {
  truncate(helper::kFtp, "USER a\r\n", "PORT 192,168,1,10,19,137");
  truncate(helper::kFtp, "USER a\r\n", "EPRT |1|192.168.1.10|5001|");
  truncate(helper::kIrc, "NICK a\r\n",
           "PRIVMSG bob :\x01"
           "DCC SEND \"a b\" 3232235786 5001 7\x01");
}

TEST_CASE(
    "settings: FTP, TFTP, IRC and PPTP are on; by the server's port behind translation, and by "
    "network") {
  helper::Settings settings = helper::Settings::defaults();
  const auto end = [](const char* text) { return *net::IpAddress::parse(text); };
  Tuple original{end("192.168.1.10"), end("198.51.100.1"), 4000, 21, net::Protocol::tcp, 0};
  const auto service = settings.service_for(original, original.inverted());
  REQUIRE(service);
  CHECK(helper::all_helpers()[*service] == &helper::kFtp);
  Tuple reply = original.inverted();
  reply.source_port = 2121;
  CHECK_FALSE(settings.service_for(original, reply));
  settings.services[*service].networks = {*net::Prefix::parse("10.0.0.0/8")};
  CHECK_FALSE(settings.service_for(original, original.inverted()));
  settings.services[*service].networks.push_back(*net::Prefix::parse("192.168.1.0/24"));
  CHECK(settings.service_for(original, original.inverted()));
  CHECK(settings.is_denied(6000));
  CHECK_FALSE(settings.is_denied(5001));
  std::string on;
  for (std::size_t i = 0; i < settings.services.size(); ++i)
    if (settings.services[i].enabled) on += std::string{helper::all_helpers()[i]->name} + " ";
  CHECK(on == "ftp tftp irc pptp ");
  CHECK(helper::find_helper("irc") == &helper::kIrc);
  CHECK(helper::find_helper("nobody") == nullptr);
}

TEST_CASE("F2 helper: rules know every helper by its name, and connections by its place") {
  const auto all = helper::all_helpers();
  REQUIRE(all.size() == conntrack::kHelperNames.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i]->name == conntrack::kHelperNames[i]);
    conntrack::Connection connection;
    connection.set(conntrack::Connection::kOfHost);
    CHECK_FALSE(connection.announcer());
    connection.set_announcer(static_cast<std::uint8_t>(i));
    CHECK(connection.announcer() == i);
    CHECK(connection.has(conntrack::Connection::kOfHost));
    CHECK_FALSE(connection.has(conntrack::Connection::kOutboundRefresh));
  }
  CHECK_FALSE(conntrack::helper_number("gopher"));
}
