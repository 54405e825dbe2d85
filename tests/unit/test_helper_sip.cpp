// Tables of sentences for the helpers of SIP and RTSP, and for the SDP inside.

#include "daemon/helper/registry.hpp"
#include "tests/support/helper_rows.hpp"

using namespace masqgate;
using namespace masqgate::test;
using helper::Refusal;

namespace {

std::string message(std::string_view start, std::string_view headers, std::string_view body = "") {
  std::string text = std::string{start} + "\r\n" + std::string{headers};
  if (!body.empty())
    text +=
        "Content-Type: application/sdp\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + std::string{body};
}

std::string sdp(std::string_view address, unsigned port) {
  return "v=0\r\no=a 1 1 IN IP4 " + std::string{address} + "\r\nc=IN IP4 " + std::string{address} +
         "\r\nm=audio " + std::to_string(port) + " RTP/AVP 0\r\n";
}

const std::string kInvite = "INVITE sip:bob@198.51.100.1 SIP/2.0";
constexpr auto kOwn = "192.168.1.10", kShown = "203.0.113.7";

}  // namespace

TEST_CASE("SIP: who speaks is named as his peer knows him") {
  const Row rows[] = {
      {"Via and Contact of the socket that sends",
       message(kInvite,
               "Via: SIP/2.0/UDP 192.168.1.10:40000;rport\r\nContact: "
               "<sip:alice@192.168.1.10:40000>\r\n"),
       message(kInvite,
               "Via: SIP/2.0/UDP 203.0.113.7:40000;rport\r\nContact: "
               "<sip:alice@203.0.113.7:40000>\r\n")},
      {"short names",
       message(kInvite, "v:SIP/2.0/UDP 192.168.1.10:40000\r\nf: <sip:a@192.168.1.10>;tag=1\r\n"),
       message(kInvite, "v:SIP/2.0/UDP 203.0.113.7:40000\r\nf: <sip:a@203.0.113.7>;tag=1\r\n")},
      {"Contact elsewhere is expected",
       message(kInvite, "Contact: <sip:alice@192.168.1.10:5001>\r\n"),
       message(kInvite, "Contact: <sip:alice@203.0.113.7:15001>\r\n"), "192.168.1.10:5001"},
      {"a Contact without port listens at 5060",
       message(kInvite, "Contact: <sip:alice@192.168.1.10>\r\n"),
       message(kInvite, "Contact: <sip:alice@203.0.113.7:15060>\r\n"), "192.168.1.10:5060"},
      {"K-02: somebody else stays", message(kInvite, "Contact: <sip:alice@192.168.1.11:5001>\r\n"),
       std::nullopt},
      {"a longer number is no address of ours",
       message(kInvite, "Contact: <sip:alice@192.168.1.100:5001>\r\n"), std::nullopt},
      {"Call-ID stays", message(kInvite, "Call-ID: 7@192.168.1.10\r\n"), std::nullopt},
      {"a port too large", message(kInvite, "Contact: <sip:alice@192.168.1.10:65537>\r\n"),
       std::nullopt, nullptr, Refusal::malformed},
      {"nothing but a sign of life", "\r\n\r\n", std::nullopt},
      {"K-01: HTTP",
       "POST / HTTP/1.1\r\n\r\n" + message(kInvite, "Contact: <sip:a@192.168.1.10:5001>\r\n"),
       std::nullopt, nullptr, Refusal::foreign},
      {"K-05: what is left of a datagram",
       message("TURN", "Contact: <sip:a@192.168.1.10:5001>\r\n"), std::nullopt, nullptr,
       Refusal::foreign},
  };
  for (const Row& row : rows) {
    HelperStage stage{helper::kSip};
    check(stage, true, row);
  }
}

TEST_CASE("SIP: answers name the client as he knows himself") {
  HelperStage stage{helper::kSip};
  stage.say(true,
            message("REGISTER sip:198.51.100.1 SIP/2.0", "Contact: <sip:a@192.168.1.10:5001>\r\n"));
  REQUIRE(stage.announcements.size() == 1);
  CHECK(stage.announcements[0].life == std::chrono::hours{1});
  CHECK(stage.announcements[0].child == &helper::kSip);
  CHECK(stage.say(false,
                  message("SIP/2.0 200 OK",
                          "Via: SIP/2.0/UDP 203.0.113.7:40000;received=203.0.113.7;rport=40000\r\n"
                          "Contact: <sip:a@203.0.113.7:15001>\r\n")) ==
        message("SIP/2.0 200 OK",
                "Via: SIP/2.0/UDP 192.168.1.10:40000;received=192.168.1.10;rport=40000\r\n"
                "Contact: <sip:a@192.168.1.10:5001>\r\n"));
}

TEST_CASE("SIP: media of SDP, in pairs, with the right length") {
  const auto c = [](std::string_view a) { return "c=IN IP4 " + std::string{a} + "\r\n"; };
  const std::string rtp = "m=audio 5000 RTP/AVP 0\r\n", shown = "m=audio 15000 RTP/AVP 0\r\n";
  const Row rows[] = {
      {"one medium", message(kInvite, "", sdp(kOwn, 5000)),
       message(kInvite, "", sdp(kShown, 15000)), "192.168.1.10:5000"},
      {"a medium's own address", message(kInvite, "", rtp + c(kOwn)),
       message(kInvite, "", shown + c(kShown)), "192.168.1.10:5000"},
      {"RTCP beside it", message(kInvite, "", c(kOwn) + rtp + "a=rtcp:5001\r\n"),
       message(kInvite, "", c(kShown) + shown + "a=rtcp:15001\r\n"), "192.168.1.10:5000"},
      {"RTCP elsewhere",
       message(kInvite, "", c(kOwn) + rtp + "a=rtcp:6101 IN IP4 192.168.1.10\r\n"),
       message(kInvite, "", c(kShown) + shown + "a=rtcp:16101 IN IP4 203.0.113.7\r\n"),
       "192.168.1.10:5000"},
      {"K-13: on hold", message(kInvite, "", c("0.0.0.0") + rtp), std::nullopt},
      {"refused medium", message(kInvite, "", c("0.0.0.0") + "m=video 0 RTP/AVP 31\r\n"),
       std::nullopt},
      {"K-13: no address at all", message(kInvite, "", rtp), std::nullopt, nullptr,
       Refusal::malformed},
      {"K-13: no address that can be read", message(kInvite, "", c("example.org") + rtp),
       std::nullopt, nullptr, Refusal::malformed},
      {"a port too large", message(kInvite, "", c(kOwn) + "m=audio 70000 RTP/AVP 0\r\n"),
       message(kInvite, "", c(kShown) + "m=audio 70000 RTP/AVP 0\r\n"), nullptr,
       Refusal::malformed},
      {"a wrong length",
       kInvite + "\r\nContent-Type: application/sdp\r\nContent-Length: 7\r\n\r\n" + sdp(kOwn, 5000),
       std::nullopt, nullptr, Refusal::malformed},
      {"another type", kInvite + "\r\nContent-Type: text/plain\r\n\r\n" + sdp(kOwn, 5000),
       std::nullopt},
  };
  for (const Row& row : rows) {
    HelperStage stage{helper::kSip};
    check(stage, true, row);
    for (const auto& what : stage.announcements) CHECK(what.protocol == net::Protocol::udp);
    if (!stage.announcements.empty()) CHECK(stage.announcements[0].is_pair);
  }
}

TEST_CASE("SIP: a call on hold and back again says the same ports") {
  HelperStage stage{helper::kSip};
  const std::string first = stage.say(true, message(kInvite, "", sdp(kOwn, 5000)));
  stage.say(true, message(kInvite, "", sdp("0.0.0.0", 5000)));
  CHECK(stage.say(true, message(kInvite, "", sdp(kOwn, 5000))) == first);
}

TEST_CASE("SIP over TCP: messages are cut by their length; what is none ends it (K-01)") {
  HelperStage stage{helper::kSipTcp};
  const std::string one =
      message(kInvite, "Contact: <sip:a@192.168.1.10:40000;transport=tcp>\r\n", sdp(kOwn, 5000));
  const std::string to =
      message(kInvite, "Contact: <sip:a@203.0.113.7:40000;transport=tcp>\r\n", sdp(kShown, 15000));
  CHECK(stage.say(true, one + "\r\n" + one) == to + "\r\n" + to);
  CHECK_FALSE(stage.stopped);
  HelperStage post{helper::kSipTcp};
  post.say(true, "POST / HTTP/1.1\r\n\r\n" + one);
  CHECK(post.stopped);
  CHECK(post.announcements.empty());
}

TEST_CASE("SIP: IPv6") {
  HelperStage stage{helper::kSip, true};
  const std::string body = "c=IN IP6 fd00:1::10\r\nm=audio 5000 RTP/AVP 0\r\n";
  CHECK(stage.say(true, message("INVITE sip:b@[2001:db8::1] SIP/2.0",
                                "Via: SIP/2.0/UDP [fd00:1::10]:40000\r\n", body)) ==
        message("INVITE sip:b@[2001:db8::1] SIP/2.0", "Via: SIP/2.0/UDP [2001:db8:2::7]:40000\r\n",
                "c=IN IP6 2001:db8:2::7\r\nm=audio 15000 RTP/AVP 0\r\n"));
}

TEST_CASE("no part of a SIP or RTSP message reads behind its end") {
  const std::string invite = message(
      kInvite, "Via: SIP/2.0/UDP 192.168.1.10:5001;rport=1\r\nContact: <sip:a@[::1]:5001>\r\n",
      sdp(kOwn, 5000) + "a=rtcp:5001\r\n");
  check_cut(helper::kSip, true, "", invite, 5060);
  check_cut(helper::kSipTcp, true, "", invite, 5060);
  check_cut(helper::kRtsp, true, "",
            "SETUP x RTSP/1.0\r\nTransport: RTP/AVP;client_port=5000-5001\r\n\r\n", 5000);
  check_cut(helper::kRtsp, true, "",
            std::string{"PNA\0\x0a\0\1\0\2\x13\x88\0\7\0\2\x13\x8a\0\0", 19}, 5002);
}

TEST_CASE("RTSP: the client's ports, and the answer that repeats them") {
  const std::string setup =
      "SETUP rtsp://x/a RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP;unicast;client_port=";
  const Row rows[] = {
      {"a pair", setup + "5000-5001\r\n\r\n", setup + "15000-15001\r\n\r\n", "192.168.1.10:5000"},
      {"one", setup + "5000;mode=play\r\n\r\n", setup + "15000;mode=play\r\n\r\n",
       "192.168.1.10:5000"},
      {"no pair", setup + "5000-5003\r\n\r\n", std::nullopt, nullptr, Refusal::malformed},
      {"a port too large", setup + "70000\r\n\r\n", std::nullopt, nullptr, Refusal::malformed},
      {"in a body",
       "ANNOUNCE x RTSP/1.0\r\nContent-Length: 35\r\n\r\nTransport: client_port=5000-5001\r\n\r\n",
       std::nullopt},
      {"K-01: HTTP", "GET / HTTP/1.0\r\n" + setup + "5000-5001\r\n\r\n", std::nullopt, nullptr,
       Refusal::foreign},
  };
  for (const Row& row : rows) {
    HelperStage stage{helper::kRtsp};
    check(stage, true, row);
  }
  HelperStage stage{helper::kRtsp};
  stage.say(true, setup + "5000-5001\r\n\r\n");
  CHECK(stage.say(false,
                  "RTSP/1.0 200 OK\r\nTransport: "
                  "RTP/AVP;client_port=15000-15001;server_port=1-2\r\n\r\n") ==
        "RTSP/1.0 200 OK\r\nTransport: RTP/AVP;client_port=5000-5001;server_port=1-2\r\n\r\n");
  // Interleaved data is not read as text.
  const std::string data{"$\0\0\x0bTransport:\n", 15};
  CHECK(stage.say(false, data + "RTSP/1.0 200 OK\r\nTransport: client_port=15000\r\n\r\n") ==
        data + "RTSP/1.0 200 OK\r\nTransport: client_port=5000\r\n\r\n");
}

TEST_CASE("RealAudio: PNA's ports, once") {
  HelperStage stage{helper::kRtsp};
  CHECK(
      stage.say(true, std::string{"PNA\0\x0a\0\1\0\2\x13\x88\0\5\0\1x\0\7\0\2\0\0\0\0more", 28}) ==
      std::string{"PNA\0\x0a\0\1\0\2\x3a\x98\0\5\0\1x\0\7\0\2\0\0\0\0more", 28});
  CHECK(stage.announcements.size() == 1);
  CHECK(stage.stopped);
}
