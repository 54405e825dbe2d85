// What users of other systems complain about, each a story: nothing that a packet had is lost on its
// way through a program, and no program stalls, loops or breaks what is not its own.

#include "tests/path/divert_router.hpp"

namespace path_divert_complaints {

using namespace masqgate;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

constexpr auto kLook =
    R"({"forward": {"rules": [{"protocol": "udp", "action": {"divert": 2222}}]}})";

// A second listener of the same shard, on another port.
struct Other {
  Other(DivertRouter& lab, std::uint16_t port) : lab_{lab} {
    format::BindHeader bind;
    bind.port = port;
    bind.permissions = Access::kEverything;
    member = lab.desk().attach(channel, {});
    REQUIRE(lab.desk().receive(member, frame_of_records({bytes_of(bind)}, format::Kind::control),
                               lab.router.now()));
    hear(channel);
  }
  Heard listen() {
    lab_.desk().flush(lab_.router.now());
    return hear(channel);
  }
  // A packet that is about another one.
  void inject(const PacketBuilder& packet, std::uint64_t about) {
    format::InjectHeader header;
    header.relates_to = about;
    REQUIRE(lab_.desk().receive(member, injection(packet, header), lab_.router.now()));
  }

  DivertRouter& lab_;
  FakeChannel channel;
  Member member = kNoMember;
};

}  // namespace

TEST_CASE(
    "complaint 3: what earlier rules and the route said survives a program that changes the "
    "packet") {
  DivertRouter lab{R"({"prerouting": {"rules": [{"action": {"mark": "0x7/0xff"}}]},
                       "forward": {"policy": "drop", "rules": [
    {"id": "look", "protocol": "udp", "action": {"divert": 2222}},
    {"id": "ok", "mark": "0x7/0xff", "out": "wan", "state": ["new"], "action": "accept"}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  const Heard heard = lab.listen();
  CHECK(heard.packets.at(0).mark == 7);
  CHECK(heard.packets[0].out_interface == kWan + 1u);
  lab.say(DivertLab::verdict(heard.packets[0].id, Action::accept),
          udp().from("192.168.1.10", 4000).to("198.51.100.1", 53).payload("other").ip_bytes());
  CHECK(checksum_problem(lab.router.one(kWan)) == "");
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("complaint 4: a verdict that is slow holds up its own packet only") {
  DivertRouter lab{kLook};
  lab.connect();
  lab.router.arrive(kLan, question());
  const auto slow = lab.listen().packets.at(0).id;
  for (int i = 0; i < 20; ++i) {
    lab.router.arrive(kLan, udp().from("192.168.1.11", 4000).to("198.51.100.1", 53));
    lab.accept_one();
    lab.router.one(kWan);
  }
  lab.router.arrive(kLan, tcp().from("192.168.1.10", 4000).to("198.51.100.1", 80).flags("S"));
  lab.router.one(kWan);  // nobody asked for this one
  lab.say(slow, Action::accept);
  lab.router.one(kWan);
}

TEST_CASE("complaint 6: diverted and forwarded to a host inside, in both directions") {
  DivertRouter lab{R"({"forward": {"policy": "drop", "rules": [
    {"id": "look", "action": {"divert": 2222}}, {"action": "accept"}]}})"};
  nat::DestinationRule forward;
  forward.ingress = kWan;
  forward.to = {net::IpAddress::parse("192.168.1.10").value(),
                net::IpAddress::parse("192.168.1.10").value()};
  lab.router.policy.nat.destination.push_back(forward);
  lab.router.apply();
  lab.connect();
  lab.router.arrive(kWan, udp().from("198.51.100.1", 4000).to("203.0.113.7", 53));
  const Heard heard = lab.listen();
  CHECK((heard.packets.at(0).tracking & format::kDestinationTranslated) != 0);
  lab.say(heard.packets[0].id, Action::accept);
  lab.router.one(kLan);
  lab.router.arrive(kLan, udp().from("192.168.1.10", 53).to("198.51.100.1", 4000));
  lab.accept_one();
  const Octets answer = lab.router.one(kWan);
  CHECK(std::to_integer<int>(answer[12]) == 203);  // from the address that was asked
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE(
    "complaint 7: a second fragment alone, tiny and overlapping ones: each waits and goes on by "
    "itself") {
  DivertRouter lab{R"({"forward": {"rules": [{"action": {"divert": 2222}}]}})"};
  lab.router.policy.nat.source.clear();
  lab.router.apply();
  lab.connect();
  const auto piece = [&](unsigned id, unsigned offset, bool more, std::size_t size) {
    lab.router.arrive(kLan, question()
                                .payload_size(size)
                                .identification(static_cast<std::uint16_t>(id))
                                .fragment(static_cast<std::uint16_t>(offset), more));
  };
  piece(8, 0, true, 8);  // tiny, and the first one
  piece(8, 16, true, 24);
  piece(8, 24, false, 24);  // overlaps
  piece(9, 64, false, 24);  // its first one never comes
  lab.router.pass(seconds{1});
  std::size_t seen = 0;
  for (Heard heard = lab.listen(); !heard.packets.empty(); heard = lab.listen()) {
    seen += heard.packets.size();
    for (const auto& packet : heard.packets) CHECK((packet.flags & format::kFragment) != 0);
    lab.say(heard.packets.back().id, Action::accept_upto);
  }
  CHECK(seen >= 2);
  CHECK(lab.desk().held() == 0);
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE(
    "complaint 8: a packet that grows beyond the link is cut, or its sender is told that it is too "
    "big") {
  for (const bool may_cut : {true, false}) {
    CAPTURE(may_cut);
    DivertRouter lab{kLook};
    lab.connect();
    lab.router.arrive(kLan, question().dont_fragment(!may_cut));
    lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
            question().payload_size(3000).dont_fragment(!may_cut).ip_bytes());
    CHECK(lab.router.left(kWan).size() == (may_cut ? 3 : 0));
    CHECK(lab.router.left(kLan).size() == (may_cut ? 0 : 1));  // fragmentation needed
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE(
    "complaint 13: two programs that inject at each other are stopped after a number of hops, and "
    "counted") {
  DivertRouter lab{R"({"forward": {"rules": [{"protocol": "udp", "action": {"divert": 2222}},
                                             {"protocol": "udp", "action": {"divert": 2223}}]}})"};
  Other one{lab, 2222}, two{lab, 2223};
  lab.router.arrive(kLan, question());
  int rounds = 0;
  std::uint32_t refused = 0;
  for (bool goes_on = true; goes_on && rounds < 100; ++rounds) {
    goes_on = false;
    for (Other* who : {&one, &two}) {
      const Heard heard = who->listen();
      for (const auto& notice : heard.notices) refused = notice.code;
      if (heard.packets.empty()) continue;
      goes_on = true;
      who->inject(question(), heard.packets[0].id);
    }
  }
  CHECK(rounds <= lab.desk().most_hops() + 2);
  const bool stopped = refused == static_cast<std::uint32_t>(format::Code::loop) ||
                       lab.router.drops(DropReason::divert_loop) > 0;
  CHECK(stopped);
  lab.router.pass(seconds{5});
  CHECK(lab.desk().held() == 0);
  CHECK(lab.router.imbalance() == "");
}

}  // namespace path_divert_complaints
