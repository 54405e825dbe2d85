// Stories of IPsec through the router: ISAKMP by cookies, ESP by its indices and the pending rule,
// AH.

#include "tests/path/helper_router.hpp"

namespace path_helper_ipsec {

using namespace masqgate;
using namespace masqgate::test;

namespace {

using Router = HelperRouter;

std::string b32(std::uint32_t v) {
  return b16(v >> 16) + b16(v & 0xffff);
}

PacketBuilder esp(const char* from, const char* to, std::uint32_t index) {
  return ip(net::Protocol::esp).from(from).to(to).payload(octets(b32(index) + b32(1) + "sealed"));
}

std::string isakmp(std::uint32_t cookie, std::uint32_t answer = 0) {
  return b32(cookie) + b32(~cookie) + b32(answer) + b32(answer) + b32(0x21202208) + b32(0) +
         b32(28);
}

// Who gets this packet of the server; "nobody".
std::string receiver_of(Router& router, const PacketBuilder& packet) {
  const auto in = router.pass_on(kWan, packet);
  return in ? in->tuple.destination_address.text() : "nobody";
}
bool passes(Router& router, const PacketBuilder& packet) {
  const auto out = router.pass_on(kLan, packet);
  if (out) CHECK(out->tuple.source_address == address(kOurs));
  return out.has_value();
}

}  // namespace

TEST_CASE("M8: hosts inside speak ISAKMP with one gateway, all from port 500") {
  Router router{"ipsec"};
  const net::Endpoint gateway = at(kServer, 500), ours = at(kOurs, 500);
  for (const auto& [host, cookie] : {std::pair{kAlice, 7u}, std::pair{kBob, 8u}}) {
    CHECK(router.say(kLan, at(host, 500), gateway, isakmp(cookie)) == isakmp(cookie));
    CHECK(router.last.source() == ours);
  }
  for (const auto& [host, cookie] : {std::pair{kBob, 8u}, std::pair{kAlice, 7u}}) {
    CHECK(router.say(kWan, gateway, ours, isakmp(cookie, 1)) == isakmp(cookie, 1));
    CHECK(router.last.destination() == at(host, 500));
  }
  // A cookie that nobody has sent, a gateway that nobody has asked, and no ISAKMP at all.
  CHECK(router.say(kWan, gateway, ours, isakmp(9)) == "nothing");
  CHECK(router.say(kWan, at(kStranger, 500), ours, isakmp(7)) == "nothing");
  CHECK(router.say(kWan, gateway, ours, "short") == "nothing");
  router.pass(std::chrono::minutes{29});
  CHECK(router.say(kWan, gateway, ours, isakmp(7, 1)) == isakmp(7, 1));
  router.pass(std::chrono::minutes{31});
  CHECK(router.say(kWan, gateway, ours, isakmp(7, 1)) == "nothing");
  CHECK(router.imbalance() == "");
}

TEST_CASE("M8: an error about ISAKMP or ESP reaches the one whose packet it is") {
  Router router{"ipsec"};
  router.say(kLan, at(kAlice, 500), at(kServer, 500), isakmp(7));
  router.pass_on(kLan, esp(kAlice, kServer, 0x1234'5678));
  router.say(kLan, at(kBob, 500), at(kServer, 500), isakmp(8));
  for (const PacketBuilder& sent :
       {udp().from(at(kOurs, 500)).to(at(kServer, 500)).payload(isakmp(7)),
        esp(kOurs, kServer, 0x1234'5678)})
    router.error_for(kAlice, icmp_error(3, 4, 1400).quoting(sent));
}

TEST_CASE(
    "M8: the next unknown index of the gateway is the pending host's, and the other's turn comes") {
  Router router{"ipsec"};
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  // Bob must wait, and tries again.
  for (int i = 0; i < 3; ++i) CHECK_FALSE(passes(router, esp(kBob, kServer, 0x2000)));
  CHECK(router.drops(DropReason::helper_waits) == 3);
  CHECK(router.refused("ipsec", Refusal::pending) == 3);
  CHECK(router.shard.connections().size() == 1);
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  // Somebody else's packets are nobody's.
  CHECK(receiver_of(router, esp(kStranger, kOurs, 0x1001)) == "nobody");
  CHECK(receiver_of(router, esp(kServer, kOurs, 0xabcd1001)) == kAlice);
  CHECK(passes(router, esp(kBob, kServer, 0x2000)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0xabcd2001)) == kBob);
  for (int i = 0; i < 2; ++i) {
    CHECK(receiver_of(router, esp(kServer, kOurs, 0xabcd1001)) == kAlice);
    CHECK(receiver_of(router, esp(kServer, kOurs, 0xabcd2001)) == kBob);
    CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
    CHECK(passes(router, esp(kBob, kServer, 0x2000)));
  }
  // Both have what they waited for: an index that nobody knows is nobody's (no guess).
  CHECK(receiver_of(router, esp(kServer, kOurs, 0xabcd3001)) == "nobody");
  CHECK(router.counters("ipsec").announced == 2);
  CHECK(router.counters("ipsec").fulfilled == 2);
  CHECK(router.imbalance() == "");
}

TEST_CASE("M8: another gateway is another matter, and so is a new index after a rekey") {
  Router router{"ipsec"};
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  CHECK(passes(router, esp(kBob, kStranger, 0x2000)));
  CHECK(receiver_of(router, esp(kStranger, kOurs, 0x2001)) == kBob);
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
  CHECK(passes(router, esp(kAlice, kServer, 0x1100)));
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1101)) == kAlice);
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
}

TEST_CASE("M8, K-04: who waits for a gateway that is silent keeps others waiting two minutes") {
  Router router{"ipsec"};
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  router.pass(std::chrono::seconds{110});
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));  // does not begin anew
  CHECK_FALSE(passes(router, esp(kBob, kServer, 0x2000)));
  router.pass(std::chrono::seconds{15});
  CHECK(router.shard.helpers().expectations().size() == 0);
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == "nobody");
  CHECK(passes(router, esp(kBob, kServer, 0x2000)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x2001)) == kBob);
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
}

TEST_CASE("M8: either direction keeps both alive, and they end together") {
  Router router{"ipsec"};
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
  for (int i = 0; i < 4; ++i) {
    router.pass(std::chrono::minutes{20});
    CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
  }
  CHECK(router.shard.connections().size() == 2);
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  CHECK(router.counters("ipsec").announced == 1);
  CHECK(passes(router, esp(kBob, kServer, 0x2000)));  // nobody waits
  router.pass(std::chrono::minutes{31});
  CHECK(router.shard.connections().size() == 0);
  CHECK(router.counters("ipsec").attached == 0);
}

TEST_CASE("M8: what came while nobody could wait leaves nothing behind") {
  Router router{"ipsec"};
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  for (std::uint32_t i = 0; i < 5000; ++i) passes(router, esp(kBob, kServer, 0x2000 + i));
  CHECK(router.counters("ipsec").attached == 1);
  CHECK(router.shard.helpers().expectations().size() == 1);
  CHECK(router.shard.helpers().expectations().past().size() <
        helper::Expectations::kMostPast + std::size_t{1});
}

TEST_CASE("M8: large packets of ESP in fragments, and an index of zero") {
  Router router{"ipsec"};
  const auto fragment = [&](std::size_t offset, bool more) {
    return ip(net::Protocol::esp)
        .from(kAlice)
        .to(kServer)
        .identification(9)
        .payload(octets(b32(0x1000) + b32(1) + std::string(32, 'x')))
        .fragment(offset, more);
  };
  CHECK(passes(router, fragment(0, true)));
  CHECK(passes(router, fragment(40, false)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
  CHECK_FALSE(passes(router, esp(kAlice, kServer, 0)));
  CHECK(router.refused("ipsec", Refusal::malformed) == 1);
}

TEST_CASE("M8: with the helper off IPsec is UDP and a protocol without ports like any other") {
  Router router;
  router.say(kLan, at(kAlice, 500), at(kServer, 500), isakmp(7));
  CHECK(router.last.source() == at(kOurs, 500));
  router.say(kLan, at(kBob, 500), at(kServer, 500), isakmp(8));
  CHECK(router.last.source() != at(kOurs, 500));
  CHECK(router.say(kWan, at(kServer, 500), at(kOurs, 500), isakmp(9)) == isakmp(9));
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  CHECK(passes(router, esp(kAlice, kServer, 0x1100)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
  CHECK_FALSE(passes(router, esp(kBob, kServer, 0x2000)));
  CHECK(router.shard.helpers().expectations().size() == 0);
  // Switched on, it finds what flows; switched off again, it lets go.
  router.policy.helpers.services[Router::place("ipsec")].enabled = true;
  router.apply();
  CHECK(passes(router, esp(kAlice, kServer, 0x1000)));
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
  CHECK(router.counters("ipsec").fulfilled == 1);
  router.policy.helpers.services[Router::place("ipsec")].enabled = false;
  router.apply();
  CHECK(router.counters("ipsec").attached == 0);
  CHECK(receiver_of(router, esp(kServer, kOurs, 0x1001)) == kAlice);
}

TEST_CASE("M8: AH, whose checksum covers the addresses, is not translated but refused") {
  Router router;
  CHECK_FALSE(router.pass_on(kLan, ip(net::Protocol::ah).from(kAlice).to(kServer)));
  CHECK(router.drops(DropReason::untranslatable) == 1);
  CHECK(router.shard.connections().size() == 0);
}

TEST_CASE("M8, S6-21, S6-25: between hosts that nobody translates AH passes, and ESP is related") {
  Router router{"ipsec"};
  constexpr auto kInside = "fd00:1::10", kOutside = "2001:db8:5::1";
  router.know(kLan, kInside);
  const auto ah =
      router.pass_on(kLan, ip(net::Protocol::ah)
                               .from(kInside)
                               .to(kOutside)
                               .payload(octets(std::string("\x3b\4", 2) + std::string(30, 'x'))));
  CHECK(ah);
  CHECK(router.pass_on(kLan, esp(kInside, kOutside, 0x1000)));
  CHECK(receiver_of(router, esp(kOutside, kInside, 0x1001)) == kInside);
  CHECK(router.counters("ipsec").fulfilled == 1);
}

}  // namespace path_helper_ipsec
